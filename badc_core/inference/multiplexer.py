"""Many recordings through one engine, so that a worker loads its model once for all of them.

The queue of chunks runs across recordings, and each is finished as its last chunk is done. A
recording that fails costs no other. What one recording needs is in `recording_run.py`.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from functools import partial
from typing import Generic, TypeVar

from badc_core.detectors.interface import DetectorIdentity
from badc_core.engine.opening import open_engine
from badc_core.engine.protocol import ChunkResult, ChunkTask
from badc_core.errors import BadcError, StoppedAtFailure, StorageFull
from badc_core.inference.recording_run import RecordingRun
from badc_core.outcomes import Outcome, attempt
from badc_core.settings import Settings
from badc_core.telemetry.attempts import Attempt

T = TypeVar("T")


def run_recordings(
    runs: Iterable[RecordingRun[T]], settings: Settings, detector: DetectorIdentity
) -> Generator[Outcome[T], None, None]:
    """Yields what became of every recording, as each is finished.

    However it ends, journals hold what was found, and recordings that are not finished are left
    to the next run.

    Args:
        runs: drawn as workers need work, so they may be many; no recording is there twice.
        settings: of all of them.
        detector: what they run.

    Raises:
        DetectorFailed, DetectorMissing, ConfigInvalid: no worker can be had.
        StorageFull: a journal or the telemetry cannot be written.
        StoppedAtFailure: a chunk failed, and `inference.fail_fast` is set.
    """
    multiplexer = Multiplexer(runs)
    with closing(multiplexer), open_engine(settings, detector, multiplexer.attempted) as engine:
        for result in engine.run(multiplexer.tasks()):
            multiplexer.record(result)
            if result.error is not None and settings.inference.fail_fast:
                multiplexer.stop(result)
            yield from multiplexer.take_ended()
        yield from multiplexer.take_ended()
        multiplexer.raise_if_stopped()


class Multiplexer(Generic[T]):
    """The recordings in work: hands out their chunks, and gives each its results."""

    def __init__(self, runs: Iterable[RecordingRun[T]]) -> None:
        self._runs = runs
        self._in_work: dict[str, RecordingRun[T]] = {}
        self._ended: list[Outcome[T]] = []
        self._fatal: ChunkResult | None = None

    def tasks(self) -> Iterator[ChunkTask]:
        """Yields the chunks to analyse, recording by recording."""
        for run in self._runs:
            if self._fatal is not None:
                return
            begun = attempt(run.recording_id, partial(_begin, run))
            if begun.error is not None:
                self._fail(run, begun.error)
                continue
            self._in_work[run.recording_id] = run
            for task in begun.require():
                if self._fatal is not None:
                    return
                if self._active(run.recording_id) is None:
                    break  # it failed meanwhile, or was left
                yield task
            self._finish_if_done(run)

    def attempted(self, attempt: Attempt) -> None:
        """Records the beginning or the end of an attempt."""
        run = self._active(attempt.recording_id)
        if run is not None:
            run.attempted(attempt)

    def record(self, result: ChunkResult) -> None:
        """Gives a result to its recording."""
        run = self._active(result.chunk.recording_id)
        if run is None:
            return
        recorded = attempt(run.recording_id, lambda _: run.record(result))
        if recorded.error is None:
            self._finish_if_done(run)
        elif isinstance(recorded.error, StorageFull):
            raise recorded.error
        else:
            del self._in_work[run.recording_id]
            self._fail(run, recorded.error)

    def stop(self, failed: ChunkResult) -> None:
        """Hands out no further chunk; those in work are still finished."""
        self._fatal = self._fatal or failed

    def raise_if_stopped(self) -> None:
        """Raises StoppedAtFailure if `stop` was called."""
        if self._fatal is not None:
            raise StoppedAtFailure(
                f"stopped at the first failure, as inference.fail_fast says ({self._fatal.error})",
                self._fatal.chunk.recording_id,
                "What is done is kept; run again to go on",
            )

    def take_ended(self) -> Iterator[Outcome[T]]:
        """Yields the recordings that ended since the last call."""
        while self._ended:
            yield self._ended.pop(0)

    def close(self) -> None:
        """Leaves the recordings that are not finished."""
        while self._in_work:
            self._in_work.popitem()[1].leave()

    def _active(self, recording_id: str) -> RecordingRun[T] | None:
        """Returns the recording's run, unless it has ended or whoever started it has left it."""
        run = self._in_work.get(recording_id)
        if run is not None and run.is_left:
            del self._in_work[recording_id]
            return None
        return run

    def _finish_if_done(self, run: RecordingRun[T]) -> None:
        if not run.is_done or self._in_work.pop(run.recording_id, None) is None:
            return
        finished = attempt(run.recording_id, lambda _: run.finish())
        if finished.error is not None:
            self._fail(run, finished.error)
        else:
            self._ended.append(finished.require())

    def _fail(self, run: RecordingRun[T], error: BadcError) -> None:
        run.leave()
        self._ended.append(Outcome(run.recording_id, error=error))


def _begin(run: RecordingRun[T], _recording_id: str) -> list[ChunkTask]:
    return run.begin()
