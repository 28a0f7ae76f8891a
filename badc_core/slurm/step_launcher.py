"""Launches a step on the cluster: what goes there, and what comes back.

The host keeps the recordings in work, fetches what nodes cannot, and gives back what the body of
the step would have. If it is killed, tasks go on; marks in the work folder keep other runs away
from their recordings until the next step on the cluster takes the tasks up.
"""

import resource
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from badc_core.atomic import remove_folder, write_text
from badc_core.errors import BadcError, RecordingBusy, RecordingUnattended
from badc_core.inference.raw_result import RawResult
from badc_core.inference.run_recorder import RunRecorder
from badc_core.outcomes import Outcome, attempt
from badc_core.provenance.fetching import Fetcher
from badc_core.slurm.array_run import ArrayRun
from badc_core.slurm.binds import list_binds
from badc_core.slurm.commands import Slurm
from badc_core.slurm.packing import pack
from badc_core.slurm.run_folder import RunFolder
from badc_core.slurm.run_folders import (
    end_run,
    following,
    give_back,
    is_same_work,
    list_run_folders,
    other_host,
    recording_ids_of,
    runs_folder,
)
from badc_core.slurm.run_tasks import close_run
from badc_core.slurm.script import render_script
from badc_core.slurm.speeds import Speeds, lengths_s
from badc_core.slurm.submitting import say_how_many_are_ready, until_answered
from badc_core.stages.stage import STAGES
from badc_core.stages.step_inputs import StepInputs, fetching
from badc_core.stages.work import RecordingWork, recording_busy
from badc_core.telemetry.log import TelemetryLog
from badc_core.telemetry.summary import Summary

_LOOK_S, _TASKS_A_SECOND = 1.0, 200
"""Between two looks at the files of tasks; longer where there are many."""


@dataclass
class _Held:
    """A recording that the host keeps other runs away from."""

    begun: RecordingWork
    open: ExitStack


class SlurmStepLauncher:
    """One step that runs on the cluster.

    Args:
        inputs: of the step, on the host.
        say: called with what a person should know.
    """

    def __init__(self, inputs: StepInputs, say: Callable[[str], None] = lambda _: None) -> None:
        self._inputs = inputs
        self._work = inputs.work
        self._say = say
        self._attempted: Callable[[dict[str, Any]], None] = lambda _: None
        self._slurm = Slurm()
        self._held: dict[str, _Held] = {}
        self._runs: list[ArrayRun] = []

    def outcomes(
        self, attempted: Callable[[dict[str, Any]], None] = lambda _: None
    ) -> Generator[Outcome[Any], None, None]:
        """Yields what became of every recording; the consumer commits it.

        Args:
            attempted: called with every line of telemetry.

        Raises:
            SlurmRefused: nothing can be submitted.
            ProgramMissing: this machine has no Slurm.
        """
        self._attempted = attempted
        _open_many_files()
        # Before anything is given to tasks: this raises where there is no cluster.
        until_answered(self._slurm.largest_array, self._say)
        with fetching(self._inputs) as contents, ExitStack() as stack:
            stack.callback(self._leave)
            ids = self._inputs.recording_ids
            for one in say_how_many_are_ready(ids, self._held, self._say):
                begun = attempt(one, lambda it: self._hold(it, contents))
                if begun.error is not None:
                    yield Outcome(one, error=begun.error)
            try:
                yield from self._resume_runs(stack)
                if new := [one for one in self._held if not self._is_given(one)]:
                    self._begin(new, stack)
                yield from self._follow()
            except BaseException:
                self._cancel(contents)
                raise

    def detect(
        self, telemetry: TelemetryLog, analysed: Callable[[float], None], summary: Summary
    ) -> Generator[Outcome[RawResult], None, None]:
        """Yields what `detect_recordings` would, and records the same; raises as `outcomes`."""
        with RunRecorder(telemetry, summary, analysed) as recorder:
            for outcome in self.outcomes(recorder.relayed):
                path = self._inputs.dataset.raw_detections(outcome.recording_id)
                for one in outcome.value.results if outcome.value else ():
                    recorder.ended(one, self._inputs.dataset.below(path))
                yield outcome

    def metadata(self, recording_id: str) -> dict[str, Any]:
        """Returns where a recording was worked on, and what its task used."""
        found = [run.about[recording_id] for run in self._runs if recording_id in run.about]
        return found[0] if found else {}

    def list_tasks(self) -> list[dict[str, Any]]:
        """Returns where each task was, and what it used; tasks that never started are left out."""
        return [one.about for run in self._runs for one in run.tasks.values() if one.about]

    def _hold(self, recording_id: str, contents: Fetcher) -> None:
        """Keeps other runs away from a recording, and its files here.

        Raises:
            RecordingBusy, InputOutdated, ContentMissing: nobody may work on it now.
        """
        work, stage = self._work, self._inputs.stage
        with ExitStack() as own:
            if STAGES[stage].runs_detector:
                own.enter_context(work.analysing(recording_id, takes_over_tasks=True))
            begun = work.begin(stage, recording_id, takes_over_tasks=True)
            own.callback(begun.leave)
            self._inputs.require_finished_sources(recording_id)
            own.enter_context(contents.using(recording_id))
            self._held[recording_id] = _Held(begun, own.pop_all())

    def _resume_runs(self, stack: ExitStack) -> Iterator[Outcome[Any]]:
        """Goes on with what killed runs left; yields what their tasks have done meanwhile.

        Where settings or inputs are others now, the jobs are ended: what they find is of no use.
        """
        elsewhere = self._list_elsewhere()
        given = defaultdict(set)
        for one in self._held:
            given[self._work.run_of(one)].add(one)
        for one in given.pop("", ()):
            given[elsewhere.get(one, "")].add(one)
        given.pop("", None)
        for path, own in sorted(given.items()):
            folder = RunFolder(Path(path))
            if folder.is_shrunk:
                continue
            if person := folder.other_person:
                yield from self._refuse(own, partial(_others_recording, person=person))
            elif host := other_host(folder, self._work):
                yield from self._refuse(own, partial(_elsewhere, host=host))
            elif not stack.enter_context(following(folder, self._work)):
                yield from self._refuse(own, recording_busy)
            elif is_same_work(folder, self._inputs):
                run = self._run(folder, own)
                for outcome in run.attach():
                    yield self._own(outcome, folder)
            else:
                self._say(f"ending run {folder.path.name}, whose settings were others")
                end_run(folder, self._slurm, self._work, self._say, held=own)

    def _list_elsewhere(self) -> dict[str, str]:
        """Returns the recordings of runs of other machines, whose marks are not in this folder."""
        return {
            one: str(folder.path)
            for folder in list_run_folders(self._inputs.dataset)
            if not folder.other_person and other_host(folder, self._work)
            for one in recording_ids_of(folder)
        }

    def _refuse(
        self, recording_ids: set[str], why: Callable[[str], RecordingBusy]
    ) -> Iterator[Outcome[Any]]:
        for one in sorted(recording_ids):
            self._held.pop(one).open.close()
            yield Outcome(one, error=why(one))

    def _is_given(self, recording_id: str) -> bool:
        return any(recording_id in run.recording_ids for run in self._runs)

    def _begin(self, recording_ids: list[str], stack: ExitStack) -> None:
        """Makes the folder of a new run over some recordings."""
        settings, stage = self._inputs.settings.slurm, self._inputs.stage
        audio_s = lengths_s(self._inputs.dataset, recording_ids)
        speed = Speeds(self._inputs.work_folder).of(stage)
        tasks = pack(audio_s, settings.target_minutes * 60 * speed)
        path = runs_folder(self._inputs.dataset) / f"{stage}-{uuid4().hex[:8]}"
        folder = RunFolder(path)
        stack.enter_context(following(folder, self._work))
        # Before the folder: whoever finds that knows that all its recordings are marked.
        try:
            for one in recording_ids:
                self._work.give_to_task(one, str(path))
            folder.create(self._inputs, tasks)
            self._run(folder, recording_ids)
        except BaseException:
            for one in recording_ids:
                self._work.take_from_task(one, str(path))
            remove_folder(path)
            raise

    def _run(self, folder: RunFolder, recording_ids: Any) -> ArrayRun:
        settings = self._inputs.settings.slurm
        folders = list_binds(self._inputs, folder.path) if settings.image else ()
        script = render_script(settings, self._inputs.stage, folders)
        write_text(folder.script, script)
        say, attempted = self._say, self._attempted
        run = ArrayRun(folder, self._slurm, self._inputs, recording_ids, attempted, say)
        self._runs.append(run)
        return run

    def _follow(self) -> Iterator[Outcome[Any]]:
        while not all(run.is_done for run in self._runs):
            for run in self._runs:
                for outcome in run.look():
                    yield self._own(outcome, run.folder)
            n_tasks = sum(len(run.tasks) for run in self._runs)
            time.sleep(_LOOK_S + n_tasks / _TASKS_A_SECOND)
        for run in self._runs:
            run.ask_for_states()
            path = str(run.folder.path)
            for one in run.recording_ids:
                self._work.take_from_task(one, path)
            # Others of its recordings may be in work still, for a step of their own.
            others = recording_ids_of(run.folder) - run.recording_ids
            if not any(self._work.run_of(one) == path for one in others):
                close_run(run.folder)

    def _own(self, outcome: Outcome[Any], folder: RunFolder) -> Outcome[Any]:
        """Returns a node's outcome as one of this host."""
        recording_id, run = outcome.recording_id, str(folder.path)
        held = self._held.pop(recording_id)
        if outcome.error is not None:
            folder.release(recording_id)
            journals = folder.find_journals(recording_id)[recording_id]
            give_back(journals, recording_id, self._work)
            self._work.take_from_task(recording_id, run)
            held.open.close()
            return outcome

        def commit() -> None:
            self._work.journal(recording_id).unlink(missing_ok=True)
            self._work.take_from_task(recording_id, run)
            held.begun.commit()
            held.open.close()

        return Outcome(recording_id, outcome.value, on_commit=commit)

    def _cancel(self, contents: Fetcher) -> None:
        """Cancels what is left; what tasks have found out so far stays for the next run."""
        for run in self._runs:
            try:
                end_run(run.folder, self._slurm, self._work, self._say, held=set(self._held))
            except BadcError as error:
                self._say(f"run {run.folder.path.name} is left to the next step: {error}")
                contents.keep()

    def _leave(self) -> None:
        """Lets go of the recordings that nobody has an outcome of."""
        while self._held:
            self._held.popitem()[1].open.close()


def _others_recording(recording_id: str, person: str) -> RecordingBusy:
    what = f"a run of {person}'s on the cluster is not finished"
    remedy = (
        f"Let {person} finish it, by: badc run --slurm DATASET. "
        "Or end it, by: badc slurm cancel DATASET"
    )
    return RecordingUnattended(what, recording_id, remedy)


def _elsewhere(recording_id: str, host: str) -> RecordingBusy:
    what = f"a run of {host} that this machine cannot see may be at work on it on the cluster"
    remedy = f"Let it end; if it was killed, run on {host}: badc run --slurm DATASET"
    return RecordingUnattended(what, recording_id, remedy)


def _open_many_files() -> None:
    """Lets this process have as many files open as the system allows: two for each recording."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
