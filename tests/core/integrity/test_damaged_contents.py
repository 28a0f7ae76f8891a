"""Verifying files that git-annex keeps: elsewhere is not damaged, and damage does not come back."""

import os
from pathlib import Path

import pytest
from support.archives import run_in
from support.finished_dataset import MARSH_1, MARSH_2, copy_finished

from badc_core.annexed_files import lacks_content
from badc_core.datasets.dataset import Dataset
from badc_core.integrity.verifying import verify_dataset, verify_sample
from badc_core.stages.work import Work


@pytest.fixture
def annexed(tmp_path_factory, tmp_path) -> Dataset:
    """Returns a dataset all of whose Parquet files are annexed, with a copy in a store."""
    root, store = tmp_path / "dataset", tmp_path / "store"
    dataset = copy_finished(tmp_path_factory, root)
    store.mkdir()
    run_in(root, "git", "init", "--quiet")
    run_in(root, "git", "annex", "init", "--quiet")
    (root / ".gitattributes").write_text(
        "* annex.largefiles=nothing\n*.parquet annex.largefiles=anything\n"
    )
    run_in(root, "git", "annex", "add", "--quiet", ".")
    run_in(root, "git", "commit", "--quiet", "-m", "Results")
    options = ("type=directory", f"directory={store}", "encryption=none")
    run_in(root, "git", "annex", "initremote", "--quiet", "store", *options)
    run_in(root, "git", "annex", "copy", "--quiet", "--to", "store", ".")
    return dataset


def flip_object(path: Path) -> None:
    """Changes a bit of an annexed content, as a failing disk does."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    stored = Path(os.path.realpath(path))
    stored.parent.chmod(0o755)
    stored.chmod(0o644)
    stored.write_bytes(content)


def test_contents_elsewhere_are_counted_and_not_called_damaged(annexed):
    run_in(
        annexed.root, "git", "annex", "drop", "--quiet", f"artifacts/aggregate/{MARSH_1}.parquet"
    )
    report = verify_dataset(annexed)
    assert (report.findings, report.n_elsewhere) == ([], 1)
    assert verify_sample(annexed, 2, "seed").n_recordings == 2


def test_a_damaged_content_is_put_away_so_that_the_good_one_can_be_fetched(annexed):
    path = annexed.detections(MARSH_2)
    good = path.read_bytes()
    flip_object(path)
    (finding,) = verify_dataset(annexed, mark=False).findings
    assert path.read_bytes() != good
    assert (finding.recording_id, finding.stage) == (MARSH_2, "detections")
    verify_dataset(annexed)
    assert lacks_content(path)
    assert Work(annexed.work_folder).dirty("detections") == {MARSH_2}
    assert len(list((annexed.root / ".git" / "annex" / "bad").iterdir())) == 1
    run_in(annexed.root, "git", "annex", "get", "--quiet", str(path.relative_to(annexed.root)))
    assert path.read_bytes() == good
