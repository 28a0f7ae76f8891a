"""Damaged files are found, and the next run makes just those again."""

import json
import os
from pathlib import Path

from support.commands import run_badc

from badc_core.datasets.dataset import Dataset
from badc_core.stages.stage import STAGES
from badc_dagster.runs import Project


def flip(path: Path, place: float = 0.5) -> None:
    """Changes one bit of a file, not its length or time."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def verify(root: Path, *words: str, code: int = 0) -> dict:
    done = run_badc("verify", root, "--json", *words, folder=root.parent, code=code)
    return json.loads(done.stdout)


def found(root: Path, *words: str) -> dict[str, str]:
    """Returns path -> stage of what is found wrong."""
    return {one["path"]: one["stage"] for one in verify(root, *words, code=1)["findings"]}


def counts(graph) -> dict[str, int]:
    assets = (*STAGES, "corpus_detections", "corpus_report")
    return {one: graph.n_materialized(one) for one in assets}


def corpus_part(dataset: Dataset) -> Path:
    """Returns a file of the corpus with rows of detections."""
    return next(dataset.corpus.table("detections").rglob("*.parquet"))


def damaged_files(dataset: Dataset) -> dict[Path, str]:
    """Returns a file of every kind, of different recordings, with the stage that writes it."""
    return {
        dataset.recording("rec_1"): "recording",
        dataset.manifest("rec_1"): "chunk_manifest",
        dataset.raw_detections("rec_2"): "raw_detections",
        dataset.detections("rec_3"): "detections",
        dataset.effort("rec_1"): "detections",
        dataset.bundle("rec_3").html: "report_bundle",
        dataset.corpus.duckdb: "corpus_detections",
        dataset.corpus.summary / "label_summary.csv": "corpus_detections",
        corpus_part(dataset): "corpus_detections",
        dataset.corpus.html: "corpus_report",
    }


def test_a_flipped_bit_in_any_file_is_found_and_just_that_is_made_again(archive, n_workers):
    dataset = archive.dataset
    clean = verify(archive.root, "--full")
    assert (clean["findings"], clean["n_recordings"], clean["n_unknown"]) == ([], 3, 0)
    damaged = damaged_files(dataset)
    contents = {path: path.read_bytes() for path in damaged}
    for path in damaged:
        flip(path)
    expected = {str(path.relative_to(archive.root)): stage for path, stage in damaged.items()}
    assert found(archive.root, "--dry-run") == expected
    assert found(archive.root) == expected
    status = json.loads(
        run_badc("status", archive.root, "--json", folder=archive.root, code=1).stdout
    )
    assert {one["recording_id"] for one in status["failures"]} == {"rec_1", "rec_2", "rec_3"}
    before = counts(archive)
    with Project.open(archive.root) as project:
        outcome = project.bring_up_to_date()
    assert (outcome.n_finished, outcome.failures, outcome.faults) == (3, (), ())
    made = {asset: n - before[asset] for asset, n in counts(archive).items()}
    assert made == {
        "recording": 1,
        "chunk_manifest": 1,
        "raw_detections": 1,
        "detections": 2,
        "report_bundle": 1,
        "corpus_detections": 1,
        "corpus_report": 1,
    }
    assert len(n_workers) == 1
    same = {path for path in damaged if path.suffix not in {".duckdb", ".html"}}
    assert {path: path.read_bytes() for path in same} == {path: contents[path] for path in same}
    assert verify(archive.root, "--full")["findings"] == []


def test_files_cut_off_gone_and_swapped_are_found(archive):
    dataset = archive.dataset
    cut, gone = dataset.detections("rec_1"), dataset.effort("rec_2")
    cut.write_bytes(cut.read_bytes()[:-10])
    gone.unlink()
    one, other = dataset.manifest("rec_1"), dataset.manifest("rec_3")
    contents = one.read_bytes(), other.read_bytes()
    other.write_bytes(contents[0])
    one.write_bytes(contents[1])
    what = {one["path"]: one["what"] for one in verify(archive.root, code=1)["findings"]}
    assert what["artifacts/aggregate/rec_1.parquet"].endswith("were written")
    assert what["artifacts/effort/rec_2.parquet"] == "it is gone"
    assert {"manifests/rec_1.csv", "manifests/rec_3.csv"} <= what.keys()
    assert len(what) == 4
    assert verify(archive.root, "rec_2", "--dry-run")["n_recordings"] == 1


def test_a_damaged_recording_is_named_and_its_results_are_left_alone(archive):
    flip(archive.root / "audio" / "S1" / "rec_2.wav")
    for words in ((), ("--full",)):
        done = run_badc("verify", archive.root, *words, folder=archive.root, code=1)
        assert "audio/S1/rec_2.wav: its " in done.stderr
        assert "restore them from a copy" in done.stderr
    with Project.open(archive.root) as project:
        assert project.bring_up_to_date().nothing_to_do


def test_the_check_of_the_corpus_marks_what_it_finds(archive):
    flip(archive.dataset.raw_detections("rec_2"))
    checks = archive.execute("corpus_job").get_asset_check_evaluations()
    (check,) = [one for one in checks if one.check_name == "files_intact"]
    assert not check.passed
    assert check.metadata["recordings"].value == 3
    path = "artifacts/raw_detections/rec_2.parquet"
    assert check.metadata["examples"].value == f"{path}: its SHA-256 is not that written"
    assert archive.due() == {"raw_detections": ["rec_2"]}
