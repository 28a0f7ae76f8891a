"""The rows of a table that stand for a chunk: one for each detection, or one that says `none`.

Which chunks a table has is in `aggregation.py`.
"""

from typing import Any

from badc_core.detections.schema import make_detection_id
from badc_core.inference.chunk_output import ChunkOutput, FoundInChunk
from badc_core.inference.detections_table import place_columns, recording_columns
from badc_core.recordings.recording import Recording

NO_DETECTION = "none"
"""Label of the row that stands for a chunk without detections."""


def make_rows(output: ChunkOutput, recording: Recording | None) -> list[dict[str, Any]]:
    """Returns a chunk's rows; one that says `none` where nothing was found."""
    origin = output.origin
    constant = {
        **({} if recording is None else recording_columns(recording)),
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
    return {
        **place_columns(chunk_start_ms, start_ms, end_ms, recording),
        "label": one.label,
        "label_code": one.label_code or None,
        "label_name": one.label_name or one.label,
        "confidence": one.confidence,
        "detection_id": make_detection_id(
            *(output.origin.recording_id, start_ms, end_ms, one.label),
            *(output.runner, output.model_version),
        ),
        "is_detection": True,
        "scientific_name": one.scientific_name or None,
        "n_merged": 1,
        "is_expected": one.is_expected,
        "occurrence": one.occurrence,
    }


def order_of(row: dict[str, Any]) -> tuple[int, str, int]:
    """Returns what rows are sorted by: those of chunks without detections by the chunk's start."""
    start_ms = row.get("absolute_time_ms", row["chunk_start_ms"])
    return start_ms, row["label"], row.get("absolute_end_ms", row["chunk_end_ms"])
