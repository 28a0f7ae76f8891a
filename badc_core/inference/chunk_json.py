"""Writing a chunk's detections as a JSON file of its own, in the layout of the original BADC.

Times inside are milliseconds from the chunk's start. Nothing in a file depends on when or by which
worker it was made: equal results give equal bytes. Reading such files, the original's too, is in
`chunk_output.py`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from badc_core.atomic import write_text
from badc_core.audio.channel import MEAN
from badc_core.chunks.plan import Chunk
from badc_core.datasets.dataset import InferencePaths
from badc_core.detectors import stub
from badc_core.detectors.interface import Detection, DetectorIdentity
from badc_core.engine.protocol import ChunkResult
from badc_core.units import samples_to_ms


@dataclass(frozen=True)
class ChunkOrigin:
    """What a file says of its chunk beside what was found.

    Attributes:
        chunk_id: also the file's name.
        recording_id: whose slice.
        source_path: audio file, as its manifest names it.
        start_ms, end_ms: from the recording's start; None where nobody knows.
        overlap_ms: shared with the chunk before.
        sha256: identity of the chunk's sound; empty where it has none.
        notes: of its manifest row.
        dataset_root: folder that `source_path` starts from; empty if it is not in a dataset.
        config_hash: fingerprint of the detector's settings; empty where unknown.
        key: what the journal knows the chunk by under these settings; empty where unknown.
        channel: which one was analysed, from 1, or `each`, or the `mean` of all.
    """

    chunk_id: str
    recording_id: str
    source_path: str
    start_ms: int | None
    end_ms: int | None
    overlap_ms: int | None = 0
    sha256: str = ""
    notes: str = ""
    dataset_root: str = ""
    config_hash: str = ""
    key: str = ""
    channel: str = MEAN


def write_chunk_json(
    paths: InferencePaths,
    result: ChunkResult,
    identity: DetectorIdentity,
    origin: ChunkOrigin,
) -> Path:
    """Writes what came of a chunk, replacing what was there; returns where.

    A file that says the same already is left alone. A chunk that failed gets a file too, with the
    reason; whether that may take the place of a good one is for the caller to decide.

    Raises:
        StorageFull: the disk or a quota is full.
    """
    content: dict[str, Any] = {
        "chunk_id": origin.chunk_id,
        "recording_id": origin.recording_id,
        "source_path": origin.source_path,
        "status": _status(result, identity),
        "detections": [_detection(result, one) for one in result.detections],
        "chunk": {
            "start_ms": origin.start_ms,
            "end_ms": origin.end_ms,
            "overlap_ms": origin.overlap_ms,
            "sha256": origin.sha256,
            "notes": origin.notes,
            **({} if origin.channel == MEAN else {"channel": origin.channel}),
        },
        "not_analysed": [
            [_ms_in_chunk(result.chunk, edge) for edge in gap] for gap in result.not_analysed
        ]
        or None,
        "runner": identity.name,
        "model_version": identity.version,
        "model_sha256": identity.model_sha256,
        "dataset_root": origin.dataset_root or None,
        "config_hash": origin.config_hash or None,
        "key": origin.key or None,
        "error": str(result.error) if result.error else None,
        "meta": {"attempt": result.attempt} if identity.name == stub.NAME else None,
    }
    path = paths.chunk_json(origin.recording_id, origin.chunk_id)
    present = {key: value for key, value in content.items() if value is not None}
    text = json.dumps(present, indent=2, ensure_ascii=False) + "\n"
    if not _says(path, text):
        write_text(path, text)
    return path


def _status(result: ChunkResult, identity: DetectorIdentity) -> str:
    is_stub = identity.name == stub.NAME and result.error is None
    return stub.NAME if is_stub else result.status


def _detection(result: ChunkResult, one: Detection) -> dict[str, Any]:
    label = one.label
    content = {
        "timestamp_ms": _ms_in_chunk(result.chunk, one.start_sample),
        "end_ms": _ms_in_chunk(result.chunk, one.end_sample),
        "label": label.code or label.name or "unknown",
        "label_code": label.code or None,
        "label_name": label.name or None,
        "scientific_name": label.scientific_name or None,
        "confidence": one.confidence,
        "is_expected": one.is_expected,
        "occurrence": one.occurrence,
    }
    return {key: value for key, value in content.items() if value is not None}


def _ms_in_chunk(chunk: Chunk, sample: int) -> int:
    """Returns a time from the chunk's start; added to that, it is right to the ms."""
    file_start = chunk.file.start_sample if chunk.file else 0
    start_ms = samples_to_ms(file_start + chunk.start_sample, chunk.sample_rate_hz)
    return samples_to_ms(file_start + sample, chunk.sample_rate_hz) - start_ms


def _says(path: Path, text: str) -> bool:
    """Whether a file has this content."""
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False
