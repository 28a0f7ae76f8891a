"""Detections of many recordings: from manifests to files, one recording at a time.

Chunks go through one `engine.Engine`; a recording's files are written as soon as its last chunk
is done, so what is finished stays finished whatever happens next.
"""

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from badc_core.chunks.manifest import read_manifest
from badc_core.chunks.plan import Chunk
from badc_core.dataset import Dataset
from badc_core.detections.store import (
    DETECTOR_SETTINGS_KEY,
    FINGERPRINT_KEY,
    MODEL_SHA256_KEY,
    MODEL_VERSION_KEY,
    RUNNER_KEY,
    write_detections,
    write_effort,
)
from badc_core.detections.table import detections_table, effort_table
from badc_core.detections.verify import verify_recording
from badc_core.detectors.interface import DetectorIdentity
from badc_core.detectors.registry import identify_detector
from badc_core.errors import ContentMissing, DetectorFailed, UnreadableRecording
from badc_core.inference.engine import Engine
from badc_core.inference.protocol import ChunkResult, ChunkTask
from badc_core.outcomes import Outcome, attempt
from badc_core.provenance.fingerprints import Fingerprints
from badc_core.recordings.recording import Recording, read_recording
from badc_core.telemetry.log import TelemetryLog
from badc_core.telemetry.progress import watcher


@dataclass(frozen=True)
class DetectionsMade:
    """What detecting in one recording gave.

    Attributes:
        table: the detections, as written.
        effort_s: seconds analysed.
        detector_s: seconds workers spent, summed over chunks.
        n_chunks, n_chunks_failed: how many there were and how many gave no result.
        peak_rss_mib: of the largest worker involved.
        workers: labels of the workers involved, sorted.
    """

    table: pa.Table
    detector: DetectorIdentity
    effort_s: float
    detector_s: float
    n_chunks: int
    n_chunks_failed: int
    peak_rss_mib: float
    workers: tuple[str, ...]

    @property
    def n_species(self) -> int:
        """Distinct species; other sounds do not count."""
        return len(pc.unique(self.table["scientific_name"]).drop_null())

    def top_labels(self, n: int) -> list[tuple[str, int, float]]:
        """Returns the most frequent labels with their count and best confidence."""
        names = self.table["label_name"].to_pylist()
        best: dict[str, float] = {}
        for name, confidence in zip(names, self.table["confidence"].to_pylist(), strict=True):
            best[name] = max(best.get(name, 0.0), confidence)
        ranked = sorted(Counter(names).items(), key=lambda one: (-one[1], one[0]))
        return [(name, count, best[name]) for name, count in ranked[:n]]


@dataclass
class _InWork:
    """A recording some of whose chunks are still out."""

    recording: Recording
    chunks: tuple[Chunk, ...]
    done: dict[str, ChunkResult] = field(default_factory=dict)

    def in_order(self) -> list[ChunkResult]:
        return [self.done[chunk.chunk_id] for chunk in self.chunks]


class _Detecting:
    """One pass over many recordings."""

    def __init__(self, dataset: Dataset, telemetry: TelemetryLog) -> None:
        self._dataset = dataset
        self._telemetry = telemetry
        self._identity = identify_detector(dataset.settings.detector)
        self._config_hash = Fingerprints(dataset).settings_hash("detections")
        self._in_work: dict[str, _InWork] = {}
        self._unstarted: list[Outcome[DetectionsMade]] = []

    def run(self, recording_ids: Iterable[str]) -> Generator[Outcome[DetectionsMade], None, None]:
        with Engine(self._dataset.settings) as engine:
            for result in engine.run(self._tasks(recording_ids)):
                yield from self._drain_unstarted()
                self._record(result)
                in_work = self._in_work[result.chunk.recording_id]
                in_work.done[result.chunk.chunk_id] = result
                if len(in_work.done) == len(in_work.chunks):
                    del self._in_work[result.chunk.recording_id]
                    yield attempt(in_work.recording.recording_id, partial(self._finish, in_work))
        yield from self._drain_unstarted()

    def _tasks(self, recording_ids: Iterable[str]) -> Iterator[ChunkTask]:
        """Yields every chunk; recordings that cannot be started become failed outcomes."""
        for recording_id in recording_ids:
            started = attempt(recording_id, self._start)
            if started.value is None:
                self._unstarted.append(Outcome(recording_id, error=started.error))
                continue
            in_work = self._in_work[recording_id] = started.value
            audio = self._dataset.audio(in_work.recording.path)
            for chunk in in_work.chunks:
                yield ChunkTask(audio, in_work.recording.n_samples, chunk)

    def _drain_unstarted(self) -> Iterator[Outcome[DetectionsMade]]:
        while self._unstarted:
            yield self._unstarted.pop(0)

    def _start(self, recording_id: str) -> _InWork:
        recording = read_recording(self._dataset.recording(recording_id))
        manifest = read_manifest(self._dataset.manifest(recording_id), recording)
        return _InWork(recording, manifest.chunks)

    def _finish(self, in_work: _InWork, recording_id: str) -> DetectionsMade:
        """Writes a recording's files once all its chunks are done."""
        recording, results = in_work.recording, in_work.in_order()
        failed = [one for one in results if one.error is not None]
        _require_readable(recording, failed, len(results))
        table = detections_table(
            recording, results, self._identity, self._config_hash, self._dataset.root.name
        )
        effort = effort_table(recording_id, results)
        verify_recording(recording, table, effort)
        made_by = {
            RUNNER_KEY: self._identity.name,
            MODEL_VERSION_KEY: self._identity.version,
            MODEL_SHA256_KEY: self._identity.model_sha256 or "",
            FINGERPRINT_KEY: self._config_hash,
            DETECTOR_SETTINGS_KEY: self._dataset.settings.detector.model_dump_json(),
        }
        write_effort(self._dataset.effort(recording_id), effort, made_by)
        write_detections(self._dataset.detections(recording_id), table, made_by)
        return DetectionsMade(
            table=table,
            detector=self._identity,
            effort_s=pc.sum(effort["effort_s"]).as_py(),
            detector_s=sum(one.runtime_s for one in results),
            n_chunks=len(results),
            n_chunks_failed=len(failed),
            peak_rss_mib=max(one.peak_rss_mib for one in results),
            workers=tuple(sorted({one.worker for one in results})),
        )

    def _record(self, result: ChunkResult) -> None:
        watcher().analysed(result.chunk.duration_s)
        self._telemetry.append(
            chunk_id=result.chunk.chunk_id,
            recording_id=result.chunk.recording_id,
            status="failure" if result.error else "success",
            worker=result.worker,
            attempt=result.attempt,
            runtime_s=round(result.runtime_s, 4),
            audio_s=round(result.chunk.duration_s, 4),
            detections=len(result.detections),
            error=str(result.error) if result.error else None,
        )


def detect_recordings(
    dataset: Dataset, recording_ids: Iterable[str], telemetry: TelemetryLog
) -> Generator[Outcome[DetectionsMade], None, None]:
    """Yields what became of every recording, as each is finished.

    Args:
        dataset: holds recordings, manifests and settings.
        recording_ids: drawn as workers need work, so they may be many.
        telemetry: gets a line per chunk.

    Raises:
        DetectorMissing, ConfigInvalid: the detector cannot be loaded at all.
        DetectorFailed: its workers die before they are ready.
    """
    return _Detecting(dataset, telemetry).run(recording_ids)


def _require_readable(recording: Recording, failed: list[ChunkResult], n_chunks: int) -> None:
    """Raises where failed chunks mean that the recording as a whole has no result."""
    for one in failed:
        if isinstance(one.error, UnreadableRecording | ContentMissing):
            raise one.error
    if len(failed) == n_chunks:
        raise DetectorFailed(
            f"all {n_chunks} chunks failed, the first with: {failed[0].error}",
            recording.recording_id,
            "See the telemetry log, then run again",
        )
