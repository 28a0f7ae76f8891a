"""What tasks on the cluster have printed: which logs there are, and whose.

Tasks of runs and of array scripts alike. A task of an array script writes down by itself where its
log is (`slurm_array.py`).
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError
from badc_core.slurm.commands import Slurm, Tasks
from badc_core.slurm.run_folder import RunFolder
from badc_core.slurm.run_folders import list_run_folders, runs_folder
from badc_core.slurm.run_tasks import (
    COMPLETED,
    SIGNALS,
    UNKNOWN,
    SubmittedTask,
    ask_ends,
    describe_code,
    read_tasks,
    with_ends,
)
from badc_core.slurm_array import NOTES_FOLDER

SCRIPT = "array script"

_NOTES_KEPT_S = 60 * 86400.0


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
        """Its path; empty if it has printed nothing."""
        return str(self.log) if self.printed_at_s >= 0 and self.log.stat().st_size else ""

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
    is_known: bool
    """Whether Slurm has no more to say of its end."""


def list_logs(dataset: Dataset, slurm: Slurm, queue: Tasks | None) -> list[TaskLog]:
    """Returns all tasks that are known of: who printed last, last, and then who never did.

    Args:
        dataset: the dataset.
        slurm: the cluster.
        queue: of the cluster; None where it cannot be read.
    """
    if queue is not None:
        _remove_old_notes(dataset, queue)
    found = [*_of_runs(dataset), *_of_scripts(dataset)]
    unsure = [one.task for one in found if not one.is_known and one.task.job not in (queue or ())]
    tasks = with_ends((one.task for one in found), {} if queue is None else ask_ends(slurm, unsure))
    logs = [
        TaskLog(
            one.run,
            task.job,
            _state(task, one.is_over, queue),
            task.recording_ids,
            task.failed,
            one.log,
        )
        for one, task in zip(found, tasks, strict=True)
    ]
    return sorted(logs, key=lambda one: (one.printed_at_s < 0, one.printed_at_s))


def find_logs(logs: Iterable[TaskLog], recording_id: str) -> list[TaskLog]:
    """Returns those of tasks that had a recording; who printed last, first."""
    found = [one for one in logs if recording_id in one.recording_ids]
    return sorted(found, key=lambda one: -one.printed_at_s)


def _state(task: SubmittedTask, is_over: bool, queue: Tasks | None) -> str:
    if not is_over and queue is not None and task.job in queue:
        return queue[task.job].state.lower()
    if task.end or is_over or queue is not None:
        return task.end or UNKNOWN
    return "started" if task.has_started else "submitted"


def _of_runs(dataset: Dataset) -> Iterator[_Found]:
    over = {one.parent for one in runs_folder(dataset).glob("*/logs")}
    folders = list_run_folders(dataset)
    over -= {one.path for one in folders}
    for folder in [*map(RunFolder, sorted(over)), *folders]:
        try:
            tasks, is_over = read_tasks(folder), folder.is_shrunk
        except (BadcError, OSError, ValueError, KeyError, TypeError):
            continue  # being made, or removed
        for one in tasks:
            is_known = is_over or one.end == COMPLETED
            yield _Found(folder.path.name, one, folder.log(one.job), is_over, is_known)


def _of_scripts(dataset: Dataset) -> Iterator[_Found]:
    for path in (dataset.root / NOTES_FOLDER).glob("*_*"):
        try:
            recording_id, log, *codes = path.read_text("utf-8", "replace").split("\n")
        except (OSError, ValueError):
            continue
        code = int(codes[0]) if codes and codes[0].isdecimal() else None
        end = "" if code is None else describe_code(code)
        task = SubmittedTask(path.name, (recording_id,), end=end, has_started=True)
        # Why it got a signal is only known to Slurm.
        is_known = code is not None and code <= SIGNALS
        yield _Found(SCRIPT, task, Path(log), is_over=False, is_known=is_known)


def _remove_old_notes(dataset: Dataset, queue: Tasks) -> None:
    """Removes what tasks of array scripts wrote down long ago, unless they are in the queue."""
    until_s = time.time() - _NOTES_KEPT_S
    for path in (dataset.root / NOTES_FOLDER).glob("*_*"):
        with suppress(OSError):  # it has just gone, or is another person's
            if path.name not in queue and path.stat().st_mtime < until_s:
                path.unlink()
