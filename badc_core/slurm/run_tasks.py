"""The tasks that a run submitted: their recordings, and how they ended; also when the run is over.

```
ends.jsonl    how tasks ended, as Slurm says
jobs.jsonl    when the run is over: its tasks, from files that are removed then
```
"""

import json
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from badc_core.atomic import write_text
from badc_core.errors import BadcError, ProgramMissing, SlurmRefused, SlurmSilent
from badc_core.slurm.answers import TaskState
from badc_core.slurm.commands import Slurm
from badc_core.slurm.lines import append_line
from badc_core.slurm.run_folder import RunFolder
from badc_core.slurm.script import STOPPED
from badc_core.telemetry.log import Tail

_log = logging.getLogger(__name__)

UNKNOWN = "unknown"
"""How a task ended that nobody has seen end."""

COMPLETED = "completed"

SIGNALS = 128
"""An exit code above it is that of a program that a signal has ended, as shells have it."""


@dataclass(frozen=True)
class SubmittedTask:
    """A task that was submitted once.

    Attributes:
        job: such as `17_3`.
        recording_ids: that it had to work on: without those that an earlier one had done well.
        failed: of these, the ones that failed in it.
        end: how it ended, for people; empty as long as nobody knows that it has.
        has_started: whether it has said so.
    """

    job: str
    recording_ids: tuple[str, ...]
    failed: tuple[str, ...] = ()
    end: str = ""
    has_started: bool = False


@dataclass
class Said:
    """What a job has said, without results, which may be large.

    Attributes:
        was_good: of each recording that it was done with, whether that went well.
        code: that it ended with; None if it has said anything else since.
    """

    was_good: dict[str, bool] = field(default_factory=dict)
    code: int | None = None


def describe_end(state: TaskState) -> str:
    """Returns how a task ended, for people."""
    code, _, signal = state.exit_code.partition(":")
    if state.state != "FAILED":
        return state.state.lower().replace("_", " ")
    if signal.strip("0"):
        return _describe_signal(int(signal))
    return describe_code(int(code)) if code.isdecimal() else "failed"


def describe_code(code: int) -> str:
    """Returns how a task ended that had an exit code, for people."""
    if code == STOPPED:
        return "out of time"
    if code > SIGNALS:
        return _describe_signal(code - SIGNALS)
    return f"failed with exit code {code}" if code else COMPLETED


def _describe_signal(signal: int) -> str:
    return f"ended by signal {signal}"


def note_ends(folder: RunFolder, ended: Mapping[str, TaskState]) -> None:
    """Writes down how tasks ended; where that is impossible, the run goes on without.

    Args:
        folder: of the run.
        ended: job, such as `17_3` -> what Slurm says of it.
    """
    try:
        for job, state in ended.items():
            append_line(folder.path / "ends.jsonl", {"job": job, "end": describe_end(state)})
    except (BadcError, OSError) as error:
        _log.warning("cannot record for badc slurm logs how tasks ended: %s", error)


def ask_ends(slurm: Slurm, tasks: Collection[SubmittedTask]) -> dict[str, TaskState]:
    """Returns what Slurm says of tasks that have ended; nothing where it does not answer."""
    try:
        return slurm.find_ended({one.job for one in tasks}) if tasks else {}
    except (ProgramMissing, SlurmRefused, SlurmSilent):
        return {}


def read_events(folder: RunFolder) -> dict[str, Said]:
    """Returns what each job has said since it began."""
    found: dict[str, Said] = defaultdict(Said)
    for paths in folder.list_events().values():
        for path in paths:
            for event in Tail(path).read():
                if event["kind"] != "attempt":
                    said = found[event["job"]]
                    said.code = event["code"] if event["kind"] == "ended" else None
                    if event["kind"] == "outcome":
                        said.was_good[event["recording_id"]] = "error" not in event
    return found


def with_ends(tasks: Iterable[SubmittedTask], ends: Mapping[str, TaskState]) -> list[SubmittedTask]:
    """Returns tasks with what Slurm says of their ends, where it says anything."""
    return [
        replace(one, end=describe_end(ends[one.job])) if one.job in ends else one for one in tasks
    ]


def read_tasks(folder: RunFolder) -> list[SubmittedTask]:
    """Returns the tasks of a run, of every time that it was submitted, in that order."""
    if folder.is_shrunk:
        return _read_kept(folder)
    ends = {one["job"]: one["end"] for one in Tail(folder.path / "ends.jsonl").read()}
    said = read_events(folder)
    done: dict[int, set[str]] = defaultdict(set)
    found = []
    for submission in folder.read_submissions():
        array = submission.job or folder.owner_of(submission.number)
        for index, number in enumerate(submission.tasks if array else ()):
            job, ids = f"{array}_{index}", folder.read_task(number).recording_ids
            own = said.get(job, Said())
            end = "" if own.code is None else describe_code(own.code)
            had = tuple(one for one in ids if one not in done[number])
            failed = tuple(one for one in had if own.was_good.get(one) is False)
            found.append(SubmittedTask(job, had, failed, ends.get(job, end), job in said))
            done[number] |= {one for one, is_good in own.was_good.items() if is_good}
    return found


def keep_tasks(folder: RunFolder, slurm: Slurm | None = None) -> None:
    """Writes down which task had what, for the time when the run is over.

    Args:
        folder: of the run.
        slurm: to be asked how tasks ended; what it says counts for more than what they said.
    """
    with suppress(BadcError, OSError, ValueError, KeyError, TypeError):
        if not folder.is_shrunk:
            tasks = read_tasks(folder)
            if slurm is not None:
                tasks = with_ends(tasks, ask_ends(slurm, tasks))
            lines = (json.dumps(asdict(one)) + "\n" for one in tasks)
            write_text(folder.path / "jobs.jsonl", "".join(lines))


def close_run(folder: RunFolder) -> None:
    """Removes what only a run at work needs; which task had what, and what it printed, stays."""
    keep_tasks(folder)
    folder.shrink()


def _read_kept(folder: RunFolder) -> list[SubmittedTask]:
    kept = folder.path / "jobs.jsonl"
    if not kept.exists():  # of a BADC that did not write it
        return [SubmittedTask(one.stem, ()) for one in _by_age(folder.path.glob("logs/*.out"))]
    return [
        SubmittedTask(
            **{**one, "recording_ids": tuple(one["recording_ids"]), "failed": tuple(one["failed"])}
        )
        for one in Tail(kept).read()
    ]


def _by_age(paths: Any) -> list[Path]:
    return sorted(paths, key=lambda one: one.stat().st_mtime)
