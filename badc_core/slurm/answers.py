"""What the answers of Slurm's commands mean; pure text."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

ACCOUNTING_FIELDS = "JobID,State,ExitCode,MaxRSS,Elapsed,AllocTRES,Submit,Start"
"""What sacct is asked for."""

_CLOCK_PARTS = 4


@dataclass(frozen=True)
class TaskState:
    """What Slurm says of a task.

    Attributes:
        state: such as `PENDING`, `RUNNING`, `TIMEOUT`.
        reason: why it waits, or nothing.
        exit_code: as Slurm writes it, such as `1:0`; empty as long as it has none.
        max_rss_mib: the most memory it used, where accounting knows.
        elapsed_s: how long it has run, the last time that it was started.
        memory: that it was given, such as `8G`; empty if it is not known.
        n_gpus: that it was given.
        waited_s: from its submission, or since it was requeued, to its start; None if not known.
    """

    state: str
    reason: str = ""
    exit_code: str = ""
    max_rss_mib: float | None = None
    elapsed_s: float = 0.0
    memory: str = ""
    n_gpus: int = 0
    waited_s: float | None = None


def _rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _fields(line: str, n: int) -> list[str]:
    return (line.split("|") + [""] * n)[:n]


def read_pairs(text: str) -> list[tuple[str, str]]:
    """Returns name and job of lines with job and name."""
    found = (_fields(line, 2) for line in _rows(text))
    return [(name.strip(), job.strip()) for job, name in found]


def read_shown_job(text: str) -> dict[str, TaskState]:
    """Returns the tasks in what `scontrol show job -o` says; a pending array has one line."""
    return {job: one for line in _rows(text) for job, one in _from_line(line).items()}


def read_queue_lines(text: str) -> dict[str, TaskState]:
    """Returns the tasks in lines with job, state and reason."""
    lines = (_fields(line, 3) for line in _rows(text))
    return {job: TaskState(state, _reason(reason)) for job, state, reason in lines}


def _from_line(line: str) -> dict[str, TaskState]:
    pairs = [part.split("=", 1) for part in line.split() if "=" in part]
    values = dict(reversed(pairs))  # names of folders, which may have anything in them, come late
    if "ArrayTaskId" not in values:
        return {}
    words = values["JobState"], _reason(values.get("Reason", "")), values.get("ExitCode", "")
    state = _given(TaskState(*words), values.get("RunTime", ""), values.get("TRES", ""))
    times = values.get("SubmitTime", ""), values.get("StartTime", "")
    state = replace(state, waited_s=_between_s(*times))
    array = values["ArrayJobId"]
    return {f"{array}_{index}": state for index in _indices(values["ArrayTaskId"])}


def read_accounting(text: str) -> dict[str, TaskState]:
    """Returns the tasks in lines with `ACCOUNTING_FIELDS`, with the memory of their steps."""
    found: dict[str, TaskState] = {}
    memory: dict[str, float] = {}
    for line in _rows(text):
        job, state, code, rss, elapsed, given, *times = _fields(line, 8)
        task, _, step = job.partition(".")
        if rss.rstrip("M"):
            memory[task] = max(memory.get(task, 0.0), float(rss.rstrip("M")))
        array, _, indices = task.partition("_")
        if not step and indices:
            # Such as `CANCELLED by 1000`.
            known = _given(TaskState(state.split()[0], "", code), elapsed, given)
            known = replace(known, waited_s=_between_s(*times))
            found |= {f"{array}_{index}": known for index in _indices(indices.strip("[]"))}
    return {job: replace(one, max_rss_mib=memory.get(job)) for job, one in found.items()}


def _given(state: TaskState, elapsed: str, given: str) -> TaskState:
    """Returns a state with what the task was given.

    Args:
        state: without it.
        elapsed: such as `1-02:03:04`.
        given: such as `cpu=1,mem=8G,node=1,gres/gpu=1`.
    """
    days, _, clock = elapsed.rpartition("-")
    parts = [f"{days or 0}", *clock.split(":")]
    elapsed_s = 0.0
    if len(parts) == _CLOCK_PARTS and all(map(str.isdecimal, parts)):
        n_days, hours, minutes, seconds = map(int, parts)
        elapsed_s = ((n_days * 24.0 + hours) * 60 + minutes) * 60 + seconds
    values = dict(one.split("=", 1) for one in given.split(",") if "=" in one)
    n_gpus = values.get("gres/gpu", "0")
    memory, gpus = values.get("mem", ""), int(n_gpus) if n_gpus.isdecimal() else 0
    return replace(state, elapsed_s=elapsed_s, memory=memory, n_gpus=gpus)


def _between_s(first: str, then: str) -> float | None:
    """Returns the seconds between two times; None where one is `Unknown` or missing."""
    try:
        passed = datetime.fromisoformat(then) - datetime.fromisoformat(first)
    except ValueError:
        return None
    return max(0.0, passed.total_seconds())


def _reason(text: str) -> str:
    return "" if text == "None" else text


def _indices(text: str) -> Iterator[int]:
    """Yields the indices in a text such as `3`, `0-4,7%2`; long ones are cut off with dots."""
    for part in text.partition("%")[0].split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            yield from range(int(first), int(last or first) + 1)
