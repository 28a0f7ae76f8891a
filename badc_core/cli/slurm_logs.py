"""What tasks on the cluster have printed: which logs there are, and whose."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError
from badc_core.slurm.commands import Tasks
from badc_core.slurm.run_folder import RunFolder
from badc_core.slurm.run_folders import list_folders, runs_folder
from badc_core.telemetry.log import Tail


@dataclass(frozen=True)
class TaskLog:
    """A task that was submitted.

    Attributes:
        run: name of the run's folder.
        job: such as `17_3`.
        state: in the queue, or as far as it said itself, for people.
        log: the file of what it prints.
    """

    run: str
    job: str
    state: str
    log: Path

    @property
    def shown_log(self) -> str:
        """Its path; empty if it has printed nothing yet."""
        return str(self.log) if self.log.exists() else ""

    @property
    def printed_at_s(self) -> float:
        """When it printed last, in seconds since 1970; -1 for never."""
        try:
            return self.log.stat().st_mtime
        except OSError:
            return -1.0


def list_logs(dataset: Dataset, queue: Tasks | None) -> list[TaskLog]:
    """Returns the tasks of all runs whose folders are there, those of runs that are done first.

    Args:
        dataset: the dataset.
        queue: of the cluster; None where it cannot be read.
    """
    return [*_logs_of_done_runs(dataset), *_logs_of_open_runs(dataset, queue, None)]


def find_logs(dataset: Dataset, queue: Tasks | None, recording_id: str) -> list[TaskLog]:
    """Returns the tasks that had a recording, of runs that are not done; who printed last, first.

    When a run is done, nothing says any more which of its tasks had which recording.
    """
    found = _logs_of_open_runs(dataset, queue, recording_id)
    return sorted(found, key=lambda one: -one.printed_at_s)


def _logs_of_done_runs(dataset: Dataset) -> list[TaskLog]:
    paths = sorted(runs_folder(dataset).glob("*/logs/*.out"))
    runs = {one.parent.parent for one in paths}
    done = {one for one in runs if RunFolder(one).is_shrunk}
    found = [
        TaskLog(one.parent.parent.name, one.stem, "done", one)
        for one in paths
        if one.parent.parent in done
    ]
    return sorted(found, key=lambda one: one.printed_at_s)


def _logs_of_open_runs(
    dataset: Dataset, queue: Tasks | None, recording_id: str | None
) -> Iterator[TaskLog]:
    for folder in list_folders(dataset):
        try:
            yield from list(_logs_of(folder, queue, recording_id))
        except (BadcError, OSError, ValueError, KeyError, TypeError):
            continue  # being made, or removed


def _logs_of(folder: RunFolder, queue: Tasks | None, recording_id: str | None) -> Iterator[TaskLog]:
    """Yields the tasks of a run, of every time that it was submitted."""
    last_events = _last_events(folder)
    for submission in folder.read_submissions():
        array = submission.job or folder.owner_of(submission.number)
        for index, number in enumerate(submission.tasks if array else ()):
            if recording_id is None or recording_id in folder.read_task(number).recording_ids:
                job = f"{array}_{index}"
                state = _describe(job, queue, last_events.get(job))
                yield TaskLog(folder.path.name, job, state, folder.log(job))


def _last_events(folder: RunFolder) -> dict[str, dict[str, Any]]:
    """Returns the last event of each job that has started."""
    return {
        event["job"]: event
        for paths in folder.list_events().values()
        for path in paths
        for event in Tail(path).read()
    }


def _describe(job: str, queue: Tasks | None, last: Mapping[str, Any] | None) -> str:
    if queue is not None and job in queue:
        return queue[job].state.lower()
    if last is not None and last["kind"] == "ended":
        return f"ended with code {last['code']}" if last["code"] else "ended"
    if queue is not None:
        return "gone from the queue"
    return "submitted" if last is None else "started"
