"""Two runs at once: each recording is one run's, whichever way the other was started."""

from collections.abc import Generator
from pathlib import Path

import pytest
from support.commands import run_typed
from support.sounds import write_tone

from badc_core.chunks.manifest import write_manifest
from badc_core.cli.infer import infer
from badc_core.dataset import Dataset
from badc_core.detections.store import read_detections
from badc_core.errors import RecordingBusy, UnreadableRecording
from badc_core.inference.detect import DetectionsMade, detect_recordings
from badc_core.inference.holding import hold_recording
from badc_core.outcomes import Outcome
from badc_core.recordings.describe import describe_recording
from badc_core.recordings.registry import register_recordings
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
    for registered in register_recordings(dataset).registry:
        recording = describe_recording(dataset, registered)
        recording.write(dataset.recording(registered.recording_id))
        write_manifest(dataset, registered.recording_id)
    return dataset


def detecting(dataset: Dataset) -> Generator[Outcome[DetectionsMade], None, None]:
    with TelemetryLog(dataset.telemetry("run")) as telemetry:
        yield from detect_recordings(dataset, NAMES, telemetry)


def is_free(dataset: Dataset, recording_id: str) -> bool:
    try:
        with hold_recording(dataset.inference, recording_id):
            return True
    except RecordingBusy:
        return False


def locks(dataset: Dataset) -> list[Path]:
    return list(dataset.inference.folder.rglob(".*.lock"))


def test_a_dataset_s_run_leaves_a_recording_to_whoever_is_at_work_on_it(dataset):
    with hold_recording(dataset.inference, "b"):
        outcomes = {one.recording_id: one.error for one in detecting(dataset)}
    assert {name: type(error) for name, error in outcomes.items() if error} == {"b": RecordingBusy}
    assert not dataset.detections("b").exists()
    assert not dataset.inference.journal("b").exists()
    assert {one.recording_id: one.error for one in detecting(dataset)}["b"] is None
    assert len(read_detections(dataset.detections("b"))) > 0
    assert locks(dataset) == []


def test_a_manifest_s_run_does_too_and_says_so(dataset):
    words = ("run", dataset.manifest("b"), "--cpu-workers", 1)
    with (
        hold_recording(dataset.inference, "b"),
        pytest.raises(RecordingBusy, match=r"^b: another run is at work"),
    ):
        run_typed(infer, *words)
    assert not dataset.inference.recording("b").exists()
    run_typed(infer, *words)
    assert len(list(dataset.inference.recording("b").glob("*.json"))) == 4
    assert locks(dataset) == []


def test_recordings_are_held_while_they_are_in_work_and_no_longer(dataset):
    outcomes = detecting(dataset)
    first = next(outcomes).recording_id
    others = [name for name in NAMES if name != first]
    assert is_free(dataset, first)
    assert not all(is_free(dataset, name) for name in others)
    outcomes.close()
    assert all(is_free(dataset, name) for name in NAMES)
    assert locks(dataset) == []


def test_a_recording_that_cannot_be_begun_is_held_by_nobody(dataset):
    (dataset.root / "audio/b.wav").write_bytes(b"no sound")
    outcomes = detecting(dataset)
    failed = [one for one in outcomes if one.error is not None]
    assert [type(one.error) for one in failed] == [UnreadableRecording]
    dataset.manifest("c").unlink()
    assert next(one for one in detecting(dataset) if one.recording_id == "c").error is not None
    assert all(is_free(dataset, name) for name in NAMES)
    assert locks(dataset) == []
