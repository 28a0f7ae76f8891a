"""Detections of many recordings: from manifests to files, one recording at a time.

Chunks go through one `Engine`, and what becomes of each into its recording's journal, from
which a run that was interrupted goes on. A recording's files are written as soon as its last chunk
is done, so what is finished stays finished whatever happens next.
"""

import json
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from badc_core.atomic import remove_abandoned
from badc_core.chunks.manifest import VIRTUAL_NOTE, chunk_sha256, read_manifest
from badc_core.chunks.plan import Chunk
from badc_core.datasets.dataset import Dataset
from badc_core.detections.filters import keep
from badc_core.detections.joining import join_touching
from badc_core.detections.store import (
    DETECTOR_SETTINGS_KEY,
    FINGERPRINT_KEY,
    MODEL_SHA256_KEY,
    MODEL_VERSION_KEY,
    RUNNER_KEY,
    write_detections,
    write_effort,
)
from badc_core.detections.verify import verify_recording
from badc_core.detectors.interface import RecordingContext
from badc_core.detectors.registry import identify_detector
from badc_core.engine.opening import open_engine
from badc_core.engine.protocol import ChunkResult, ChunkTask
from badc_core.errors import ContentMissing, DetectorFailed, UnreadableRecording
from badc_core.inference.chunk_json import ChunkOrigin, write_chunk_json
from badc_core.inference.detections_result import DetectionsResult
from badc_core.inference.detections_table import detections_table, effort_table
from badc_core.inference.holding import LockedRecordings
from badc_core.inference.journal import Journal, chunk_key
from badc_core.inference.run_recorder import RunRecorder
from badc_core.outcomes import Outcome, attempt
from badc_core.recordings.recording import Recording, read_recording
from badc_core.stages.fingerprints import Fingerprints
from badc_core.telemetry.attempts import Attempt
from badc_core.telemetry.log import TelemetryLog
from badc_core.telemetry.summary import Summary
from badc_core.tolerance import is_tolerated


@dataclass
class _RecordingState:
    """A recording some of whose chunks may still be out."""

    recording: Recording
    journal: Journal
    tasks: dict[str, ChunkTask]
    """By what the journal knows them by, in order."""
    done: dict[str, ChunkResult] = field(default_factory=dict)
    keys: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        self.keys = {id(task): key for key, task in self.tasks.items()}

    def in_order(self) -> tuple[ChunkResult, ...]:
        return tuple(self.done[key] for key in self.tasks)

    def key_of(self, task: ChunkTask) -> str:
        return self.keys[id(task)]

    def waiting(self) -> list[ChunkTask]:
        return [task for key, task in self.tasks.items() if key not in self.done]


class _Detecting:
    """One pass over many recordings."""

    def __init__(
        self, dataset: Dataset, accounts: RunRecorder, begun: Callable[[str], None]
    ) -> None:
        self._dataset = dataset
        self._accounts = accounts
        self._begun = begun
        self._held = LockedRecordings(dataset.inference)
        self._identity = identify_detector(dataset.settings.detector)
        fingerprints = Fingerprints(dataset)
        self._config_hash = fingerprints.config_hash
        self._chunk_hash = fingerprints.settings_hash("detections")
        self._in_work: dict[str, _RecordingState] = {}
        self._ended: list[Outcome[DetectionsResult]] = []

    def run(self, recording_ids: Iterable[str]) -> Generator[Outcome[DetectionsResult], None, None]:
        settings = self._dataset.settings
        for folder in self._dataset.output_folders:
            remove_abandoned(folder)
        with (
            self._held,
            self._accounts,
            open_engine(settings, self._identity, self._attempted) as engine,
        ):
            for result in engine.run(self._tasks(recording_ids)):
                self._take(result)
                yield from self._drain_ended()
            yield from self._drain_ended()

    def _attempted(self, attempt: Attempt) -> None:
        """Enters an attempt, a good one with the file its detections will be in."""
        if attempt.status == "success":
            path = self._dataset.detections(attempt.recording_id)
            output = str(path.relative_to(self._dataset.root))
            attempt = replace(attempt, details=replace(attempt.details, output=output))
        self._accounts.attempted(attempt)

    def _tasks(self, recording_ids: Iterable[str]) -> Iterator[ChunkTask]:
        """Yields the chunks to analyse; recordings that need none end here."""
        for recording_id in recording_ids:
            started = attempt(recording_id, self._start)
            if started.value is None:
                self._ended.append(Outcome(recording_id, error=started.error))
                continue
            in_work = started.value
            for result in in_work.done.values():
                self._accounts.ended(result)
            waiting = in_work.waiting()
            if waiting:
                self._in_work[recording_id] = in_work
                yield from waiting
            else:
                self._ended.append(attempt(recording_id, partial(self._finish, in_work)))
                # At once, since there may be very many before the next result. Whoever takes it
                # now finds the same in its journal.
                self._held.end_part(recording_id)

    def _drain_ended(self) -> Iterator[Outcome[DetectionsResult]]:
        """Yields what has ended; a recording is let go once whoever takes it has asked for more.

        By then the asset graph knows of the result. So its journal can go too, and no kill makes
        anything be computed again.
        """
        while self._ended:
            outcome = self._ended.pop(0)
            yield outcome
            if outcome.value is not None and outcome.value.is_final:
                Journal(self._dataset.inference.journal(outcome.recording_id)).remove()
            self._held.end_part(outcome.recording_id)

    def _start(self, recording_id: str) -> _RecordingState:
        self._held.begin(recording_id)
        try:
            self._begun(recording_id)
            return self._look_up(recording_id)
        except BaseException:
            self._held.end_part(recording_id)
            raise

    def _look_up(self, recording_id: str) -> _RecordingState:
        remove_abandoned(self._dataset.inference.recording(recording_id))
        recording = read_recording(self._dataset.recording(recording_id))
        manifest = read_manifest(self._dataset.manifest(recording_id), recording)
        audio = self._dataset.audio(recording.path)
        recording_context = RecordingContext.of(recording)
        tasks = {
            self._key(recording, chunk, recording_context): ChunkTask(
                audio, recording.n_samples, chunk, recording_context, self._files(chunk)
            )
            for chunk in manifest.chunks
        }
        journal = Journal(self._dataset.inference.journal(recording_id))
        return _RecordingState(recording, journal, tasks, journal.known(tasks))

    def _files(self, chunk: Chunk) -> Path | None:
        """Returns where the detector's own files of a chunk go, if chunks have files at all."""
        if not self._dataset.settings.inference.chunk_json:
            return None
        paths, names = self._dataset.inference, (chunk.recording_id, chunk.chunk_id)
        return paths.chunk_files(*names, self._identity.name)

    def _key(self, recording: Recording, chunk: Chunk, recording_context: RecordingContext) -> str:
        sound = chunk_sha256(recording.sha256, chunk)
        return chunk_key(self._chunk_hash, sound, chunk.overlap_samples, recording_context)

    def _take(self, result: ChunkResult) -> None:
        recording_id = result.chunk.recording_id
        in_work = self._in_work[recording_id]
        key = in_work.key_of(result.task)
        in_work.journal.append(key, result)
        in_work.done[key] = result
        self._accounts.ended(result)
        if len(in_work.done) == len(in_work.tasks):
            del self._in_work[recording_id]
            self._ended.append(attempt(recording_id, partial(self._finish, in_work)))

    def _finish(self, in_work: _RecordingState, recording_id: str) -> DetectionsResult:
        """Writes a recording's files once all its chunks are done."""
        recording, settings = in_work.recording, self._dataset.settings
        results = tuple(
            replace(one, detections=keep(one.detections, settings.detector))
            for one in in_work.in_order()
        )
        failed = [one for one in results if one.error is not None]
        _require_readable(recording, failed, len(results))
        joined = self._joined(results)
        table = detections_table(
            recording, joined, self._identity, self._config_hash, self._dataset.root.name
        )
        effort = effort_table(recording_id, results, table)
        verify_recording(recording, table, effort)
        made_by = {
            RUNNER_KEY: self._identity.name,
            MODEL_VERSION_KEY: self._identity.version,
            MODEL_SHA256_KEY: self._identity.model_sha256 or "",
            FINGERPRINT_KEY: self._config_hash,
            DETECTOR_SETTINGS_KEY: json.dumps(self._fingerprint_inputs()),
        }
        write_effort(self._dataset.effort(recording_id), effort, made_by)
        write_detections(self._dataset.detections(recording_id), table, made_by)
        if settings.inference.chunk_json:
            self._write_chunk_json(recording, results)
        tolerated = settings.inference.max_failed_fraction
        return DetectionsResult(
            table=table,
            detector=self._identity,
            effort_s=pc.sum(effort["effort_s"]).as_py(),
            detector_s=sum(one.runtime_s for one in results),
            results=results,
            is_final=is_tolerated(len(failed), tolerated, len(results)),
        )

    def _joined(self, results: tuple[ChunkResult, ...]) -> tuple[ChunkResult, ...]:
        """Returns the chunks with the labels that begin in them, as long as is wished."""
        if self._dataset.settings.detector.label_length == "fixed":
            return results
        found = join_touching([one.detections for one in results])
        return tuple(replace(one, detections=own) for one, own in zip(results, found, strict=True))

    def _fingerprint_inputs(self) -> dict[str, Any]:
        """Returns the settings that decided a recording's detections."""
        detector = self._dataset.settings.detector
        return {**detector.fingerprint_inputs(), "label_length": detector.label_length}

    def _write_chunk_json(self, recording: Recording, results: Iterable[ChunkResult]) -> None:
        for one in results:
            chunk = one.chunk
            origin = ChunkOrigin(
                chunk_id=chunk.chunk_id,
                recording_id=chunk.recording_id,
                source_path=recording.path,
                start_ms=chunk.start_ms,
                end_ms=chunk.end_ms,
                overlap_ms=chunk.overlap_ms,
                sha256=chunk_sha256(recording.sha256, chunk),
                notes=VIRTUAL_NOTE,
                dataset_root=self._dataset.root.name,
                config_hash=self._chunk_hash,
                key=self._key(recording, chunk, one.task.recording_context),
            )
            write_chunk_json(self._dataset.inference, one, self._identity, origin)


def detect_recordings(
    dataset: Dataset,
    recording_ids: Iterable[str],
    telemetry: TelemetryLog,
    analysed: Callable[[float], None] = lambda _: None,
    summary: Summary | None = None,
    begun: Callable[[str], None] = lambda _: None,
) -> Generator[Outcome[DetectionsResult], None, None]:
    """Yields what became of every recording, as each is finished.

    Args:
        dataset: holds recordings, manifests and settings.
        recording_ids: drawn as workers need work, so they may be many.
        telemetry: gets a line when an attempt at a chunk begins, and one when it ends.
        analysed: is told of the seconds of sound that are done with, as they are.
        summary: adds up the same attempts, for whoever asks it afterwards; None for one of its own.
        begun: is told of each recording once no other run can be at work on it, before anything of
            it is read or written.

    Raises:
        DetectorMissing, ConfigInvalid: the detector cannot be loaded at all.
        DetectorFailed: its workers die before they are ready.
        StorageFull: a journal or the telemetry could not be written.
    """
    accounts = RunRecorder(telemetry, summary, analysed)
    return _Detecting(dataset, accounts, begun).run(recording_ids)


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
