"""Datasets with results that tests of exports write down to the second, without any sound."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa

from badc_core.chunks.plan import plan_chunks
from badc_core.corpus.building import build_corpus
from badc_core.datasets.dataset import Dataset
from badc_core.detections.schema import DETECTIONS, EFFORT, make_detection_id
from badc_core.detections.store import write_detections, write_effort
from badc_core.detections.verify import verify_recording
from badc_core.exports.selection import ExportSelection
from badc_core.exports.writing import ExportOrder, ExportWritten, write_export
from badc_core.recordings.clock import locate_in_time
from badc_core.recordings.recording import Recording

RATE_HZ = 16_000
JAY = ("Blue Jay", "Cyanocitta cristata")
WREN = ("Cactus Wren", "Campylorhynchus brunneicapillus")


@dataclass(frozen=True)
class Put:
    """A detection to put into a recording; times in seconds."""

    start_s: float
    end_s: float
    name: tuple[str, str | None] = JAY
    score: float = 0.8
    code: str | None = None
    highest_hz: float | None = None
    is_expected: bool | None = None


@dataclass
class ExportBench:
    """A dataset to which a test adds recordings."""

    dataset: Dataset
    names: list[str] = field(default_factory=list)
    in_corpus: tuple[str, ...] = ()

    def add(
        self,
        recording_id: str,
        start: str | None,
        length_s: float,
        found: Sequence[Put] = (),
        failed: Sequence[int] = (),
        stub: bool = False,
        **fields: object,
    ) -> None:
        """Adds a recording.

        Args:
            start: by the station's clock, `2024-06-01 05:30:00`; None where it is not known.
            failed: numbers of its chunks of 60 s that failed.
            stub: whether no model ran.
            fields: of `Recording`.
        """
        recording = _describe(recording_id, start, length_s, fields)
        chunks = plan_chunks(
            recording_id, recording.n_samples, RATE_HZ, self.dataset.settings.chunks
        )
        rows = []
        for one in found:
            chunk = next(c for c in chunks if c.start_ms <= one.start_s * 1000 < c.end_ms)
            rows.append(_row(recording, chunk.chunk_id, (chunk.start_ms, chunk.end_ms), one))
        effort = [
            {
                "recording_id": recording_id,
                "chunk_id": chunk.chunk_id,
                "chunk_start_ms": chunk.start_ms,
                "chunk_end_ms": chunk.end_ms,
                "overlap_ms": 0,
                "status": _status(number in failed, stub, n_found),
                "detections": n_found,
                "effort_s": 0.0 if stub or number in failed else chunk.duration_s,
                "error": "it broke" if number in failed else None,
                "dead_s": 0.0,
                "not_analysed": [],
            }
            for number, chunk in enumerate(chunks)
            for n_found in [sum(row["chunk_id"] == chunk.chunk_id for row in rows)]
        ]
        tables = pa.Table.from_pylist(rows, DETECTIONS), pa.Table.from_pylist(effort, EFFORT)
        verify_recording(recording, *tables)
        recording.write(self.dataset.recording(recording_id))
        write_detections(self.dataset.detections(recording_id), tables[0])
        write_effort(self.dataset.effort(recording_id), tables[1])
        self.names.append(recording_id)

    def export(
        self, form: str, folder: Path | None = None, overwrites: bool = False, **chosen: object
    ) -> ExportWritten:
        """Returns what was written of everything that was added."""
        if self.in_corpus != (names := tuple(self.names)):
            build_corpus(self.dataset, names, {})
            self.in_corpus = names
        return write_export(
            self.dataset, ExportOrder(form, ExportSelection(**chosen), folder, overwrites)
        )


def open_bench(root: Path) -> ExportBench:
    """Returns an empty dataset in a folder."""
    (root / "audio").mkdir(parents=True)
    return ExportBench(Dataset.open(root))


def _status(is_failed: bool, is_stub: bool, n_found: int) -> str:
    if is_failed:
        return "error"
    return "stub" if is_stub else "ok" if n_found else "no_detections"


def _describe(recording_id: str, start: str | None, length_s: float, fields: dict) -> Recording:
    known = {"location": "MARSH", "timezone": "America/Edmonton", **fields}
    clock = datetime.fromisoformat(start) if start else None
    moment = locate_in_time(clock, known["timezone"]) if clock else None
    return Recording(
        **{
            "recording_id": recording_id,
            "path": f"audio/{known['location']}/{recording_id}.wav",
            "size_bytes": 1000,
            "sha256": hashlib.sha256(recording_id.encode()).hexdigest(),
            "fingerprint": "x",
            "audio_format": "WAV",
            "subtype": "PCM_16",
            "sample_rate_hz": RATE_HZ,
            "n_channels": 1,
            "n_samples": round(length_s * RATE_HZ),
            "rms_dbfs": -38.2,
            "peak_dbfs": -3.1,
            "clipped_fraction": 0.0,
            "is_silent": False,
            "channels": (),
            "start_local": clock,
            "start_utc": moment and moment.utc,
            "utc_offset_min": moment and moment.utc_offset_min,
            **known,
        }
    )


def _row(recording: Recording, chunk_id: str, chunk_ms: tuple[int, int], one: Put) -> dict:
    start_ms, end_ms = round(one.start_s * 1000), round(one.end_s * 1000)
    utc = recording.start_utc
    label = one.code or one.name[0]
    model = "birdnet", "2.4"
    return {
        "recording_id": recording.recording_id,
        "chunk_id": chunk_id,
        "chunk_start_ms": chunk_ms[0],
        "chunk_end_ms": chunk_ms[1],
        "timestamp_ms": start_ms - chunk_ms[0],
        "absolute_time_ms": start_ms,
        "end_ms": end_ms - chunk_ms[0],
        "absolute_end_ms": end_ms,
        "label": label,
        "label_code": one.code,
        "label_name": one.name[0],
        "scientific_name": one.name[1],
        "confidence": one.score,
        "status": "ok",
        "runner": model[0],
        "model_version": model[1],
        "model_sha256": "ab" * 32,
        "chunk_sha256": "cd" * 32,
        "config_hash": "ef" * 32,
        "source_path": recording.path,
        "dataset_root": "dataset",
        "detection_id": make_detection_id(recording.recording_id, start_ms, end_ms, label, *model),
        "is_detection": True,
        "study_area": recording.study_area,
        "location": recording.location,
        "recording_start_local": recording.start_local,
        "recording_start_utc": utc,
        "detection_utc": utc and utc + timedelta(milliseconds=start_ms),
        "max_freq_hz": one.highest_hz,
        "n_merged": 1,
        "is_expected": one.is_expected,
    }
