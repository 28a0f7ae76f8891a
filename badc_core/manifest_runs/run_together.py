"""Running many manifests with one engine, so that a worker loads its model once for all of them.

The queue runs across manifests, and each is finished as its last chunk is done. A manifest that
fails as a whole costs no other. What one manifest needs is in `manifest_run.py`.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from typing import Protocol, TypeVar

from badc_core.detectors.interface import DetectorIdentity
from badc_core.engine.opening import open_engine
from badc_core.engine.protocol import ChunkResult, ChunkTask
from badc_core.errors import BadcError, ManifestMismatch, StorageFull
from badc_core.manifest_runs.run_spec import RunResult
from badc_core.outcomes import Outcome, attempt
from badc_core.settings import Settings
from badc_core.telemetry.attempts import Attempt

T = TypeVar("T")


class Run(Protocol):
    """The running of one manifest."""

    @property
    def recording_ids(self) -> tuple[str, ...]:
        """Whose chunks it has."""

    @property
    def n_out(self) -> int:
        """How many of its chunks have no result yet."""

    def tasks(self) -> Iterator[ChunkTask]:
        """Yields what must be analysed; the rest is taken as it is."""

    def attempted(self, attempt: Attempt) -> None:
        """Takes note of the beginning or the end of an attempt."""

    def take(self, result: ChunkResult) -> None:
        """Keeps what came of a chunk."""

    def finish(self) -> RunResult:
        """Ends it, and returns what it came to."""

    def abandon(self) -> None:
        """Ends it before it is done, keeping what was found; never raises our own errors."""


def run_together(
    runs: Iterable[tuple[str, Callable[[str], Run]]],
    settings: Settings,
    detector: DetectorIdentity,
) -> Generator[Outcome[RunResult], None, None]:
    """Yields what became of every run, as each is finished.

    However it ends, journals and JSON files hold what was found, and summaries are written.

    Args:
        runs: name of each, and what prepares it; drawn as workers need work, so they may be many.
        settings: of all of them.
        detector: what they run.

    Raises:
        DetectorFailed, DetectorMissing: no worker can be had.
        StorageFull: the disk or a quota is full.
    """
    desk = _Multiplexer()
    try:
        with open_engine(settings, detector, desk.attempted) as engine:
            for result in engine.run(desk.tasks(runs)):
                desk.take(result)
                yield from desk.ended()
        yield from desk.ended()
    finally:
        desk.abandon()


class _Multiplexer:
    """The runs under way: hands out their chunks, and hands each its results."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._runs: dict[str, Run] = {}
        self._drawn: set[str] = set()
        self._ended: list[Outcome[RunResult]] = []

    def tasks(self, runs: Iterable[tuple[str, Callable[[str], Run]]]) -> Iterator[ChunkTask]:
        for name, prepare in runs:
            run = self._guarded(name, prepare)
            if run is None:
                continue
            if not self._is_alone(name, run):
                run.abandon()
                continue
            self._runs[name] = run
            tasks = run.tasks()
            while name in self._runs:
                task = self._guarded(name, partial(_draw, tasks))
                if task is None:
                    break
                yield task
            self._drawn.add(name)
            self._finish_if_done(name)

    def attempted(self, attempt: Attempt) -> None:
        run = self._run_of(attempt.recording_id)
        if run is not None:
            run.attempted(attempt)

    def take(self, result: ChunkResult) -> None:
        name = self._names[result.chunk.recording_id]
        run = self._runs.get(name)
        if run is not None:
            self._guarded(name, lambda _: run.take(result))
            self._finish_if_done(name)

    def ended(self) -> list[Outcome[RunResult]]:
        """Returns the runs that ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def abandon(self) -> None:
        """Ends the runs that are still under way."""
        while self._runs:
            self._runs.popitem()[1].abandon()

    def _run_of(self, recording_id: str) -> Run | None:
        return self._runs.get(self._names[recording_id])

    def _is_alone(self, name: str, run: Run) -> bool:
        """Tells whether no other run has its recordings; takes note that this one has them."""
        for recording_id in run.recording_ids:
            other = self._names.get(recording_id)
            if other is not None:
                error = shared_recording(recording_id, name, other)
                self._ended.append(Outcome(name, error=error))
                return False
        self._names |= dict.fromkeys(run.recording_ids, name)
        return True

    def _finish_if_done(self, name: str) -> None:
        if name not in self._drawn or name not in self._runs or self._runs[name].n_out:
            return
        made = self._guarded(name, lambda name: self._runs[name].finish())
        if made is not None:
            del self._runs[name]
            self._ended.append(Outcome(name, value=made))

    def _guarded(self, name: str, work: Callable[[str], T]) -> T | None:
        """Returns what work returns; a failure ends the run of that name, a full disk all."""
        outcome = attempt(name, work)
        if outcome.error is None:
            return outcome.value
        if isinstance(outcome.error, StorageFull):
            raise outcome.error
        run = self._runs.pop(name, None)
        if run is not None:
            run.abandon()
        self._ended.append(Outcome(name, error=outcome.error))
        return None


def _draw(tasks: Iterator[ChunkTask], _name: str) -> ChunkTask | None:
    """Returns the next task; None where there is none."""
    return next(tasks, None)


def shared_recording(recording_id: str, name: str, other: str) -> BadcError:
    """Returns the complaint about two manifests that list the same recording."""
    return ManifestMismatch(
        f"recording {recording_id} is in {other} already", name, "Keep one manifest of each"
    )
