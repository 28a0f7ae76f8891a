"""Datasets with results in them, for report tests: real audio, real detections, hostile paths."""

import csv
import dataclasses
import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
import soundfile as sf

from badc_core.chunks.plan import Chunk, plan_chunks
from badc_core.datasets.dataset import Dataset
from badc_core.detections.schema import DETECTIONS, EFFORT
from badc_core.detections.store import write_detections, write_effort
from badc_core.detections.verify import verify_recording
from badc_core.intervals import Interval, clip, length_of, unite
from badc_core.recordings.recording import Recording

Found = tuple[float, float, str, str | None, float]
"""Start, end (seconds), name, scientific name, confidence."""

MIN_SCORE = 0.25


@dataclass
class Workbench:
    """A dataset to which a test adds recordings with results.

    Attributes:
        dataset: in a folder with a space, an apostrophe and an accent.
        official: what BirdNET itself found in the soundscape.
    """

    dataset: Dataset
    audio: Path
    official: list[Found] = field(default_factory=list)

    def add(
        self,
        recording_id: str = "soundscape",
        found: Sequence[Found] | None = None,
        failed: dict[int, str] | None = None,
        detector: tuple[str, str] = ("birdnet", "2.4"),
        source: str = "soundscape.flac",
        dead: Sequence[Interval] = (),
        **fields: object,
    ) -> Recording:
        """Adds a recording of real sound with its chunks and detections, and returns it.

        Nothing was recorded where it is `dead`, in milliseconds.
        """
        recording = self._describe(recording_id, source, fields)
        chunks = plan_chunks(
            recording_id,
            recording.n_samples,
            recording.sample_rate_hz,
            self.dataset.settings.chunks,
        )
        failed = failed or {}
        found = self.official if found is None else found
        rows, counts = [], [0] * len(chunks)
        for one in found:
            at = next(i for i, c in enumerate(chunks) if c.start_ms <= one[0] * 1000 < c.end_ms)
            counts[at] += 1
            row = _row(recording, chunks[at], one, len(rows))
            rows.append({**row, "runner": detector[0], "model_version": detector[1]})
        effort = [
            {
                "recording_id": recording_id,
                "chunk_id": chunk.chunk_id,
                "chunk_start_ms": chunk.start_ms,
                "chunk_end_ms": chunk.end_ms,
                "overlap_ms": chunk.overlap_ms,
                "status": "error" if i in failed else "ok" if counts[i] else "no_detections",
                "detections": counts[i],
                "effort_s": 0.0 if i in failed else chunk.duration_s - _dead_s(chunk, dead),
                "error": failed.get(i),
                "dead_s": _dead_s(chunk, dead),
                "not_analysed": [{"start_ms": start, "end_ms": end} for start, end in dead],
            }
            for i, chunk in enumerate(chunks)
        ]
        tables = pa.Table.from_pylist(rows, DETECTIONS), pa.Table.from_pylist(effort, EFFORT)
        verify_recording(recording, *tables)
        recording.write(self.dataset.recording(recording_id))
        write_detections(self.dataset.detections(recording_id), tables[0])
        write_effort(self.dataset.effort(recording_id), tables[1])
        return recording

    def _describe(self, recording_id: str, source: str, fields: dict) -> Recording:
        path = self.dataset.root / "audio" / f"{recording_id}{Path(source).suffix}"
        shutil.copyfile(self.audio / source, path)
        sound = sf.info(path)
        recording = Recording(
            recording_id=recording_id,
            path=str(path.relative_to(self.dataset.root)),
            size_bytes=path.stat().st_size,
            sha256=hashlib.sha256(recording_id.encode()).hexdigest(),
            fingerprint="x",
            audio_format=sound.format,
            subtype=sound.subtype,
            sample_rate_hz=sound.samplerate,
            n_channels=sound.channels,
            n_samples=sound.frames,
            rms_dbfs=-38.2,
            peak_dbfs=-3.1,
            clipped_fraction=0.0,
            is_silent=False,
            channels=(),
            study_area="Sambaa K'e",
            location="Étang 7",
            start_local=datetime(2024, 5, 14, 5, 30),
            utc_offset_min=-420,
        )
        return dataclasses.replace(recording, **fields)


def _dead_s(chunk: Chunk, dead: Sequence[Interval]) -> float:
    return length_of(clip(unite(dead), chunk.start_ms, chunk.end_ms)) / 1000


def _row(recording: Recording, chunk, one: Found, number: int) -> dict:
    start_ms, end_ms = round(one[0] * 1000), round(one[1] * 1000)
    start = recording.start_local
    utc = recording.start_utc
    return {
        "recording_id": recording.recording_id,
        "chunk_id": chunk.chunk_id,
        "chunk_start_ms": chunk.start_ms,
        "chunk_end_ms": chunk.end_ms,
        "timestamp_ms": start_ms - chunk.start_ms,
        "absolute_time_ms": start_ms,
        "end_ms": end_ms - chunk.start_ms,
        "absolute_end_ms": end_ms,
        "label": one[2],
        "label_name": one[2],
        "confidence": one[4],
        "status": "ok",
        "runner": "birdnet",
        "model_version": "2.4",
        "model_sha256": "ab" * 32,
        "chunk_sha256": "cd" * 32,
        "source_path": recording.path,
        "dataset_root": "dataset",
        "detection_id": f"{recording.recording_id}-{number}",
        "is_detection": True,
        "study_area": recording.study_area,
        "location": recording.location,
        "recording_start_local": start,
        "recording_start_utc": utc,
        "detection_utc": utc and utc + timedelta(milliseconds=start_ms),
        "scientific_name": one[3],
        "n_merged": 1,
        "config_hash": "ef" * 32,
    }


@pytest.fixture
def open_workbench(tmp_path: Path, field_audio: Path) -> Callable[..., Workbench]:
    """Returns what opens an empty dataset, with overrides of its settings."""
    with (field_audio / "birdnet_soundscape_reference.csv").open(encoding="utf-8") as file:
        official = [
            (
                float(row["start_time"]),
                float(row["end_time"]),
                row["common_name"],
                None if row["common_name"] == row["scientific_name"] else row["scientific_name"],
                float(row["confidence"]),
            )
            for row in csv.DictReader(file)
            if float(row["confidence"]) >= MIN_SCORE
        ]

    def open_(**overrides: dict) -> Workbench:
        root = tmp_path / "l'été [1] 100% données"
        (root / "audio").mkdir(parents=True, exist_ok=True)
        return Workbench(Dataset.open(root, overrides), field_audio, official)

    return open_


@pytest.fixture
def workbench(open_workbench: Callable[..., Workbench]) -> Workbench:
    """Returns an empty dataset of full bundles whose pages show two detections, which take time."""
    return open_workbench(report={"top_detections": 2, "bundle": "full"})
