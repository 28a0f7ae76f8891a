"""The job of one `badc run`: all runs that it starts, from its first run to its end."""

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from badc_core.datasets.connections import Connection
from badc_core.jobs.layout import CANCELED, COMPLETED, FAILED
from badc_core.jobs.places import job_places
from badc_core.jobs.run_job import RunJob
from badc_core.jobs.unfailing import Unfailing
from badc_core.jobs.values import explain_ending
from badc_core.stages.corpus_outputs import CORPUS_ASSETS
from badc_core.stages.export_outputs import export_assets
from badc_core.stages.stage import STAGES
from badc_dagster.due import Progress
from badc_dagster.home import home_path
from badc_dagster.job_rest import JobRest
from badc_dagster.partitions import settings_of
from badc_dagster.run_jobs import COMMAND, create_job, finish, following, job_tags

_NOT_DUE = "nothing of it was due"


class CommandJob:
    """A job that begins with the first run, if there is one; use as a context manager.

    The work never fails because of it.

    Args:
        connection: the dataset.
        warn: shows a warning.
        resumed: what is left of the job to go on with; None for a new job.
        show: shows which job is new, and where it is.
    """

    def __init__(
        self,
        connection: Connection,
        warn: Callable[[str], None],
        resumed: JobRest | None = None,
        show: Callable[[str], object] | None = None,
    ) -> None:
        self.resumed = resumed
        self._connection = connection
        self._record = Unfailing(warn)
        self._show = show
        self._job: RunJob | None = None
        self._recordings: Collection[str] = ()
        self._errors: Sequence[str] = ()
        self._current: Mapping[str, Collection[str]] = {}
        self._followed = ExitStack()
        self._lock = -1

    def __enter__(self) -> Self:
        if self.resumed is not None:
            self._record(self._resume)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        with self._followed:
            self._record(lambda: self._end(error))

    @property
    def job_id(self) -> str | None:
        """The id of the job; None before its first run, and where no job can be written."""
        return self._job.folder.name if self._job is not None else None

    @property
    def recordings(self) -> frozenset[str] | None:
        """The recordings of the job that is resumed; None for a new job, which takes any."""
        return None if self.resumed is None else self.resumed.recordings

    def narrow(self, progress: Progress) -> None:
        """Takes out of what is due what a job that is resumed was not to do, or has done."""
        if self.resumed is not None:
            self.resumed.narrow(progress)

    def has_corpus(self, is_changed: bool) -> bool:
        """Returns whether the report of all recordings is part of the job.

        Args:
            is_changed: stages have been run.
        """
        return self.resumed is None or self.resumed.has_corpus(is_changed)

    def has_export(self, asset: str) -> bool:
        """Returns whether an export is part of the job."""
        return self.resumed is None or asset in self.resumed.stages

    def plan(self, recordings: Collection[str]) -> None:
        """Says which recordings a new job is about, before its first run."""
        self._recordings = recordings

    def add_run(
        self, run_id: str, name: str, assets: Sequence[str], config: Mapping[str, Any]
    ) -> dict[str, str]:
        """Records a run that begins, and returns its tags.

        Args:
            run_id: of the run.
            name: of Dagster's job.
            assets: that it makes.
            config: what the run is given.
        """
        return self._record(lambda: self._add_run(run_id, name, assets, config)) or {}

    def conclude(self, faults: Sequence[str], current: Mapping[str, Collection[str]]) -> None:
        """Says what went wrong, apart from what steps recorded, and how far the recordings are.

        Args:
            faults: sentences.
            current: stage -> recordings whose output is as it should be, or which are gone.
        """
        self._errors = faults
        self._current = current
        if self.resumed is not None:
            self.resumed.settled = current

    def _resume(self) -> None:
        if self.resumed is not None:
            self._job = self._follow(self.resumed.job)

    def _add_run(
        self, run_id: str, name: str, assets: Sequence[str], config: Mapping[str, Any]
    ) -> dict[str, str]:
        if self._job is None:
            typed = job_places(home_path()).secrets().mask_command(sys.argv)
            self._job = self._follow(create_job(COMMAND, command=typed))
            if self._show is not None:
                self._show(f"Job {self.job_id}: {self._job.folder}")
            self._job.add_recordings(self._connection.name, self._recordings)
        self._job.add_run(run_id, name, assets, config)
        return job_tags(self._job)

    def _follow(self, job: RunJob) -> RunJob:
        self._lock = self._followed.enter_context(following(job.folder))
        return job

    def _end(self, error: BaseException | None) -> None:
        if self._job is None:
            return
        if error is not None:
            is_canceled = not isinstance(error, Exception)
            status = CANCELED if is_canceled else FAILED
            finish(self._job, self._lock, status, [explain_ending(error)])
            return
        exports = export_assets(settings_of(self._connection))
        for stage in (*STAGES, *CORPUS_ASSETS, *exports):
            if self.resumed is not None and stage not in self.resumed.stages:
                continue
            name = self._connection.scoped(stage)
            self._job.skip(name, _NOT_DUE)
            if self.resumed is not None and not self._errors:
                # What failed before may have been done by another job since.
                self._job.settle(name, self._current.get(stage, ()))
        finish(self._job, self._lock, FAILED if self._errors else COMPLETED, self._errors)
