"""Looking at the user's queue seldom: once for all tasks, and less often while nothing happens."""

import re
import time
from collections.abc import Callable, Mapping

from badc_core.errors import SlurmSilent
from badc_core.slurm.commands import Slurm
from badc_core.slurm.task import Task

_SOONEST_S, _LATEST_S = 5.0, 60.0
_GROWTH = 1.5
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

    def missing_s(self, job: str) -> float:
        """Returns for how long a job has been gone."""
        now_s = time.monotonic()
        return now_s - self._missing_since.get(job, now_s)

    def _explain_waiting(self, job: str, reason: str, say: Callable[[str], None]) -> None:
        array = job.partition("_")[0]
        kind = reason.partition(",")[0]
        if "held" in reason.lower():
            self._say_once(array, f"job {array} is held ({reason}): scontrol release {array}", say)
        elif (why := _explain(kind)) and self._reasons.get(job) == kind:
            self._say_once(array, f"job {array} does not start ({reason}): {why}", say)
        self._reasons[job] = kind  # the first that Slurm gives is not always the one that stays

    def _say_once(self, about: str, words: str, say: Callable[[str], None]) -> None:
        if (about, words) not in self._said:
            self._said.add((about, words))
            say(words)


def _explain(kind: str) -> str:
    """Returns what to change so that a job starts; nothing if it will in time."""
    if kind in _NEEDS_SOMEBODY:
        return _NEEDS_SOMEBODY[kind]
    if not _OF_SINGLE_JOBS.search(kind):
        return ""
    setting = "slurm.time" if "Wall" in kind else "slurm.cpus_per_task, slurm.mem or slurm.gres"
    return f"{setting} is not what the account or the quality of service allows"


_OF_SINGLE_JOBS = re.compile(r"^(Assoc|QOS)(Max|Min)\w*(PerJob|PerNode)")
_NEEDS_SOMEBODY = {
    "PartitionTimeLimit": "slurm.time is more than the partition allows",
    "PartitionNodeLimit": "it asks for more nodes than the partition has",
    "PartitionConfig": "the partition has no node for such jobs: ask for less, or for another",
    "BadConstraints": "no node has what slurm.constraint asks for",
    "InvalidAccount": "the account is gone: slurm.account",
    "InvalidQOS": "the quality of service is gone: slurm.qos",
    "AssocGrpCPUMinutesLimit": "the account has used up its allocation",
    "AssocGrpGRESMinutes": "the account has used up its allocation of GPUs",
    "AssocGrpBillingMinutes": "the account has used up its allocation",
    "ReqNodeNotAvail": "the nodes it needs are down or reserved",
}
