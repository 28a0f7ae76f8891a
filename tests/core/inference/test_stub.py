"""The stub runner: nothing is found, and everything it touches says so."""

import json

import pytest
from support.commands import run_badc
from support.detecting import cut_recordings, detect_in_process
from support.sounds import write_tone
from support.tables import rows_of

from badc_core.corpus.building import build_corpus
from badc_core.datasets.dataset import Dataset
from badc_core.detections.store import RUNNER_KEY, read_detections, read_effort, read_metadata
from badc_core.reports.bundle import write_bundle
from badc_core.site.writing import write_site


@pytest.fixture
def root(tmp_path):
    write_tone(tmp_path / "pond" / "audio" / "a.wav", 5.0)
    return tmp_path / "pond"


def test_every_file_and_row_of_infer_says_stub(root, tmp_path):
    run_badc("chunk", "manifest", root / "audio/a.wav", "--output", "m.csv", folder=root)
    words = ["infer", "run", "m.csv", "--stub-runner", "--cpu-workers", 1]
    done = run_badc(*words, folder=root)
    assert "Warning: no model runs: the stub runner finds nothing" in done.stderr
    (path,) = (root / "artifacts/infer/a").glob("*.json")
    content = json.loads(path.read_text())
    said = {
        key: content[key] for key in ("status", "runner", "model_version", "detections", "meta")
    }
    assert said == {
        "status": "stub",
        "runner": "stub",
        "model_version": "stub",
        "detections": [],
        "meta": {"attempt": 1},
    }
    gathered = run_badc(
        *("infer", "aggregate", "artifacts/infer", "--parquet", "stub.parquet"), folder=root
    )
    assert "no model ran on 1 chunk, but the stub runner" in gathered.stderr
    assert read_metadata(root / "stub.parquet")[RUNNER_KEY] == "stub"
    (row,) = rows_of(root / "artifacts/aggregate/summary.csv")
    assert (row["status"], row["runner"], row["model_version"]) == ("stub", "stub", "stub")
    assert (row["label"], row["is_detection"]) == ("none", "false")
    again = run_badc(*words[:3], "--detector", "band_energy", "--cpu-workers", 1, folder=root)
    assert "1 ok, 0 failed, 0 skipped" in again.stdout, "a stub's result serves no detector"


def test_nothing_counts_as_analysed_and_the_pages_warn(root):
    dataset = Dataset.open(root, {"detector": {"name": "stub"}})
    cut_recordings(dataset)
    detect_in_process(dataset, ["a"])
    assert read_detections(dataset.detections("a")).num_rows == 0
    assert read_metadata(dataset.detections("a"))[RUNNER_KEY] == "stub"
    (row,) = read_effort(dataset.effort("a")).to_pylist()
    assert (row["status"], row["effort_s"]) == ("stub", 0.0)
    assert row["not_analysed"] == [{"start_ms": 0, "end_ms": 5000}]
    write_bundle(dataset, "a")
    assert "<strong>No model ran.</strong>" in dataset.bundle("a").html.read_text()
    build_corpus(dataset, ["a"], {})
    write_site(dataset)
    assert "No model ran on any recording." in dataset.corpus.html.read_text()
    for words in (["report"], ["report", "summary"]):
        assert "no model ran on 1 recording" in run_badc(*words, root, folder=root).stderr
