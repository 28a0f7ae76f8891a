"""The model runs once: what is kept of its results is decided afterwards, from files."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import soundfile as sf
from support.built_once import build_once
from support.detecting import cut_recordings, step_inputs
from support.sounds import write_tone
from support.telemetry import read_events

from badc_core.datasets.dataset import Dataset
from badc_core.detections.store import read_detections, read_effort
from badc_core.errors import (
    DetectorFailed,
    InputOutdated,
    RawDetectionsInvalid,
    RecordingBusy,
)
from badc_core.inference.detect import detect_recordings
from badc_core.inference.raw_result import RawResult, read_raw_result
from badc_core.inference.select import select_detections
from badc_core.stages.work import Work
from badc_core.telemetry.log import TelemetryLog

NAMES = ("a", "b")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Returns a dataset of two recordings of ten seconds, cut into four chunks each."""
    write_sounds(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def analysed(tmp_path_factory) -> Path:
    """Returns such a dataset that the model has gone through."""

    def build(folder: Path) -> None:
        write_sounds(folder)
        detect(opened(folder))

    return build_once(tmp_path_factory, "analysed-for-selecting", build)


@pytest.fixture
def dataset(analysed: Path, tmp_path: Path) -> Dataset:
    """Returns a copy of it."""
    shutil.copytree(analysed, tmp_path, dirs_exist_ok=True)
    return opened(tmp_path)


def write_sounds(folder: Path) -> None:
    for number, name in enumerate(NAMES):
        write_tone(folder / "audio" / f"{name}.wav", 10.0, number)


def opened(root: Path, **detector: object) -> Dataset:
    return Dataset.open(
        root,
        {
            "chunks": {"duration_s": 3.0, "min_chunk_s": 1.0},
            "detector": {"name": "band_energy", **detector},
            "inference": {"cpu_workers": 1, "max_retries": 0, "backoff_s": 0.01},
        },
    )


def detect(dataset: Dataset) -> dict[str, RawResult]:
    """Returns the raw results of a run, committed."""
    cut_recordings(dataset)
    raw = {}
    with TelemetryLog(dataset.telemetry("run")) as telemetry:
        for outcome in detect_recordings(step_inputs(dataset, NAMES), telemetry):
            raw[outcome.recording_id] = outcome.require()
            outcome.commit()
    return raw


def select(dataset: Dataset) -> dict[str, list[dict]]:
    """Returns the rows of each recording's file after the stage `detections`."""
    for outcome in select_detections(step_inputs(dataset, NAMES, "detections")):
        outcome.require()
        outcome.commit()
    return {name: read_detections(dataset.detections(name)).to_pylist() for name in NAMES}


def n_attempts(dataset: Dataset) -> int:
    log = dataset.telemetry("run")
    return len([one for one in read_events(log) if one["status"] == "start"]) if log.exists() else 0


def test_where_nothing_was_recorded_there_is_no_effort(root):
    for name, first in (("a", 35_000), ("b", 0)):
        path = root / "audio" / f"{name}.wav"
        sound, rate_hz = sf.read(path)
        sound[first:] = 0
        sf.write(path, sound, rate_hz)
    dataset = opened(root)
    detect(dataset)
    select(dataset)
    rows = read_effort(dataset.effort("a")).to_pylist()
    heard_s = 35_000 / rate_hz
    efforts = [row["effort_s"] for row in rows]
    assert sum(efforts) == pytest.approx(heard_s)
    assert efforts[-1] == 0.0
    assert [row["effort_s"] + row["dead_s"] for row in rows] == [3.0, 3.0, 3.0, 1.0]
    gaps = [gap for row in rows for gap in row["not_analysed"]]
    assert (gaps[0]["start_ms"], gaps[-1]["end_ms"]) == (round(1000 * heard_s), 10_000)
    silent = read_effort(dataset.effort("b"))
    assert pc.sum(silent["effort_s"]).as_py() == 0
    assert pc.sum(silent["dead_s"]).as_py() == 10.0


def test_a_lower_floor_changes_no_detection_that_is_kept(root):
    low = opened(root, min_score=0.738)
    raw = detect(low)
    assert {one.floor for one in raw.values()} == {0.1}
    kept = select(low)
    assert sum(one.n_detections for one in raw.values()) > sum(map(len, kept.values())) > 0
    low.raw_detections("a").unlink()
    low.raw_detections("b").unlink()
    high = opened(root, min_score=0.738, score_floor=0.25)
    assert {one.floor for one in detect(high).values()} == {0.25}
    assert select(high) == kept


@pytest.mark.parametrize(
    "change",
    [
        {"min_score": 0.6},
        {"min_score": 0.15},
        {"thresholds": {"0.5-1 kHz": 0.9}},
        {"include": ("1-2 kHz",)},
        {"exclude": ("1-2 kHz",)},
        {"label_length": "variable"},
    ],
)
def test_what_is_kept_is_decided_without_a_model(dataset, change):
    rows = select(dataset)
    n_before = n_attempts(dataset)
    after = opened(dataset.root, **change)
    assert {one.n_resumed for one in detect(after).values()} == {4}
    assert select(after) != rows
    assert n_attempts(after) == n_before == 8
    assert all(read_effort(after.effort(name)).num_rows == 4 for name in NAMES)


def test_a_lower_floor_than_before_runs_the_model_again(dataset):
    raw = detect(opened(dataset.root, min_score=0.05))
    assert {(one.n_resumed, one.floor) for one in raw.values()} == {(0, 0.05)}
    assert {one.n_resumed for one in detect(dataset).values()} == {4}, "0.05 serves 0.1 too"


def test_the_place_of_a_recording_changes_nothing_a_model_of_sounds_gives(dataset):
    root = dataset.root
    (root / "deployments.csv").write_text("location,latitude,longitude\nS1,61.5,-121.2\n")
    (root / "audio" / "S1").mkdir()
    for name in NAMES:
        content = json.loads(dataset.recording(name).read_text())
        content |= {"latitude": 61.5, "longitude": -121.2}
        dataset.recording(name).write_text(json.dumps(content))
    with TelemetryLog(dataset.telemetry("moved")) as telemetry:
        outcomes = list(detect_recordings(step_inputs(dataset, NAMES), telemetry))
    assert {one.require().n_resumed for one in outcomes} == {4}
    assert not dataset.telemetry("moved").exists()


def test_a_raw_file_is_read_back_as_it_was_written(root):
    dataset = opened(root)
    raw = detect(dataset)["a"]
    read = read_raw_result(dataset.raw_detections("a"), "a")
    assert [one.detections for one in read.results] == [one.detections for one in raw.results]
    assert [one.chunk for one in read.results] == [one.chunk for one in raw.results]
    assert (read.detector, read.floor, read.is_final) == (raw.detector, raw.floor, True)
    assert read.keys == raw.keys


def test_a_chunk_that_failed_keeps_its_reason_and_is_tried_again(dataset):
    raw = read_raw_result(dataset.raw_detections("a"), "a")
    error = DetectorFailed("it broke", "a_chunk_0_3000", "Mend it")
    first, *others = raw.results
    broken = (replace(first, detections=(), error=error), *others)
    path = dataset.raw_detections("a")
    replace(raw, results=broken, is_final=False).write(path)
    read = read_raw_result(path, "a")
    assert not read.is_final
    assert str(read.failed[0].error) == str(error)
    assert select(dataset)["a"]
    effort = read_effort(dataset.effort("a")).slice(0, 1).to_pylist()[0]
    assert (effort["status"], effort["effort_s"], effort["error"]) == ("error", 0, str(error))
    again = detect(dataset)
    assert (again["a"].n_resumed, again["b"].n_resumed) == (3, 4)
    assert again["a"].failed == ()


@pytest.mark.parametrize("content", [b"", b"PAR1 no table PAR1"])
def test_a_damaged_raw_file_is_refused_by_name_and_made_again(dataset, content):
    rows = select(dataset)
    dataset.raw_detections("a").write_bytes(content)
    errors = {one.recording_id: one.error for one in select_detections(step_inputs(dataset, NAMES))}
    assert isinstance(errors["a"], RawDetectionsInvalid)
    assert str(dataset.raw_detections("a")) in str(errors["a"])
    assert errors["b"] is None
    assert detect(dataset)["a"].n_resumed == 0
    assert select(dataset) == rows


def test_a_raw_file_of_another_recording_is_refused(dataset):
    dataset.raw_detections("a").write_bytes(dataset.raw_detections("b").read_bytes())
    with pytest.raises(RawDetectionsInvalid, match="detections of recording b"):
        read_raw_result(dataset.raw_detections("a"), "a")


def refusals(dataset: Dataset) -> dict[str, str]:
    """Returns why the stage `detections` refuses recordings."""
    outcomes = list(select_detections(step_inputs(dataset, NAMES, "detections")))
    assert {type(one.error) for one in outcomes} <= {InputOutdated, type(None)}
    return {one.recording_id: str(one.error) for one in outcomes if one.error is not None}


def test_raw_detections_that_miss_weak_scores_are_refused_not_read_as_all_there_is(root):
    detect(opened(root, score_floor=0.3, min_score=0.3))
    wider = opened(root, min_score=0.2)
    refused = refusals(wider)
    assert refused.keys() == set(NAMES)
    assert "kept down to 0.3, but the settings keep scores down to 0.2" in refused["a"]
    assert "raw_detections" in refused["a"]
    assert not wider.detections("a").exists()
    assert not refusals(opened(root, min_score=0.3))


def test_raw_detections_of_another_model_are_refused(dataset):
    other = opened(dataset.root, sensitivity=1.2)
    assert "another model" in refusals(other)["a"]
    assert not other.detections("a").exists()
    detect(other)
    assert not refusals(other)


def test_raw_detections_that_were_not_finished_are_not_read(dataset):
    work = Work(dataset.work_folder)
    work.begin("raw_detections", "a").leave()
    assert "a: raw_detections was not finished" in refusals(dataset)["a"]
    assert not dataset.detections("a").exists()
    assert dataset.detections("b").exists()
    begun = work.begin("raw_detections", "b")
    first, second = select_detections(step_inputs(dataset, NAMES, "detections"))
    assert isinstance(first.error, InputOutdated)
    assert isinstance(second.error, RecordingBusy)
    begun.commit()


def test_raw_detections_with_few_weak_scores_serve_as_long_as_they_reach_what_is_kept(root):
    detect(opened(root, score_floor=0.25, min_score=0.25))
    today = opened(root, min_score=0.25)
    n_before = n_attempts(today)
    assert today.settings.detector.floor == 0.1
    assert {(one.n_resumed, one.floor) for one in detect(today).values()} == {(4, 0.25)}
    assert n_attempts(today) == n_before


def test_files_of_chunks_are_written_by_one_run_at_a_time(root):
    dataset = Dataset.open(
        root, {"detector": {"name": "band_energy"}, "inference": {"chunk_json": True}}
    )
    detect(dataset)
    with Work(dataset.work_folder).analysing("a"):
        first, second = select_detections(step_inputs(dataset, NAMES, "detections"))
    assert isinstance(first.error, RecordingBusy)
    assert not dataset.inference.recording("a").exists()
    assert second.error is None
    assert list(dataset.inference.recording("b").glob("*.json"))


@pytest.mark.parametrize("nested", ["[" * 100_000, "[]"], ids=["deep", "list"])
def test_raw_results_with_malformed_metadata_are_refused(dataset, nested):
    path = dataset.raw_detections("a")
    table = pq.read_table(path)
    metadata = {**table.schema.metadata, b"badc.raw": nested}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    with pytest.raises(RawDetectionsInvalid, match="not a readable file"):
        read_raw_result(path, "a")
