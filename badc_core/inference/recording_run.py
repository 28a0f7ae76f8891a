"""One recording on its way through the engine: its lock, journal, chunks, results and commit.

It serves the asset and `badc infer` alike. They differ in the source that lists the chunks
(`detect.py`, `manifest_run.py`) and the sink that keeps the results (`raw_result.py`,
`chunk_sink.py`). Many recordings share an engine in `multiplexer.py`.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import NO_CONTEXT, DetectorIdentity
from badc_core.detectors.registry import uses_place
from badc_core.engine.findings import NO_SCORES
from badc_core.engine.protocol import ChunkResult, ChunkTask
from badc_core.errors import ManifestMismatch
from badc_core.inference.config_hashes import file_hash, model_hash
from badc_core.inference.journal import Journal, chunk_key, heard
from badc_core.inference.run_recorder import RunRecorder
from badc_core.intervals import length_of
from badc_core.outcomes import Outcome
from badc_core.stages.work import RecordingWork, Work
from badc_core.telemetry.attempts import Attempt
from badc_core.units import format_duration

_log = logging.getLogger(__name__)

STAGE = "raw_detections"
"""Whose output a run over a dataset writes."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class PlannedChunk:
    """A chunk of a recording.

    Attributes:
        key: the journal's, of the settings that decide what the model gives.
        file_key: a JSON file's, of all settings that decide what is kept.
        task: for a worker.
    """

    key: str
    file_key: str
    task: ChunkTask


@dataclass(frozen=True)
class Keys:
    """Makes the keys of chunks under one run's settings.

    Attributes:
        model_hash: of what decides what the model gives.
        file_hash: of what decides what is kept in a chunk's file.
        uses_place: whether what the model gives depends on place and date.
    """

    model_hash: str
    file_hash: str
    uses_place: bool

    @classmethod
    def of(cls, settings: DetectorSettings, detector: DetectorIdentity) -> Self:
        """Returns those of a detector under its settings."""
        model, files = model_hash(settings, detector), file_hash(settings, detector)
        return cls(model, files, uses_place(settings))

    def plan(self, task: ChunkTask, sound: str) -> PlannedChunk:
        """Returns a chunk with its keys."""
        sound = heard(sound, task.channel)
        overlap, context = task.chunk.overlap_samples, task.recording_context
        model_context = context if self.uses_place else NO_CONTEXT
        return PlannedChunk(
            chunk_key(self.model_hash, sound, overlap, model_context, task.chunk.file),
            chunk_key(self.file_hash, sound, overlap, context, task.chunk.file),
            task,
        )


Known = Mapping[str, ChunkResult]
"""Results of earlier runs, by `key`."""


class Sink(Protocol[T_co]):
    """Where the results of one recording go."""

    def output(self, chunk_id: str) -> str:
        """Returns the file with a chunk's detections, as telemetry names it."""

    def reuse(self, number: int, chunk: PlannedChunk) -> bool:
        """Whether the sink has a chunk's result already, which it then counts as its own."""

    def write(self, number: int, chunk: PlannedChunk, result: ChunkResult) -> None:
        """Keeps a result."""

    def finish(self) -> T_co:
        """Returns what all chunks came to, with the output on disk."""


@dataclass(frozen=True)
class Opened(Generic[T]):
    """A recording whose chunks are listed, ready to be analysed.

    Attributes:
        chunks: in order.
        known: results that need no model.
        sink: for all results.
    """

    chunks: Sequence[PlannedChunk]
    known: Known
    sink: Sink[T]


class RecordingRun(Generic[T]):
    """The analysis of one recording.

    Args:
        recording_id: which.
        work: says that the recording is in work, and holds its journal.
        recorder: counts attempts and ended chunks.
        open_source: lists the chunks; called once no other run can work on the recording.
        writes_stage: whether the result is the output of the stage, which the asset graph has to
            know of. Otherwise the journal stays, for runs with other thresholds.
        content: entered before the source is opened, has what that reads fetched, and keeps it
            until the output is written; None where nothing is to be fetched.
    """

    def __init__(
        self,
        recording_id: str,
        work: Work,
        recorder: RunRecorder,
        open_source: Callable[[], Opened[T]],
        writes_stage: bool = True,
        content: AbstractContextManager[None] | None = None,
    ) -> None:
        self.recording_id = recording_id
        self._work = work
        self._recorder = recorder
        self._open_source = open_source
        self._writes_stage = writes_stage
        self._content = content or nullcontext()
        self._begun: RecordingWork | None = None
        self._open = ExitStack()
        self._fetched = ExitStack()
        self.is_left = False
        self._sink: Sink[T]
        self._keys: set[str] = set()
        self._silent_s = 0.0
        self._waiting: dict[int, tuple[int, PlannedChunk]] = {}
        self._journal = Journal(work.journal(recording_id))

    def begin(self) -> list[ChunkTask]:
        """Keeps other runs out, takes over results of earlier runs, returns the chunks left.

        Raises:
            RecordingBusy: another run is at work on the recording.
            StorageFull, OutputUnwritable: nothing can be written where results belong.
            BadcError: as `open_source` raises.
        """
        self._open.enter_context(self._work.analysing(self.recording_id))
        if self._writes_stage:
            self._begun = self._work.begin(STAGE, self.recording_id)
            self._open.callback(self._begun.leave)
        self._open.enter_context(self._fetched)
        self._fetched.enter_context(self._content)
        opened = self._open_source()
        self._sink = opened.sink
        self._keys = {one.key for one in opened.chunks}
        for number, chunk in enumerate(opened.chunks):
            self._require_own(chunk)
            known = opened.known.get(chunk.key)
            if known is not None:
                self._keep(number, chunk, replace(known, task=chunk.task))
            elif not self._sink.reuse(number, chunk):
                self._waiting[id(chunk.task)] = number, chunk
        return [chunk.task for _, chunk in self._waiting.values()]

    @property
    def is_done(self) -> bool:
        """Whether no chunk is left."""
        return not self._waiting

    def attempted(self, attempt: Attempt) -> None:
        """Records the beginning or the end of an attempt at a chunk."""
        if attempt.status == "success":
            output = self._sink.output(attempt.chunk_id)
            attempt = replace(attempt, details=replace(attempt.details, output=output))
        self._recorder.attempted(attempt)

    def record(self, result: ChunkResult) -> None:
        """Writes what became of a chunk into the journal and the sink.

        Raises:
            StorageFull: the disk or a quota is full.
        """
        number, chunk = self._waiting.pop(id(result.task))
        self._journal.append(chunk.key, result)
        self._keep(number, chunk, result)

    def finish(self) -> Outcome[T]:
        """Writes the output and returns the outcome, which the consumer commits."""
        result = self._sink.finish()
        self._fetched.close()
        if self._silent_s:
            silent = format_duration(self._silent_s)
            _log.warning("%s: %s of digital silence %s", self.recording_id, silent, NO_SCORES)
        if self._writes_stage:
            return Outcome(self.recording_id, result, on_commit=self._commit)
        self.leave()
        return Outcome(self.recording_id, result)

    def leave(self) -> None:
        """Ends it before it is done; what the journal has stays, other runs may go on."""
        self.is_left = True
        self._open.close()

    def _commit(self) -> None:
        self._journal.forget(self._keys)
        if self._begun is not None:
            self._begun.commit()
        self.leave()

    def _keep(self, number: int, chunk: PlannedChunk, result: ChunkResult) -> None:
        self._silent_s += length_of(result.not_analysed) / result.chunk.sample_rate_hz
        self._sink.write(number, chunk, result)
        self._recorder.ended(result, self._sink.output(chunk.task.chunk.chunk_id))

    def _require_own(self, chunk: PlannedChunk) -> None:
        found = chunk.task.chunk.recording_id
        if found != self.recording_id:
            raise ManifestMismatch(
                f"its manifest has chunks of recording {found}",
                self.recording_id,
                "Make the manifest again: badc run DATASET",
            )


def find_known(
    chunks: Sequence[PlannedChunk], journal: Path, floor: float
) -> dict[str, ChunkResult]:
    """Returns the results in a recording's journal, by key."""
    return Journal(journal).known({one.key: one.task for one in chunks}, floor)
