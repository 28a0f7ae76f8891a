"""One step's work on the cluster, followed by its host.

What a task wrote is the truth about its recordings; Slurm is asked only what becomes of tasks, and
seldom. A task that ran out of time, or whose node went away, is submitted again and goes on where
it was.
"""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from typing import Any

from badc_core.engine import protocol
from badc_core.errors import BadcError, SlurmRefused, SlurmSilent
from badc_core.outcomes import Outcome
from badc_core.slurm.commands import Slurm
from badc_core.slurm.outputs import PATIENCE_S, Arrival
from badc_core.slurm.queue_watch import QueueWatch
from badc_core.slurm.run_folder import RunFolder
from badc_core.slurm.run_tasks import note_ends
from badc_core.slurm.speeds import Speeds
from badc_core.slurm.submitting import Submitter, until_answered
from badc_core.slurm.task import Task
from badc_core.slurm.values import unpack_value
from badc_core.stages.step_inputs import StepInputs
from badc_core.telemetry.log import Tail

_LAST_WORDS_S = 5.0
"""How long a task may take to end after its last recording."""

_QUESTIONS, _BETWEEN_QUESTIONS_S = 3, 1.0

AttemptHandler = Callable[[dict[str, Any]], None]
MessageHandler = Callable[[str], None]


class ArrayRun:
    """A run's tasks.

    Args:
        folder: of the run, with its tasks.
        slurm: the cluster.
        inputs: of the step.
        held: the recordings of the run that the step wants.
        attempted: called with every line of telemetry.
        say: called with what a person should know.

    Attributes:
        folder: of the run.
        tasks: by number.
        recording_ids: that it works on for the step.
        about: recording_id -> where it was worked on, and what its task used.
    """

    def __init__(
        self,
        folder: RunFolder,
        slurm: Slurm,
        inputs: StepInputs,
        held: Collection[str],
        attempted: AttemptHandler,
        say: MessageHandler,
    ) -> None:
        self.folder = folder
        self._slurm = slurm
        self._speeds = Speeds(inputs.work_folder)
        self._stage = inputs.stage
        self._most_submissions = 1 + inputs.settings.slurm.resubmissions
        self._attempted = attempted
        self._say = say
        self._queue = QueueWatch(slurm)
        self._submitter = Submitter(folder, slurm, inputs, say)
        read = folder.read_tasks().items()
        wanted = set(held)
        self.tasks = {number: Task(number, wanted & set(one.recording_ids)) for number, one in read}
        self.recording_ids = {one for task in self.tasks.values() for one in task.left}
        self.about: dict[str, dict[str, Any]] = {}
        self._tails: dict[str, Tail] = {}
        self._arriving: dict[str, list[tuple[Arrival, Outcome[Any]]]] = {}
        self._done_s: float | None = None

    @property
    def is_done(self) -> bool:
        """Whether every recording has an outcome, and tasks have said what they used."""
        if self._open_tasks() or self._arriving:
            return False
        if all(one.has_ended for one in self.tasks.values() if one.about):
            return True
        self._done_s = self._done_s or time.monotonic()
        return time.monotonic() - self._done_s > _LAST_WORDS_S

    def attach(self) -> Iterator[Outcome[Any]]:
        """Resumes what an earlier process submitted, and yields what tasks have done since.

        What failed meanwhile is tried again.
        """
        for one in self.recording_ids:
            self.folder.unrelease(one)
        self._submitter.attach(self.tasks)
        yield from self._read_events(is_old=True)

    def look(self) -> Iterator[Outcome[Any]]:
        """Submits what waits, and yields what has become of recordings since the last look.

        Raises:
            SlurmRefused: nothing can be submitted.
        """
        yield from self._read_events()
        yield from self._list_arrived()
        left = self._open_tasks()
        if waiting := [one for one in left if not one.job]:
            try:
                self._submitter.submit(waiting, left)
            except SlurmRefused as error:
                if not any(one.job for one in left):
                    raise
                for task in waiting:
                    yield from self._give_up(task, error)
        yield from self._judge_gone()

    def ask_for_states(self) -> None:
        """Asks Slurm how tasks ended that have said so themselves; it may take a moment to know."""
        for _ in range(_QUESTIONS):
            about = [one for one in self.tasks.values() if one.about and "state" not in one.about]
            tasks = {one.about["job"]: one for one in about}
            try:
                ended = self._slurm.find_ended(tasks) if tasks else {}
            except SlurmSilent:
                return
            note_ends(self.folder, ended)
            for job, state in ended.items():
                tasks[job].entered(state)
            if len(ended) == len(tasks):
                return
            time.sleep(_BETWEEN_QUESTIONS_S)

    def _open_tasks(self) -> list[Task]:
        return [one for one in self.tasks.values() if one.left]

    def _read_events(self, is_old: bool = False) -> Iterator[Outcome[Any]]:
        for number, paths in self.folder.list_events().items():
            task = self.tasks[number]
            if task.has_ended and not task.left:
                continue
            for path in paths:
                tail = self._tails.setdefault(path.name, Tail(path))
                for event in tail.read():
                    yield from self._handle_event(task, event, is_old)

    def _handle_event(
        self, task: Task, event: dict[str, Any], is_old: bool
    ) -> Iterator[Outcome[Any]]:
        """Takes in an event; yields the outcome that it tells.

        Args:
            task: whose.
            event: what it says.
            is_old: whether an earlier process may have heard it.
        """
        kind = event["kind"]
        if kind == "attempt":
            attempt = event["attempt"]
            # Of those that the step still wants, no line is in the log of this step.
            if not is_old or attempt["recording_id"] in task.left:
                self._attempted({**attempt, "worker": f"{event['node']}/{attempt['worker']}"})
        elif kind == "outcome":
            yield from self._handle_outcome(task, event, is_old)
        elif event["submission"] == task.submission:
            self._queue.expect_news()
            if kind == "started":
                task.started(event)
            elif kind == "failed":
                task.failure = protocol.error_from_json(event["error"])
            elif kind == "ended":
                task.ended(event)
                work_s = event["elapsed_s"] - task.about.get("setup_s", 0.0)
                done = event["audio_s"], work_s, event.get("analysing_s", 0.0)
                self._speeds.note(self._stage, *done)

    def _handle_outcome(
        self, task: Task, event: dict[str, Any], is_old: bool
    ) -> Iterator[Outcome[Any]]:
        if event["submission"] == task.submission:
            task.used(event)
        recording_id, is_good = event["recording_id"], "value" in event
        if recording_id in task.left and (is_good or not is_old):
            yield from self._outcome(task, event)
        elif is_good and recording_id in self._arriving:
            with suppress(BadcError):
                self._expect(event)  # another start has replaced the files

    def _outcome(self, task: Task, event: dict[str, Any]) -> Iterator[Outcome[Any]]:
        """Yields an outcome; one with files once this machine sees them."""
        recording_id = event["recording_id"]
        task.left.discard(recording_id)
        self.about[recording_id] = task.about
        if "error" in event:
            yield Outcome(recording_id, error=protocol.error_from_json(event["error"]))
            return
        try:
            self._expect(event)
        except BadcError as error:
            yield Outcome(recording_id, error=error)
        else:
            yield from self._list_arrived()

    def _expect(self, event: dict[str, Any]) -> None:
        recording_id = event["recording_id"]
        outcome = Outcome(recording_id, unpack_value(event["value"]))
        found = self._arriving.setdefault(recording_id, [])
        found.append((Arrival(event["outputs"]), outcome))

    def _list_arrived(self) -> Iterator[Outcome[Any]]:
        """Yields outcomes whose files are here; of several of a recording, one."""
        for recording_id, found in list(self._arriving.items()):
            errors = [arrival.explain_absence() for arrival, _ in found]
            if None in errors:
                del self._arriving[recording_id]
                yield found[errors.index(None)][1]
            elif all(arrival.is_late for arrival, _ in found):
                del self._arriving[recording_id]
                yield Outcome(recording_id, error=errors[-1])

    def _judge_gone(self) -> Iterator[Outcome[Any]]:
        """Submits tasks again that ended before they were done, or yields why they failed."""
        running = {one.job: one for one in self._open_tasks() if one.job}
        gone = self._queue.find_gone(running, self._say)
        self._queue.count(self.folder.path.name, self.tasks.values(), self._say)
        if not gone:
            return
        ended = until_answered(lambda: self._slurm.find_ended(gone), self._say)
        yield from self._read_events()  # what they said before they ended
        for job in sorted(gone):
            task, state = running[job], ended.get(job)
            array, _, index = job.partition("_")
            owner = self.folder.owner_of(task.submission) or array
            if task.job != job:
                continue  # another job of its submission works on it
            if owner != array:
                task.job = f"{owner}_{index}"
                continue
            if task.left and task.may_speak_yet(state) and self._queue.missing_s(job) < PATIENCE_S:
                continue
            task.entered(state)
            note_ends(self.folder, {job: state} if state else {})
            if not task.left:
                continue
            if task.is_to_go_on(state) and task.n_submitted < self._most_submissions:
                why = "stopped early" if state is None else f"ended with {state.state}"
                self._say(f"task {task.number} (job {job}) {why}; resubmitted")
                task.job = ""
            else:
                yield from self._give_up(task, task.explain(state, self.folder.log(job)))

    def _give_up(self, task: Task, error: BadcError) -> Iterator[Outcome[Any]]:
        self._say(f"task {task.number} (job {task.job}) failed: {error}")
        left, task.left = sorted(task.left), set()
        for recording_id in left:
            self.about[recording_id] = task.about
            yield Outcome(recording_id, error=error)
