"""Two runs at once: each recording is one run's, whichever way the other was started."""

import errno
import fcntl
from collections.abc import Generator
from pathlib import Path

import pytest
from support.sounds import write_tone

from badc_core.chunks.manifest import write_manifest
from badc_core.datasets.dataset import Dataset
from badc_core.detections.store import read_detections
from badc_core.errors import RecordingBusy, UnreadableRecording
from badc_core.inference.detect import DetectionsResult, detect_recordings
from badc_core.inference.holding import lock_recording
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


def detecting(dataset: Dataset) -> Generator[Outcome[DetectionsResult], None, None]:
    with TelemetryLog(dataset.telemetry("run")) as telemetry:
        yield from detect_recordings(dataset, NAMES, telemetry)


def is_free(dataset: Dataset, recording_id: str) -> bool:
    try:
        with lock_recording(dataset.inference, recording_id):
            return True
    except RecordingBusy:
        return False


def locks(dataset: Dataset) -> list[Path]:
    return list(dataset.inference.folder.rglob(".*.lock"))


def test_a_dataset_s_run_leaves_a_recording_to_whoever_is_at_work_on_it(dataset):
    with lock_recording(dataset.inference, "b"):
        outcomes = {one.recording_id: one.error for one in detecting(dataset)}
    assert {name: type(error) for name, error in outcomes.items() if error} == {"b": RecordingBusy}
    assert not dataset.detections("b").exists()
    assert not dataset.inference.journal("b").exists()
    assert {one.recording_id: one.error for one in detecting(dataset)}["b"] is None
    assert len(read_detections(dataset.detections("b"))) > 0
    assert locks(dataset) == []


def test_recordings_are_held_until_the_graph_knows_of_them_and_no_longer(dataset):
    outcomes = detecting(dataset)
    first = next(outcomes).recording_id
    assert not is_free(dataset, first)
    second = next(outcomes).recording_id
    assert is_free(dataset, first)
    assert not is_free(dataset, second)
    outcomes.close()
    assert all(is_free(dataset, name) for name in NAMES)
    assert locks(dataset) == []


def test_whoever_wants_to_know_hears_of_recordings_that_are_held_alone(dataset):
    heard = []

    def begun(recording_id: str) -> None:
        heard.append((recording_id, is_free(dataset, recording_id)))

    with (
        lock_recording(dataset.inference, "b"),
        TelemetryLog(dataset.telemetry("run")) as telemetry,
    ):
        list(detect_recordings(dataset, NAMES, telemetry, begun=begun))
    assert heard == [("a", False), ("c", False)]


def test_a_lock_that_its_holder_removes_meanwhile_is_no_lock(dataset, monkeypatch):
    lock = dataset.inference.lock("a")
    flock, removed = fcntl.flock, []

    def flock_late(file, how) -> None:
        if not removed:
            removed.append(lock.unlink())
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", flock_late)
    with lock_recording(dataset.inference, "a"):
        assert removed
        assert not is_free(dataset, "a")


def test_a_lock_that_became_a_link_is_put_right(dataset):
    lock = dataset.inference.lock("a")
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.symlink_to("../../.git/annex/objects/gone")
    with lock_recording(dataset.inference, "a"):
        assert lock.is_file()
        assert not is_free(dataset, "a")


def test_a_file_system_without_locks_is_told_and_used(dataset, monkeypatch, caplog):
    def refuse(*_) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        lock_recording(dataset.inference, "a"),
        lock_recording(dataset.inference, "b"),
    ):
        pass
    (told,) = caplog.messages
    assert told.startswith(f"{dataset.inference.folder}: this file system has no locks")


def test_a_recording_that_cannot_be_begun_is_held_by_nobody(dataset):
    (dataset.root / "audio/b.wav").write_bytes(b"no sound")
    outcomes = detecting(dataset)
    failed = [one for one in outcomes if one.error is not None]
    assert [type(one.error) for one in failed] == [UnreadableRecording]
    dataset.manifest("c").unlink()
    assert next(one for one in detecting(dataset) if one.recording_id == "c").error is not None
    assert all(is_free(dataset, name) for name in NAMES)
    assert locks(dataset) == []
