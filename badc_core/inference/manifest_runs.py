"""Running manifests, one or many, with one engine: `badc infer run` and `badc infer orchestrate`.

A manifest that fails costs no other. What one of them needs is in `manifest_run.py`.
"""

from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing

from badc_core.detectors.interface import DetectorIdentity
from badc_core.detectors.registry import identify_detector
from badc_core.errors import BadcError, ManifestMismatch, StorageFull
from badc_core.inference.manifest_run import ManifestRun
from badc_core.inference.multiplexer import run_recordings
from badc_core.inference.recording_run import RecordingRun
from badc_core.inference.run_records import FinishedRun, RunCommits
from badc_core.inference.run_spec import RunResult
from badc_core.outcomes import Outcome, attempt
from badc_core.settings import Settings


def run_and_commit(run: ManifestRun, warn: Callable[[str], object]) -> RunResult:
    """Does what `run_manifest` does, then commits the results as `datalad.record` says.

    Args:
        run: the run.
        warn: gets the sentence that says why nothing is committed.

    Raises:
        DetectorFailed, DetectorMissing, StorageFull, OutputUnwritable: as `run_manifest`.
        ProgramMissing, RepositoryFailed: commits are required and impossible.
    """
    spec = run.spec
    commits = RunCommits(spec.dataset, spec.settings.datalad.record == "require", 1, warn)
    result = run_manifest(run)
    commits.add(FinishedRun(spec, run.recording_ids, run.sources))
    return result


def run_manifest(run: ManifestRun) -> RunResult:
    """Analyses what has no result yet; returns when everything has been tried.

    However it ends, journals and JSON files hold what was found, and the summary is written.

    Raises:
        DetectorFailed, DetectorMissing: no worker can be had.
        StorageFull: the disk or a quota is full.
        OutputUnwritable: nothing can be written where results belong.
    """
    settings = run.spec.settings
    detector = identify_detector(settings.detector)
    (outcome,) = run_manifests([(run.name, lambda _: run)], settings, detector)
    return outcome.require()


def run_manifests(
    runs: Iterable[tuple[str, Callable[[str], ManifestRun]]],
    settings: Settings,
    detector: DetectorIdentity,
) -> Generator[Outcome[RunResult], None, None]:
    """Yields what became of every run, as each is finished.

    Args:
        runs: name of each, and what prepares it; drawn as workers need work, so they may be many.
        settings: of all of them.
        detector: that they run.

    Raises:
        DetectorFailed, DetectorMissing: no worker can be had.
        StorageFull: the disk or a quota is full.
    """
    with closing(_RunsInWork(runs)) as in_work:
        for outcome in run_recordings(in_work.recordings(), settings, detector):
            in_work.add(outcome)
            yield from in_work.take_ended()
        yield from in_work.take_ended()


class _RunsInWork:
    """Runs some of whose recordings may still be in work."""

    def __init__(self, runs: Iterable[tuple[str, Callable[[str], ManifestRun]]]) -> None:
        self._to_prepare = runs
        self._names: dict[str, str] = {}
        self._runs: dict[str, ManifestRun] = {}
        self._drawn: dict[str, list[RecordingRun[None]]] = defaultdict(list)
        self._ended: list[Outcome[RunResult]] = []

    def recordings(self) -> Iterator[RecordingRun[None]]:
        for name, prepare in self._to_prepare:
            prepared = attempt(name, prepare)
            if prepared.value is None:
                self._end(name, prepared.error)
                continue
            self._runs[name] = run = prepared.value
            shared = next((one for one in run.recording_ids if one in self._names), None)
            if shared is not None:
                self._end(name, shared_recording(shared, name, self._names[shared]))
                continue
            self._names |= dict.fromkeys(run.recording_ids, name)
            recordings = run.recordings()
            while name in self._runs:
                drawn = attempt(name, lambda _, them=recordings: next(them, None))  # type: ignore[misc]
                if drawn.error is not None:
                    self._end(name, drawn.error)
                elif drawn.value is None:
                    break
                else:
                    self._drawn[name].append(drawn.value)
                    yield drawn.value

    def add(self, outcome: Outcome[None]) -> None:
        """Records that a recording has ended, and perhaps its run with it."""
        name = self._names[outcome.recording_id]
        run = self._runs.get(name)
        if run is None:
            return
        added = attempt(name, lambda _: run.add(outcome))
        if added.error is not None:
            self._end(name, added.error)
        elif run.is_done:
            finished = attempt(name, lambda _: run.finish())
            self._end(name, finished.error, finished.value)

    def take_ended(self) -> Iterator[Outcome[RunResult]]:
        """Yields the runs that ended since the last call."""
        while self._ended:
            yield self._ended.pop(0)

    def close(self) -> None:
        """Ends the runs that are still in work."""
        while self._runs:
            self._runs.popitem()[1].abandon()

    def _end(self, name: str, error: BadcError | None, result: RunResult | None = None) -> None:
        if isinstance(error, StorageFull):
            raise error
        run = self._runs.pop(name, None)
        drawn = self._drawn.pop(name, ())
        if run is not None and error is not None:
            for one in drawn:
                one.leave()
            run.abandon()
        self._ended.append(Outcome(name, result, error))


def shared_recording(recording_id: str, name: str, other: str) -> BadcError:
    """Returns the error about two manifests that list the same recording."""
    return ManifestMismatch(
        f"recording {recording_id} is in {other} already", name, "Keep one manifest of each"
    )
