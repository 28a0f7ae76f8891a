"""Looking at the user's queue seldom: once for all tasks, and less often while nothing happens."""

import time
from collections.abc import Callable, Collection, Mapping

from badc_core.errors import SlurmSilent
from badc_core.slurm.answers import TaskState
from badc_core.slurm.commands import Slurm
from badc_core.slurm.reasons import describe_states, is_held, kind_of, what_to_change
from badc_core.slurm.task import Task

_SOONEST_S, _LATEST_S = 5.0, 60.0
_GROWTH = 1.5
_BETWEEN_COUNTS_S = 60.0
_SETTLING_S = 10.0
"""A job may be missing for a moment after it was submitted, and its last words come late."""


class QueueWatch:
    """What is in the queue, as of the last look.

    Args:
        slurm: the cluster.
    """

    def __init__(self, slurm: Slurm) -> None:
        self._slurm = slurm
        self._delay_s = _SOONEST_S
        self._next_s = 0.0
        self._missing_since: dict[str, float] = {}
        self._said: set[tuple[str, str]] = set()
        self._reasons: dict[str, str] = {}
        self._states: list[TaskState] = []
        self._counted = ""
        self._kinds: set[tuple[str, str]] = set()
        self._counted_s = 0.0

    def expect_news(self) -> None:
        """Looks more often again, since something has happened."""
        self._delay_s = _SOONEST_S
        self._next_s = min(self._next_s, time.monotonic() + _SOONEST_S)

    def find_gone(self, running: Mapping[str, Task], say: Callable[[str], None]) -> set[str]:
        """Returns the tasks that are in the queue no more, if it is time for a look.

        Args:
            running: job, such as `17_3` -> task.
            say: called with why tasks wait, once for each reason that needs somebody.
        """
        now_s = time.monotonic()
        if not running or now_s < self._next_s:
            return set()
        self._next_s = now_s + self._delay_s
        self._delay_s = min(self._delay_s * _GROWTH, _LATEST_S)
        try:
            queue = self._slurm.read_queue()
        except SlurmSilent as error:
            self._say_once("", f"Slurm does not answer, going on when it does: {error}", say)
            return set()
        self._states = [queue[job] for job in running if job in queue]
        gone = set()
        for job, task in running.items():
            if job in queue:
                self._missing_since.pop(job, None)
                self._explain_waiting(job, queue[job].reason, say)
                continue
            since_s = self._missing_since.setdefault(job, now_s)
            if task.has_ended or now_s - since_s >= _SETTLING_S:
                gone.add(job)
            else:
                self.expect_news()
        return gone

    def count(self, name: str, tasks: Collection[Task], say: Callable[[str], None]) -> None:
        """Says after a look how many tasks are in which state, if that is news.

        The first task in a state, or that waits for a reason, is news at once; other numbers are
        at most once a minute.

        Args:
            name: of the run.
            tasks: all of the run.
            say: called with a line.
        """
        states, self._states = self._states, []
        others = {
            "ended": sum(not one.left for one in tasks),
            "not submitted": sum(bool(one.left) and not one.job for one in tasks),
        }
        line = ", ".join([describe_states(states), *(f"{n} {it}" for it, n in others.items() if n)])
        kinds = {(one.state, kind_of(one.reason)) for one in states}
        now_s = time.monotonic()
        is_news = kinds - self._kinds or now_s - self._counted_s >= _BETWEEN_COUNTS_S
        if states and line != self._counted and is_news:
            self._counted, self._counted_s = line, now_s
            self._kinds |= kinds
            say(f"tasks of run {name}: {line}")

    def missing_s(self, job: str) -> float:
        """Returns for how long a job has been gone."""
        now_s = time.monotonic()
        return now_s - self._missing_since.get(job, now_s)

    def _explain_waiting(self, job: str, reason: str, say: Callable[[str], None]) -> None:
        array = job.partition("_")[0]
        kind = kind_of(reason)
        if is_held(reason):
            release = f"To release it, run: scontrol release {array}"
            self._say_once(array, f"job {array} is held ({reason}). {release}", say)
        elif (why := what_to_change(reason)) and self._reasons.get(job) == kind:
            self._say_once(array, f"job {array} does not start ({reason}): {why}", say)
        self._reasons[job] = kind  # the first that Slurm gives is not always the one that stays

    def _say_once(self, about: str, words: str, say: Callable[[str], None]) -> None:
        if (about, words) not in self._said:
            self._said.add((about, words))
            say(words)
