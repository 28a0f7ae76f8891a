"""Two runs at once: each recording is one run's, whichever way the other was started."""

from collections.abc import Generator
from pathlib import Path

import pytest
from support.detecting import cut_recordings, step_inputs
from support.sounds import write_tone

from badc_core.datasets.dataset import Dataset
from badc_core.errors import ManifestMismatch, RecordingBusy, UnreadableRecording
from badc_core.inference.detect import detect_recordings
from badc_core.inference.raw_result import RawResult
from badc_core.inference.recording_run import STAGE
from badc_core.outcomes import Outcome
from badc_core.stages.work import Work
from badc_core.telemetry.log import TelemetryLog

NAMES = ("a", "b", "c")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Returns a dataset of three recordings of ten seconds, cut into four chunks each."""
    for number, name in enumerate(NAMES):
        write_tone(tmp_path / "audio" / f"{name}.wav", 10.0, number)
    (tmp_path / "badc.toml").write_text('[detector]\nname = "band_energy"\n')
    overrides = {"chunks": {"duration_s": 3.0, "min_chunk_s": 1.0}, "inference": {"cpu_workers": 1}}
    dataset = Dataset.open(tmp_path, overrides)
    cut_recordings(dataset)
    return dataset


def detecting(dataset: Dataset) -> Generator[Outcome[RawResult], None, None]:
    with TelemetryLog(dataset.telemetry("run")) as telemetry:
        yield from detect_recordings(step_inputs(dataset, NAMES), telemetry)


def work(dataset: Dataset) -> Work:
    return Work(dataset.work_folder)


def is_free(dataset: Dataset, recording_id: str) -> bool:
    was_dirty = work(dataset).is_dirty(STAGE, recording_id)
    try:
        begun = work(dataset).begin(STAGE, recording_id)
    except RecordingBusy:
        return False
    begun.leave() if was_dirty else begun.commit()
    return True


def test_a_dataset_s_run_leaves_a_recording_to_the_run_that_works_on_it(dataset):
    other = work(dataset).begin(STAGE, "b")
    outcomes = {one.recording_id: one for one in detecting(dataset)}
    errors = {name: type(one.error) for name, one in outcomes.items() if one.error}
    assert errors == {"b": RecordingBusy}
    assert not dataset.raw_detections("b").exists()
    assert not work(dataset).journal("b").exists()
    other.leave()
    outcomes = {one.recording_id: one for one in detecting(dataset)}
    assert outcomes["b"].require().n_detections > 0


def test_recordings_are_in_work_until_they_are_committed(dataset):
    first, second, third = detecting(dataset)
    assert not any(is_free(dataset, name) for name in NAMES)
    assert work(dataset).journal(first.recording_id).exists()
    first.commit()
    assert is_free(dataset, first.recording_id)
    assert not work(dataset).journal(first.recording_id).exists()
    assert work(dataset).dirty(STAGE) == {second.recording_id, third.recording_id}
    second.commit()
    third.commit()
    assert work(dataset).dirty(STAGE) == set()


def test_what_was_not_committed_is_made_again_without_a_model(dataset):
    assert sum(one.require().n_resumed for one in detecting(dataset)) == 0
    assert work(dataset).dirty(STAGE) == set(NAMES)
    again = [one.require() for one in detecting(dataset)]
    assert {(one.n_resumed, len(one.results)) for one in again} == {(4, 4)}


def test_a_run_that_is_stopped_leaves_its_recordings_free_and_dirty(dataset):
    outcomes = detecting(dataset)
    first = next(outcomes)
    outcomes.close()
    assert not is_free(dataset, first.recording_id)
    first.commit()
    assert all(is_free(dataset, name) for name in NAMES)
    assert first.recording_id not in work(dataset).dirty(STAGE)


def test_a_recording_that_cannot_be_begun_is_free(dataset):
    (dataset.root / "audio/b.wav").write_bytes(b"no sound")
    outcomes = list(detecting(dataset))
    failed = [one for one in outcomes if one.error is not None]
    assert [type(one.error) for one in failed] == [UnreadableRecording]
    for one in outcomes:
        one.commit()
    dataset.manifest("c").unlink()
    again = {one.recording_id: one.error for one in detecting(dataset)}
    assert isinstance(again["c"], ManifestMismatch)
    assert is_free(dataset, "b")
    assert is_free(dataset, "c")


def test_files_of_another_recording_cost_only_their_own(dataset):
    dataset.manifest("c").write_bytes(dataset.manifest("a").read_bytes())
    dataset.recording("b").write_bytes(dataset.recording("a").read_bytes())
    errors = {one.recording_id: str(one.error) for one in detecting(dataset) if one.error}
    assert errors.keys() == {"b", "c"}
    assert "b.json: this is the description of another recording, a" in errors["b"]
    assert "c.csv: it is the manifest of another recording, a" in errors["c"]
