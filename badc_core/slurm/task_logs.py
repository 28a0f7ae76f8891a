"""What tasks on the cluster have printed: which logs there are, and whose.

Tasks of runs and of array scripts alike. A task of an array script writes down by itself where its
log is (`slurm_array.py`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError
from badc_core.slurm.commands import Slurm, Tasks
from badc_core.slurm.run_folder import RunFolder
from badc_core.slurm.run_folders import list_folders, runs_folder
from badc_core.slurm.run_tasks import (
    COMPLETED,
    UNKNOWN,
    SubmittedTask,
    ask_ends,
    describe_code,
    describe_end,
    read_tasks,
)
from badc_core.slurm_array import NOTES_FOLDER

SCRIPT = "array script"


@dataclass(frozen=True)
class TaskLog:
    """A task that was submitted.

    Attributes:
        run: name of the run's folder; `SCRIPT` for a task of an array script.
        job: such as `17_3`.
        state: in the queue, or how it ended, for people.
        recording_ids: that it had to work on; none if nobody knows any more.
        failed: of these, the ones that failed in it.
        log: the file of what it prints.
    """

    run: str
    job: str
    state: str
    recording_ids: tuple[str, ...]
    failed: tuple[str, ...]
    log: Path

    @property
    def shown_log(self) -> str:
        """Its path; empty if it has printed nothing yet."""
        return str(self.log) if self.log.is_file() else ""

    @property
    def printed_at_s(self) -> float:
        """When it printed last, in seconds since 1970; -1 for never."""
        try:
            return self.log.stat().st_mtime
        except OSError:
            return -1.0


@dataclass(frozen=True)
class _Found:
    run: str
    task: SubmittedTask
    log: Path
    is_over: bool


def list_logs(dataset: Dataset, slurm: Slurm, queue: Tasks | None) -> list[TaskLog]:
    """Returns all tasks that are known of: who printed last, last, and then who never did.

    Args:
        dataset: the dataset.
        slurm: the cluster.
        queue: of the cluster; None where it cannot be read.
    """
    found = [*_of_runs(dataset), *_of_scripts(dataset)]
    # What a signal did to a task is only known to Slurm.
    unsure = [
        one.task
        for one in found
        if one.task.end != COMPLETED and not one.is_over and one.task.job not in (queue or ())
    ]
    ends = {} if queue is None else ask_ends(slurm, unsure)
    known = [
        replace(one, task=replace(one.task, end=describe_end(ends[one.task.job])))
        if one.task.job in ends
        else one
        for one in found
    ]
    logs = [
        TaskLog(one.run, task.job, _state(one, queue), task.recording_ids, task.failed, one.log)
        for one in known
        for task in [one.task]
    ]
    return sorted(logs, key=lambda one: (one.printed_at_s < 0, one.printed_at_s))


def find_logs(logs: Iterable[TaskLog], recording_id: str) -> list[TaskLog]:
    """Returns those of tasks that had a recording; who printed last, first."""
    found = [one for one in logs if recording_id in one.recording_ids]
    return sorted(found, key=lambda one: -one.printed_at_s)


def _state(found: _Found, queue: Tasks | None) -> str:
    task = found.task
    if not found.is_over and queue is not None and task.job in queue:
        return queue[task.job].state.lower()
    if task.end or found.is_over or queue is not None:
        return task.end or UNKNOWN
    return "started" if task.has_started else "submitted"


def _of_runs(dataset: Dataset) -> Iterator[_Found]:
    over = {one.parent for one in runs_folder(dataset).glob("*/logs")}
    folders = list_folders(dataset)
    over -= {one.path for one in folders}
    for folder in [*map(RunFolder, sorted(over)), *folders]:
        try:
            tasks, is_over = read_tasks(folder), folder.is_shrunk
        except (BadcError, OSError, ValueError, KeyError, TypeError):
            continue  # being made, or removed
        for one in tasks:
            yield _Found(folder.path.name, one, folder.log(one.job), is_over)


def _of_scripts(dataset: Dataset) -> Iterator[_Found]:
    for path in (dataset.root / NOTES_FOLDER).glob("*_*"):
        try:
            recording_id, log, *codes = path.read_text("utf-8", "replace").split("\n")
        except (OSError, ValueError):
            continue
        end = describe_code(int(codes[0])) if codes and codes[0].isdecimal() else ""
        task = SubmittedTask(path.name, (recording_id,), end=end, has_started=True)
        yield _Found(SCRIPT, task, Path(log), is_over=False)
