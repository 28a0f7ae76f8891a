"""Results from before what they were made from was written down."""

import os

import pytest
from support.archives import run_in

from badc_core.annexed_files import lacks_content
from badc_core.datasets.dataset import Dataset
from badc_core.stages import fingerprint_files, lacking_fingerprints
from badc_core.stages.fingerprint_files import (
    StoredOutput,
    describe_output,
    read_stored,
    store_fingerprint,
    store_outputs,
    sum_files,
)
from badc_core.stages.lacking_fingerprints import store_where_lacking
from badc_core.stages.work import Work

MADE = {"recording": {"a": "r"}, "report_bundle": {"a": "p"}}


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    """Returns a dataset with a description and a report of one recording."""
    (tmp_path / "dataset" / "audio").mkdir(parents=True)
    dataset = Dataset.open(tmp_path / "dataset")
    bundle = dataset.bundle("a")
    for path in (dataset.recording("a"), bundle.html, bundle.quicklook / "labels.csv"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    return dataset


@pytest.mark.parametrize("branch", ["locked", "unlocked"])
def test_an_output_is_left_out_while_any_of_its_content_is_elsewhere(dataset, tmp_path, branch):
    root, clone = dataset.root, tmp_path / "clone"
    for words in ("git init -q", "git annex init -q", "git annex add -q ."):
        run_in(root, *words.split())
    if branch == "unlocked":
        run_in(root, "git", "annex", "unlock", "-q", ".")
    run_in(root, "git", "commit", "-qm", "Results")
    run_in(tmp_path, "git", "clone", "-q", str(root), str(clone))
    (clone / "audio").mkdir()
    cloned = Dataset.open(clone)
    bundle, path = cloned.bundle("a"), cloned.fingerprints("a")
    for one in (cloned.recording("a"), bundle.html):
        run_in(clone, "git", "annex", "get", "-q", str(one))
    assert lacks_content(bundle.quicklook / "labels.csv")
    store_where_lacking(cloned, MADE)
    described = describe_output(dataset, "recording", "a", "r")
    assert read_stored(path, "a") == {"recording": described}
    store_fingerprint(cloned, "recording", "b", "r")
    store_where_lacking(cloned, MADE)
    run_in(clone, "git", "annex", "get", "-q", ".")
    store_where_lacking(cloned, MADE)
    report = describe_output(dataset, "report_bundle", "a", "p")
    assert read_stored(path, "a") == {"recording": described, "report_bundle": report}


def test_files_that_lack_a_stage_are_completed_and_read_again_only_after_they_changed(
    dataset, monkeypatch
):
    read = []

    def count(path, about):
        read.append(about)
        return read_stored(path, about)

    ids = tuple("abcd")
    for one in ids:
        dataset.recording(one).write_text(one)
        store_fingerprint(dataset, "chunk_manifest", one, "m")
    made = {"recording": dict.fromkeys(ids, "r")}
    store_where_lacking(dataset, made)
    for one in ids:
        assert list(read_stored(dataset.fingerprints(one), one)) == ["recording", "chunk_manifest"]
    dataset.bundle("a").html.unlink()
    store_where_lacking(dataset, made)
    monkeypatch.setattr(lacking_fingerprints, "read_stored", count)
    store_where_lacking(dataset, made)
    # The ones put in place last may share their time with one that was not seen.
    assert len(read) < len(ids)
    unread = min(set(ids).difference(read))
    os.utime(dataset.fingerprints(unread))
    store_where_lacking(dataset, made)
    assert unread in read


def test_an_output_is_left_out_while_a_run_is_at_work_on_it(dataset):
    path = dataset.fingerprints("a")
    begun = Work(dataset.work_folder).begin("recording", "a")
    store_where_lacking(dataset, MADE)
    assert list(read_stored(path, "a")) == ["report_bundle"]
    begun.commit()
    store_where_lacking(dataset, MADE)
    assert list(read_stored(path, "a")) == ["recording", "report_bundle"]


def test_a_report_that_a_run_replaces_meanwhile_is_left_out(dataset, monkeypatch):
    folder = dataset.bundle("a").quicklook
    aside = folder.with_name("aside")

    def sum_after_it_is_gone(*given):
        folder.rename(aside)
        return sum_files(*given)

    # The moment between listing and reading cannot be had otherwise.
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint_files, "sum_files", sum_after_it_is_gone)
        store_where_lacking(dataset, {"report_bundle": MADE["report_bundle"]})
    assert read_stored(dataset.fingerprints("a"), "a") == {}
    aside.rename(folder)
    store_where_lacking(dataset, MADE)
    assert list(read_stored(dataset.fingerprints("a"), "a")) == ["recording", "report_bundle"]


def test_what_a_run_stored_meanwhile_stays(dataset):
    path = dataset.fingerprints("a")
    newer = StoredOutput("newer", "9", {})
    store_outputs(dataset, path, "a", {"recording": newer})
    older = {"recording": StoredOutput("older", "8", {}), "report_bundle": newer}
    store_outputs(dataset, path, "a", older, replaces=False)
    assert read_stored(path, "a") == {"recording": newer, "report_bundle": newer}
