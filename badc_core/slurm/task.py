"""One task of an array, as its host knows it, and what its end means."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from badc_core.errors import BadcError, DetectorFailed
from badc_core.slurm.answers import TaskState
from badc_core.slurm.memory import out_of_memory
from badc_core.slurm.script import STOPPED
from badc_core.units import counted

_AGAIN = frozenset({"TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "COMPLETED"})
"""States after which what is left is worth another try."""

_OF_ALL_STARTS = ("elapsed_s", "gpu_hours", "max_rss_mib")

_FORGOTTEN = TaskState("a state that Slurm has forgotten")
_TAIL_CHARACTERS = 600
_WANTED_MEMORY = re.compile(r"exceeded (job |step )?memory limit|oom.kill event", re.IGNORECASE)
"""What Slurm prints where nothing but itself looks after memory: the state says nothing then."""


@dataclass
class Task:
    """A task.

    Attributes:
        number: of the task.
        left: its recordings that have no outcome yet.
        job: such as `17_3`; empty as long as it is not submitted.
        submission: the number of its last one.
        n_submitted: how often it was submitted.
        waits_since_s: when it was submitted, or ended to be started again, on the wall clock; None
            if nobody knows.
        has_started: whether it has said so since it was submitted.
        has_ended: whether its last start has said that it ended.
        failure: why all of it failed, as it said itself.
        about: where its last start is, and what all starts used.
    """

    number: int
    left: set[str]
    job: str = ""
    submission: int = -1
    n_submitted: int = 0
    waits_since_s: float | None = None
    has_started: bool = False
    has_ended: bool = False
    failure: BadcError | None = None
    about: dict[str, Any] = field(default_factory=dict)
    _before: dict[str, float] = field(default_factory=dict)
    _n_gpus: int = 0

    def submitted(self, job: str, submission: int, at_s: float | None) -> None:
        """Enters that it was submitted, and when."""
        self.job, self.submission, self.waits_since_s = job, submission, at_s
        self.n_submitted += 1
        self.has_started, self.has_ended, self.failure = False, False, None

    def started(self, event: dict[str, Any]) -> None:
        """Takes in what it says at its start; of two jobs of one submission only one speaks."""
        self.job = event["job"]
        self.has_started, self.has_ended, self.failure = True, False, None
        self._before = {name: self.about[name] for name in _OF_ALL_STARTS if name in self.about}
        self.about = {
            **{name: event[name] for name in ("node", "job", "restart")},
            "submissions": self.n_submitted,
            **self._before,
        }
        setup_s = event.get("setup_s", 0.0)
        self.about["setup_s"] = round(setup_s, 1)
        if self.waits_since_s is not None:
            # Until Slurm started it; it speaks once it is set up.
            waited_s = _moment_s(event) - setup_s - self.waits_since_s
            self.about["queue_wait_s"] = round(max(0.0, waited_s), 1)
        self.waits_since_s = None

    def used(self, event: dict[str, Any]) -> None:
        """Takes in what it says that its present start has used so far."""
        self._n_gpus = event["gpus"]
        self._use(event["elapsed_s"], self._n_gpus)
        self._remember(event["max_rss_mib"])

    def ended(self, event: dict[str, Any]) -> None:
        """Takes in what it says at its end."""
        self.has_ended, self.waits_since_s = True, _moment_s(event)
        self.used(event)
        self.about["exit_code"] = event["code"]

    def entered(self, state: TaskState | None) -> None:
        """Takes in what Slurm says of its end."""
        if state is None or not self.about:
            return
        self.about["state"] = state.state
        self._remember(state.max_rss_mib or 0.0)
        if not self.has_ended:
            self.about["exit_code"] = state.exit_code
        # What it said itself lacks what came before its script, and after it.
        if state.elapsed_s or not self.has_ended:
            self._use(state.elapsed_s, state.n_gpus or self._n_gpus)
        if state.waited_s is not None:
            self.about["queue_wait_s"] = state.waited_s

    def _use(self, elapsed_s: float, n_gpus: int) -> None:
        elapsed = self._before.get("elapsed_s", 0.0) + elapsed_s
        gpu_hours = self._before.get("gpu_hours", 0.0) + n_gpus * elapsed_s / 3600
        self.about |= {"elapsed_s": round(elapsed, 1), "gpu_hours": round(gpu_hours, 4)}

    def _remember(self, rss_mib: float) -> None:
        self.about["max_rss_mib"] = max(round(rss_mib), self.about.get("max_rss_mib", 0))

    def is_to_go_on(self, state: TaskState | None) -> bool:
        """Returns whether it ended for a reason that is not its own.

        Args:
            state: what Slurm says of its end; None if it has forgotten it.
        """
        if self.failure is not None or (state and state.state == "CANCELLED"):
            return False
        if state is None and not self.has_started:
            return False  # cancelled, as far as anybody can tell
        # It only says that it ended before it was done if it was warned.
        if self.has_ended or state is None or state.state in _AGAIN:
            return True
        return _exit_code(state) == STOPPED

    def may_speak_yet(self, state: TaskState | None) -> bool:
        """Returns whether it ended as one does that says so, which nobody has seen yet."""
        # Whoever cancelled it wants no result; what it had done is not done again.
        if state is None or self.has_ended or state.state == "CANCELLED":
            return False
        return state.state == "COMPLETED" or _exit_code(state) == STOPPED

    def explain(self, state: TaskState | None, log: Path) -> BadcError:
        """Returns why its recordings have no result.

        Args:
            state: what Slurm says of its end; None if it has forgotten it.
            log: what it printed.
        """
        if self.failure is not None:
            return self.failure
        known = state or _FORGOTTEN
        if self.is_to_go_on(state):
            times = counted(self.n_submitted, "time")
            what = f"its task was submitted {times} and did not end well, last with {known.state}"
            remedy = "Ask for more time (slurm.time), or for shorter tasks (slurm.target_minutes)"
            return DetectorFailed(what, log, remedy)
        if known.state == "CANCELLED" or state is None:
            return DetectorFailed("its task was cancelled", log, "Run again to go on")
        if not self.about and not log.exists():
            what = "its node could not write this log"
            remedy = "Put the dataset, or slurm.folder, where nodes can write"
            return DetectorFailed(what, log, remedy)
        words = _read_tail(log)
        if known.state == "OUT_OF_MEMORY" or _WANTED_MEMORY.search(words):
            return out_of_memory(log, known.memory, self.about.get("max_rss_mib"))
        said = f"; it said last: {words}" if words else ""
        what = f"its task ended with {known.state} {known.exit_code}".rstrip() + said
        return DetectorFailed(what, log, "See the log, then run again")


def _exit_code(state: TaskState) -> int:
    return int(state.exit_code.partition(":")[0] or 0)


def _moment_s(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["at"]).timestamp()


def _read_tail(path: Path) -> str:
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return ""
    return " ".join(text[-_TAIL_CHARACTERS:].split())
