"""Tables and bundles of `badc infer orchestrate` in a dataset of git-annex: commits, and reruns."""

import pytest
from support.archives import run_in
from support.commands import run_badc
from support.sounds import write_tone

NAMES = ("a", "b")


@pytest.fixture
def root(tmp_path):
    """Returns a DataLad dataset of two recordings with chunk files."""
    run_in(tmp_path, "datalad", "create", "marsh")
    root = tmp_path / "marsh"
    for number, name in enumerate(NAMES):
        write_tone(root / "audio" / f"{name}.wav", 6.0, number)
    run_in(root, "datalad", "save", "-m", "Add recordings")
    run_badc("chunk", "orchestrate", root, "--chunk-duration", 3, "--apply", folder=tmp_path)
    return root


def bundle(root, *words):
    words = ("--detector", "band_energy", "--cpu-workers", 1, "--apply", "--bundle-rollup", *words)
    run_badc("infer", "orchestrate", root, *words, folder=root.parent)


def test_bundles_and_their_sum_are_committed_once(root):
    bundle(root)
    assert run_in(root, "git", "status", "--porcelain") == ""
    subjects = run_in(root, "git", "log", "-2", "--format=%s").splitlines()
    assert subjects == [
        "[DATALAD RUNCMD] Sum up the tables in artifacts/aggregate",
        "[DATALAD RUNCMD] Tables and bundles of a to b",
    ]
    head = run_in(root, "git", "rev-parse", "HEAD")
    bundle(root)
    assert run_in(root, "git", "rev-parse", "HEAD") == head, "nothing new, nothing to commit"


@pytest.mark.soak
def test_datalad_makes_bundles_and_their_sum_again(root):
    bundle(root)
    head = run_in(root, "git", "rev-parse", "HEAD")
    aggregate = root / "artifacts" / "aggregate"
    before = {path: path.read_bytes() for path in aggregate.rglob("*") if path.is_file()}
    assert {aggregate / "a.duckdb", aggregate / "aggregate_summary/label_summary.csv"} < {*before}
    run_in(root, "datalad", "rerun", "--since", "HEAD~2")
    assert {path: path.read_bytes() for path in before} == before
    assert run_in(root, "git", "status", "--porcelain") == ""
    assert run_in(root, "git", "rev-parse", "HEAD") == head
