"""Small tables by the schema, and the recording they are about."""

from collections.abc import Callable

import pyarrow as pa
import pytest

from badc_core.detections.schema import DETECTION_COLUMNS, EFFORT
from badc_core.recordings.recording import Recording


def _value(column, number: int) -> object:
    if pa.types.is_dictionary(column.type) or pa.types.is_string(column.type):
        return f"{column.name} é{number % 2}"
    if pa.types.is_timestamp(column.type) or column.nullable:
        return None
    if pa.types.is_boolean(column.type):
        return True
    return 1


@pytest.fixture
def recording() -> Recording:
    """Returns a recording of two minutes."""
    return Recording(
        recording_id="rec",
        path="audio/rec.wav",
        size_bytes=1,
        sha256="00",
        fingerprint="x",
        audio_format="WAV",
        subtype="PCM_16",
        sample_rate_hz=44100,
        n_channels=1,
        n_samples=44100 * 120,
        rms_dbfs=-40.0,
        peak_dbfs=-3.0,
        clipped_fraction=0.0,
        is_silent=False,
        channels=(),
    )


@pytest.fixture
def make_detections() -> Callable[..., pa.Table]:
    """Returns what makes detections in the first chunk, text as plain strings."""

    def make(n: int = 3, **columns: object) -> pa.Table:
        rows = []
        for number in range(n):
            row = {column.name: _value(column, number) for column in DETECTION_COLUMNS}
            row |= {"recording_id": "rec", "chunk_id": "rec_0", "confidence": 0.5}
            row |= {"absolute_time_ms": 3000 * number, "absolute_end_ms": 3000 * number + 3000}
            rows.append(row | columns)
        plain = [
            pa.field(c.name, pa.string() if pa.types.is_dictionary(c.type) else c.type)
            for c in DETECTION_COLUMNS
        ]
        return pa.Table.from_pylist(rows, pa.schema(plain))

    return make


@pytest.fixture
def make_effort() -> Callable[..., pa.Table]:
    """Returns what makes two chunks, three detections in the first; keywords change the second."""

    def make(**second: object) -> pa.Table:
        first = {
            "recording_id": "rec",
            "chunk_id": "rec_0",
            "chunk_start_ms": 0,
            "chunk_end_ms": 60000,
            "overlap_ms": 0,
            "status": "ok",
            "detections": 3,
            "effort_s": 60.0,
            "error": None,
        }
        other = first | {
            "chunk_id": "rec_1",
            "chunk_start_ms": 60000,
            "chunk_end_ms": 120000,
            "status": "no_detections",
            "detections": 0,
        }
        return pa.Table.from_pylist([first, other | second], EFFORT)

    return make
