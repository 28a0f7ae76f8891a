"""The rows of a table that stand for a chunk: one for each detection, or one that says `none`.

Which chunks a table has is in `aggregation.py`.
"""

from datetime import timedelta
from typing import Any

from badc_core.detections.schema import make_detection_id
from badc_core.inference.chunk_output import ChunkOutput, FoundInChunk
from badc_core.recordings.recording import Recording

NO_DETECTION = "none"
"""Label of the row that stands for a chunk without detections."""


def make_rows(output: ChunkOutput, recording: Recording | None) -> list[dict[str, Any]]:
    """Returns a chunk's rows; one that says `none` where nothing was found."""
    origin = output.origin
    constant = {
        "recording_id": origin.recording_id,
        "chunk_id": origin.chunk_id,
        "chunk_start_ms": origin.start_ms,
        "chunk_end_ms": origin.end_ms,
        "status": output.status,
        "runner": output.runner,
        "model_version": output.model_version,
        "model_sha256": output.model_sha256 or None,
        "chunk_sha256": origin.sha256,
        "source_path": recording.path if recording is not None else origin.source_path,
        "dataset_root": origin.dataset_root,
        "config_hash": origin.config_hash,
        **_recording_columns(recording),
    }
    if not output.detections:
        return [{**constant, "label": NO_DETECTION, "is_detection": False}]
    return [{**constant, **_detection_columns(output, one, recording)} for one in output.detections]


def _detection_columns(
    output: ChunkOutput, one: FoundInChunk, recording: Recording | None
) -> dict[str, Any]:
    chunk_start_ms, chunk_end_ms = output.origin.start_ms or 0, output.origin.end_ms or 0
    start_ms = chunk_start_ms + one.timestamp_ms
    end_ms = chunk_end_ms if one.end_ms is None else chunk_start_ms + one.end_ms
    start_utc = recording.start_utc if recording is not None else None
    return {
        "timestamp_ms": one.timestamp_ms,
        "absolute_time_ms": start_ms,
        "end_ms": end_ms - chunk_start_ms,
        "absolute_end_ms": end_ms,
        "label": one.label,
        "label_code": one.label_code or None,
        "label_name": one.label_name or one.label,
        "confidence": one.confidence,
        "detection_id": make_detection_id(
            *(output.origin.recording_id, start_ms, end_ms, one.label),
            *(output.runner, output.model_version),
        ),
        "is_detection": True,
        "detection_utc": start_utc and start_utc + timedelta(milliseconds=start_ms),
        "scientific_name": one.scientific_name or None,
        "n_merged": 1,
        "is_expected": one.is_expected,
        "occurrence": one.occurrence,
    }


def _recording_columns(recording: Recording | None) -> dict[str, Any]:
    if recording is None:
        return {}
    return {
        "study_area": recording.study_area,
        "location": recording.location,
        "recording_start_local": recording.start_local,
        "recording_start_utc": recording.start_utc,
        "lat": recording.latitude,
        "lon": recording.longitude,
    }


def order_of(row: dict[str, Any]) -> tuple[int, str, int]:
    """Returns what rows are sorted by: those of chunks without detections by the chunk's start."""
    start_ms = row.get("absolute_time_ms", row["chunk_start_ms"])
    return start_ms, row["label"], row.get("absolute_end_ms", row["chunk_end_ms"])
