"""From what workers found in a recording's chunks to rows of `detections` and `effort`.

Columns are in `schema.py`, files in `store.py`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import pyarrow as pa

from badc_core.chunks.manifest import chunk_sha256
from badc_core.chunks.plan import Chunk
from badc_core.detections.calibrate import Calibrator
from badc_core.detections.schema import DETECTIONS, EFFORT, make_detection_id
from badc_core.detectors import stub
from badc_core.detectors.interface import Detection, DetectorIdentity, Label
from badc_core.engine.protocol import ChunkResult
from badc_core.intervals import Interval, clip, length_of, unite
from badc_core.recordings.recording import Recording
from badc_core.units import samples_to_ms

_NO_CURVES = Calibrator({})


def detections_table(
    recording: Recording,
    results: Sequence[ChunkResult],
    detector: DetectorIdentity,
    config_hash: str,
    dataset_name: str,
    calibrator: Calibrator = _NO_CURVES,
) -> pa.Table:
    """Returns the detections of a recording, by start, then label; schema `DETECTIONS`."""
    constant = {
        **recording_columns(recording),
        "dataset_root": dataset_name,
        "runner": detector.name,
        "model_version": detector.version,
        "model_sha256": detector.model_sha256,
        "config_hash": config_hash,
        "status": "ok",
        "is_detection": True,
    }
    rows = [
        {
            **constant,
            **_detection_columns(recording, result.chunk, one, detector),
            "calibrated_p": calibrator.probability(one.label, one.confidence),
        }
        for result in results
        for one in result.detections
    ]
    rows.sort(key=lambda row: (row["absolute_time_ms"], row["label"], row["absolute_end_ms"]))
    return pa.Table.from_pylist(rows, DETECTIONS)


def effort_table(
    recording_id: str,
    results: Sequence[ChunkResult],
    detections: pa.Table,
    dead: Sequence[Interval] = (),
    is_stub: bool = False,
    left_out: Sequence[Sequence[Detection]] = (),
) -> pa.Table:
    """Returns the chunks of a recording with what became of them; schema `EFFORT`.

    The overlap with the chunk before counts as effort once, in the earlier chunk. Where nothing was
    recorded there is none, nor where the model has no scores. Without a model there is none at all.

    Args:
        recording_id: the recording.
        results: what was found in each chunk, in order; that decides its status.
        detections: the recording's; each counts in the chunk it begins in.
        dead: where nothing was recorded, in samples.
        is_stub: whether no model ran.
        left_out: chunk by chunk what the settings leave out as not expected there.
    """
    begun = Counter(detections["chunk_id"].to_pylist())
    dead = unite(dead)
    gaps = unite([*dead, *(gap for one in results for gap in one.not_analysed)])
    if is_stub:
        gaps = ((0, max(one.chunk.end_sample for one in results)),)
    rows = [
        _effort_row(recording_id, one, begun[one.chunk.chunk_id], dead, gaps) for one in results
    ]
    for row, found in zip(rows, left_out, strict=False):
        counts = count_names([found])
        row["left_out"] = [{"label_name": one, "detections": n} for one, n in counts.items()]
    if is_stub:
        rows = [row if row["error"] else {**row, "status": stub.NAME} for row in rows]
    return pa.Table.from_pylist(rows, EFFORT)


def count_names(chunks: Iterable[Iterable[Detection]]) -> dict[str, int]:
    """Returns how many detections there are of each common name, most first."""
    counts = Counter(label_name(one.label) for found in chunks for one in found)
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def label_name(label: Label) -> str:
    """Returns what rows call a label: its common name, if it has one."""
    return label.name or label.code or "unknown"


def _effort_row(
    recording_id: str,
    result: ChunkResult,
    n_begun: int,
    dead: Sequence[Interval],
    not_analysed: Sequence[Interval],
) -> dict[str, Any]:
    """Returns a chunk's row, from where nothing was recorded, and where there is no effort."""
    chunk = result.chunk
    rate_hz = chunk.sample_rate_hz
    own = chunk.start_sample + chunk.overlap_samples, chunk.end_sample
    gaps = (own,) if result.error else clip(not_analysed, *own)
    return {
        "recording_id": recording_id,
        "chunk_id": chunk.chunk_id,
        "chunk_start_ms": chunk.start_ms,
        "chunk_end_ms": chunk.end_ms,
        "overlap_ms": chunk.overlap_ms,
        "status": result.status,
        "detections": n_begun,
        "effort_s": (own[1] - own[0] - length_of(gaps)) / rate_hz,
        "error": str(result.error) if result.error else None,
        "dead_s": length_of(clip(dead, *own)) / rate_hz,
        "not_analysed": [
            {"start_ms": samples_to_ms(start, rate_hz), "end_ms": samples_to_ms(end, rate_hz)}
            for start, end in gaps
        ],
    }


def recording_columns(recording: Recording) -> dict[str, Any]:
    """Returns what every row says of its recording."""
    return {
        "recording_id": recording.recording_id,
        "source_path": recording.path,
        "study_area": recording.study_area,
        "location": recording.location,
        "recording_start_local": recording.start_local,
        "recording_start_utc": recording.start_utc,
        "lat": recording.latitude,
        "lon": recording.longitude,
    }


def place_columns(
    chunk_start_ms: int, start_ms: int, end_ms: int, recording: Recording | None
) -> dict[str, Any]:
    """Returns when a detection is: in its chunk, in its recording, and by the clock."""
    start_utc = recording.start_utc if recording is not None else None
    return {
        "timestamp_ms": start_ms - chunk_start_ms,
        "absolute_time_ms": start_ms,
        "end_ms": end_ms - chunk_start_ms,
        "absolute_end_ms": end_ms,
        "detection_utc": start_utc and start_utc + timedelta(milliseconds=start_ms),
    }


def _detection_columns(
    recording: Recording, chunk: Chunk, one: Detection, detector: DetectorIdentity
) -> dict[str, Any]:
    start_ms = samples_to_ms(one.start_sample, chunk.sample_rate_hz)
    end_ms = samples_to_ms(one.end_sample, chunk.sample_rate_hz)
    label = one.label.code or one.label.name or "unknown"
    return {
        **place_columns(chunk.start_ms, start_ms, end_ms, recording),
        "chunk_id": chunk.chunk_id,
        "chunk_start_ms": chunk.start_ms,
        "chunk_end_ms": chunk.end_ms,
        "chunk_sha256": chunk_sha256(recording.sha256, chunk),
        "label": label,
        "label_code": one.label.code or None,
        "label_name": label_name(one.label),
        "scientific_name": one.label.scientific_name or None,
        "confidence": one.confidence,
        "is_expected": one.is_expected,
        "occurrence": one.occurrence,
        "n_merged": one.n_merged,
        "detection_id": make_detection_id(
            *(recording.recording_id, start_ms, end_ms, label),
            *(detector.name, detector.version),
        ),
    }
