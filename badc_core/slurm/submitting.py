"""Submitting tasks as arrays: each once, however often the host is killed meanwhile.

The intent is written down before each submission, under a name that no other job has. Whoever takes
up the work looks for a job of that name before submitting anything. Should there be two jobs for
one submission nevertheless, the nodes let only one of them work (`RunFolder.owner_of`).
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Sized
from dataclasses import replace
from typing import TypeVar

from badc_core.errors import SlurmRefused, SlurmSilent
from badc_core.slurm.commands import Slurm, TooManyJobs
from badc_core.slurm.run_folder import HOST, RunFolder, Submission
from badc_core.slurm.script import sbatch_options
from badc_core.slurm.task import Task
from badc_core.stages.step_inputs import StepInputs
from badc_core.units import counted

_FIRST_WAIT_S, _LONGEST_WAIT_S = 2.0, 60.0
_FIRST_REST_S, _LONGEST_REST_S = 30.0, 600.0
_BETWEEN_WORDS_S = 60.0
T = TypeVar("T")


def until_answered(question: Callable[[], T], say: Callable[[str], None]) -> T:
    """Returns an answer of Slurm's, however long it takes until there is one.

    Args:
        question: asks Slurm.
        say: called once if there is none at first.
    """
    wait_s = _FIRST_WAIT_S
    while True:
        try:
            return question()
        except SlurmSilent as error:
            if wait_s == _FIRST_WAIT_S:
                say(f"Slurm does not answer, going on when it does: {error}")
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)


def say_how_many_are_ready(
    recording_ids: Sequence[str], ready: Sized, say: Callable[[str], None]
) -> Iterator[str]:
    """Yields recordings that are made ready one by one; says how many are, once a minute."""
    said_s, n_all = time.monotonic(), counted(len(recording_ids), "recording")
    for one in recording_ids:
        if time.monotonic() - said_s >= _BETWEEN_WORDS_S:
            said_s = time.monotonic()
            say(f"{len(ready)} of {n_all} fetched; tasks are submitted when all are here")
        yield one


class Submitter:
    """Submits the tasks of one run.

    Args:
        folder: of the run.
        slurm: the cluster.
        inputs: of the step.
        say: called with what a person should know.
    """

    def __init__(
        self, folder: RunFolder, slurm: Slurm, inputs: StepInputs, say: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._slurm = slurm
        self._settings, self._stage = inputs.settings.slurm, inputs.stage
        self._say = say
        self._most = 0
        self._rest_s = 0.0
        self._refused_s, self._n_at_refusal = 0.0, 0

    def attach(self, tasks: Mapping[int, Task]) -> None:
        """Takes up what an earlier process submitted, so that nothing is submitted twice."""
        known = [one for one in self._folder.read_submissions() if not one.is_refused]
        owners = {one.number: self._folder.owner_of(one.number) for one in known}
        unsure = {one.name for one in known if not (one.job or owners[one.number])}
        found: dict[str, list[str]] = {}
        if unsure:
            found = until_answered(lambda: self._slurm.find_jobs(unsure), self._say)
        for one in known:
            job = owners[one.number] or one.job or next(iter(found.get(one.name, ())), "")
            job = job or self._write_off(one)
            if job:
                known_job = one if one.job else self._folder.note_job(one, job)
                self._enter(replace(known_job, job=job), tasks)
        n_tasks = counted(sum(bool(one.job) for one in tasks.values()), "task")
        self._say(f"resuming run {self._folder.path.name} with {n_tasks}")

    def submit(self, waiting: Sequence[Task], others: Collection[Task]) -> None:
        """Submits as many tasks as the cluster takes now; the rest waits until some have ended.

        Args:
            waiting: to be submitted.
            others: that are not done yet.

        Raises:
            SlurmRefused: it takes none, though the user has none there.
        """
        n_submitted = sum(bool(one.job) for one in others)
        if self._is_resting(n_submitted):
            return
        largest = until_answered(self._slurm.largest_array, self._say)
        self._most = self._most or largest
        while waiting:
            some, waiting = waiting[: self._most], waiting[self._most :]
            try:
                self._submit_array(some)
                self._rest_s, self._most = 0.0, min(2 * self._most, largest)
            except TooManyJobs as error:
                self._most = max(1, len(some) // 2)
                if len(some) > 1:
                    waiting = [*some, *waiting]
                    continue
                n_submitted = sum(bool(one.job) for one in others)
                if not n_submitted and not until_answered(self._slurm.read_queue, self._say):
                    raise
                n_tasks = counted(1 + len(waiting), "task")
                self._say(f"{n_tasks} wait until others have ended: {error}")
                self._refused_s, self._n_at_refusal = time.monotonic(), n_submitted
                self._rest_s = min(2 * self._rest_s, _LONGEST_REST_S) or _FIRST_REST_S
                return

    def _is_resting(self, n_submitted: int) -> bool:
        """Returns whether the cluster lately refused; not for long once a task has ended."""
        has_room = n_submitted < self._n_at_refusal
        rest_s = min(self._rest_s, _FIRST_REST_S) if has_room else self._rest_s
        return time.monotonic() < self._refused_s + rest_s

    def _submit_array(self, tasks: Sequence[Task]) -> None:
        name = f"badc-{self._folder.path.name}"
        submission = self._folder.note_intent(name, [one.number for one in tasks])
        words = self._settings, self._stage, submission.name, len(tasks), self._folder.path
        has_tried = False

        def submit() -> str:
            nonlocal has_tried
            # An answer that got lost leaves a job behind.
            if has_tried and (known := self._find(submission)):
                return known[0]
            has_tried = True
            number = str(submission.number)
            return self._slurm.submit(sbatch_options(*words), self._folder.script, number)

        try:
            job = until_answered(submit, self._say)
        except SlurmRefused:
            # An earlier try may have been accepted, or this one, for all that sbatch says. Slurm
            # lists some that it did not accept, as failed.
            names = {submission.name}
            found = until_answered(lambda: self._slurm.find_queued(names), self._say)
            job = next(iter(found), "") or self._write_off(submission)
            if not job:
                raise
        known = self._folder.note_job(submission, job)
        self._enter(known, {one.number: one for one in tasks})
        n_left = counted(sum(len(one.left) for one in tasks), "recording")
        self._say(f"job {job}: {counted(len(tasks), 'task')} with {n_left} submitted")

    def _find(self, submission: Submission) -> list[str]:
        names = {submission.name}
        found = until_answered(lambda: self._slurm.find_jobs(names), self._say)
        return found.get(submission.name, [])

    def _write_off(self, submission: Submission) -> str:
        """Keeps a job that Slurm may still accept from working; returns it if it does already."""
        owner = self._folder.claim(submission.number)
        if owner != HOST:
            return owner
        self._folder.note_refused(submission)
        return ""

    def _enter(self, submission: Submission, tasks: Mapping[int, Task]) -> None:
        for index, number in enumerate(submission.tasks):
            job = f"{submission.job}_{index}"
            tasks[number].submitted(job, submission.number, submission.at_s)
