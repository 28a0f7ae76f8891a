"""`.chunk_status.json`: what it says, when it is believed, and files from the original BADC."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from badc_core.chunks.status import (
    STATUS_FILE,
    ChunkStatus,
    read_status,
    record_failure,
    utc_now,
)
from badc_core.errors import ManifestMismatch, UnreadableRecording

FROM_BADC = {
    "recording_id": "GNWT-290_20230331_235938",
    "audio_path": "audio/GNWT-290_20230331_235938.wav",
    "chunk_output_dir": "artifacts/chunks/GNWT-290_20230331_235938",
    "manifest_path": "manifests/GNWT-290_20230331_235938.csv",
    "chunk_duration": 60,
    "overlap": 0,
    "updated_at": "2025-12-08T10:00:05+00:00",
    "status": "completed",
    "started_at": "2025-12-08T10:00:00+00:00",
    "completed_at": "2025-12-08T10:00:05+00:00",
    "manifest_rows": 10,
    "duration_s": 5.2,
    "something_new": True,
}


@pytest.fixture
def begun() -> ChunkStatus:
    return ChunkStatus(
        recording_id="rec",
        audio_path="audio/Sambaa K'e/rec.wav",
        chunk_output_dir="artifacts/chunks/rec",
        manifest_path="manifests/rec.csv",
        chunk_duration=60.0,
        overlap=0.0,
        updated_at=utc_now(),
        status="in_progress",
        started_at=utc_now(),
    )


def test_a_status_of_the_original_badc_is_understood(tmp_path: Path) -> None:
    (tmp_path / STATUS_FILE).write_text(json.dumps(FROM_BADC))
    status = read_status(tmp_path)
    assert status is not None
    assert (status.status, status.manifest_rows, status.fingerprint) == ("completed", 10, None)


def test_a_folder_without_a_status_has_none(tmp_path: Path) -> None:
    assert read_status(tmp_path) is None
    assert read_status(tmp_path / "no folder") is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"recording_id": "rec", "sta',
        b"[]",
        b"\xff\xfe",
        b'{"status": "completed"}',
        json.dumps({**FROM_BADC, "status": "done"}).encode(),
    ],
)
def test_a_torn_status_names_itself(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STATUS_FILE).write_bytes(content)
    with pytest.raises(ManifestMismatch, match="badc chunk run") as caught:
        read_status(tmp_path)
    assert caught.value.where.endswith(STATUS_FILE)


def test_what_is_written_is_read_back(tmp_path: Path, begun: ChunkStatus) -> None:
    for status in (begun, begun.complete(3, 480_000, 16_000), begun.fail("no space left")):
        status.write(tmp_path)
        assert read_status(tmp_path) == status


def test_times_are_utc_and_only_a_failure_has_an_error(tmp_path: Path, begun: ChunkStatus) -> None:
    done = begun.fail("first try").complete(3, 480_000, 16_000)
    done.write(tmp_path)
    content = json.loads((tmp_path / STATUS_FILE).read_text())
    assert "error" not in content
    assert content["duration_s"] == 30.0
    for name in ("started_at", "completed_at", "updated_at"):
        moment = datetime.fromisoformat(content[name])
        assert moment.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (UnreadableRecording("the file is empty (0 bytes)", "rec.wav"), "the file is empty"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
    ],
)
def test_a_failure_is_noted_and_goes_on(
    tmp_path: Path, begun: ChunkStatus, error: BaseException, text: str
) -> None:
    with pytest.raises(type(error)), record_failure(begun, tmp_path):
        raise error
    status = read_status(tmp_path)
    assert status is not None
    assert status.status == "failed"
    assert text in str(status.error)
    assert status.completed_at is None
