"""A dataset in the asset graph, as the command line sees it: scan, status, and everything due.

Through the same instance and jobs as the UI. How everything that is due is run is in
`everything_due.py`.
"""

import logging
import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import dagster as dg

from badc_core.atomic import remove_abandoned
from badc_core.datasets.connections import Connection, connect, find_connection
from badc_core.datasets.dataset import Dataset
from badc_core.errors import ConfigInvalid, DatasetInvalid, DetectorMissing
from badc_core.provenance.commits import Commits
from badc_core.provenance.fetching import require_fetched_all
from badc_core.recordings.missing import find_missing
from badc_core.recordings.registry import (
    ScanOutcome,
    forget_missing,
    read_registry,
    register_recordings,
)
from badc_core.recordings.scan import Listing, list_folders, require_recordings, warn_of_left_out
from badc_core.stages.stage import STAGES, list_all_made
from badc_core.stages.step_records import commit_dataset_files
from badc_dagster.batches import Watch
from badc_dagster.command_job import CommandJob
from badc_dagster.done_notes import Collected, collect_and_say
from badc_dagster.due import DueFinder
from badc_dagster.everything_due import EverythingDue, standing_failures
from badc_dagster.failed_runs import find_failed_assets, find_failed_runs
from badc_dagster.home import home_path, naming_home_trouble, open_instance, prepare_home
from badc_dagster.in_process import Overrides
from badc_dagster.job_rest import JobRest
from badc_dagster.liveness import close_dead_runs, find_dead_runs
from badc_dagster.partitions import register_keys
from badc_dagster.run_jobs import close_lost_jobs
from badc_dagster.run_outcomes import RunOutcome, StatusReport, StatusRow
from badc_dagster.scans import forget_recordings, report_scan
from badc_dagster.taking_over import GraphPlace, Show, TakenOver, take_over_made_elsewhere

_log = logging.getLogger(__name__)


def _nothing(sentence: str) -> None:
    """Shows nothing."""


class Project:
    """A dataset with its place in the asset graph; use as a context manager.

    Attributes:
        listing: what the last scan found in the recordings folders; empty before one.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        connection: Connection,
        dataset: Dataset,
        overrides: Overrides,
    ) -> None:
        self.dataset = dataset
        self.listing = Listing()
        self._instance = instance
        self._connection = connection
        self._overrides = overrides
        self._scanned: ScanOutcome | None = None
        self._taken: TakenOver | None = None

    @classmethod
    def open(cls, root: Path, name: str | None = None, overrides: Overrides | None = None) -> Self:
        """Returns a dataset's project, connecting the dataset where it is new.

        Raises:
            DatasetInvalid, ConfigInvalid: the folder or its settings cannot be used.
        """
        dataset = Dataset.open(root, overrides)
        if find_connection(home_path(), dataset.root) is None:
            require_recordings(dataset)
        connection = connect(prepare_home(), dataset.root, name)
        _clear_abandoned(dataset)
        return cls(open_instance(), connection, dataset, overrides or {})

    @classmethod
    def open_known(cls, root: Path) -> Self:
        """Returns the project of a dataset that is in the asset graph, to look at; writes nothing.

        Raises:
            DatasetInvalid, ConfigInvalid: it is not, or its settings cannot be used.
        """
        dataset = Dataset.open(root)
        connection = find_connection(home_path(), dataset.root)
        if connection is None:
            remedy = f"Run: badc run {shlex.quote(str(root))}"
            raise DatasetInvalid("not in the asset graph yet", dataset.root, remedy)
        return cls(open_instance(), connection, dataset, {})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._instance.dispose()
        if error is not None:
            with naming_home_trouble():
                raise error

    def scan(
        self, show: Callable[[str], None] = _nothing, warn: Callable[[str], None] = _nothing
    ) -> ScanOutcome:
        """Registers new recordings and their partitions, and says so in the asset graph.

        That gets to know results, too, that were made in another Dagster home, or by hand.

        Args:
            show: shows what was taken over.
            warn: shows what of it could not be.
        """
        require_fetched_all([self.dataset.deployments])
        self.listing = list_folders(self.dataset)
        warn_of_left_out(self.listing)
        commits = Commits(self.dataset, _log.warning)
        outcome = register_recordings(self.dataset, self.listing.recordings)
        commit_dataset_files(self.dataset, commits)
        n_new_keys = register_keys(self._instance, self._connection, outcome.registry.ids)
        report_scan(self._instance, self._connection, self.dataset, outcome, n_new_keys)
        self._taken = take_over_made_elsewhere(self.place, outcome.registry, show, warn)
        collect_and_say(self.place, outcome.registry.by_id, show, warn)
        self._scanned = outcome
        return outcome

    def collect(self, warn: Show) -> Collected:
        """Has the asset graph know what commands did by hand to registered recordings."""
        registry = read_registry(self.dataset.registry)
        register_keys(self._instance, self._connection, registry.ids)
        return collect_and_say(self.place, registry.by_id, _nothing, warn)

    def prune(self) -> tuple[str, ...]:
        """Forgets recordings whose file is gone, and their partitions; returns their names."""
        forgotten = forget_missing(self.dataset)
        forget_recordings(self._instance, self._connection, self.dataset, forgotten)
        return forgotten

    def status(self) -> StatusReport:
        """Returns how far the dataset is, as far as its settings let anybody say."""
        dead = [run.run_id for run in find_dead_runs(self._instance)]
        registry = read_registry(self.dataset.registry)
        missing = find_missing(self.dataset, registry)
        failures = standing_failures(self.place, missing)
        assets = tuple(find_failed_assets(self.place))
        try:
            progress = self._finder().find(registry.without(missing))
        except (ConfigInvalid, DetectorMissing) as error:
            return StatusReport(
                (), failures, tuple(dead), {}, missing, len(registry), assets, trouble=str(error)
            )
        rows = tuple(
            StatusRow(
                stage,
                len(progress.current[stage]),
                len(progress.due[stage]),
                sum(1 for one in failures if one.stage == stage),
            )
            for stage in STAGES
        )
        failed = {one.recording_id for one in failures}
        failed_runs = find_failed_runs(self._instance, self._connection, progress, failed)
        others = {one: why for one, why in failed_runs.items() if one not in dead}
        return StatusReport(rows, failures, tuple(dead), others, missing, len(registry), assets)

    def scoped(self, stage: str) -> str:
        """Returns what a stage of the dataset is called in the asset graph."""
        return self._connection.scoped(stage)

    def close_lost(self, warn: Show) -> None:
        """Closes runs and jobs, of any dataset, whose process is gone."""
        close_dead_runs(self._instance)
        close_lost_jobs(self._instance, warn)

    def bring_up_to_date(
        self,
        limit: int = 0,
        watch: Watch | None = None,
        show: Show = _nothing,
        warn: Show = _nothing,
        resumed: JobRest | None = None,
    ) -> RunOutcome:
        """Runs everything that is due, batch by batch, then the corpus if anything changed.

        Args:
            limit: at most this many recordings; 0 for all.
            watch: returns what shows the progress of a stage.
            show: shows a sentence before anything is run.
            warn: shows a warning before anything is run.
            resumed: what is left of the job to go on with; None for a new job.

        Raises:
            DetectorMissing, ConfigInvalid: nothing can be run under these settings.
        """
        if (
            resumed is None
        ):  # else it was done before, and the job, not followed yet, would be ended
            self.close_lost(warn)
        with CommandJob(self._connection, warn, resumed, show) as job:
            due = EverythingDue(self.place, self._overrides, job, (show, warn))
            # A scan did so a moment ago: in a large archive it takes seconds. Used once, as files
            # may come and go until the next time.
            known = self._taken.known if self._taken is not None else None
            scanned, self._scanned, self._taken = self._scanned, None, None
            return due.run(limit, watch, known, scanned)

    def _finder(self) -> DueFinder:
        return DueFinder(*self.place)

    @property
    def place(self) -> GraphPlace:
        """The dataset, and where it is in the asset graph."""
        return self._instance, self._connection, self.dataset


def _clear_abandoned(dataset: Dataset) -> None:
    """Removes whatever a killed process left half written, of any stage and of the home.

    Large folders are listed only once, for this and to find out what is due.
    """
    done: set[Path] = set()

    def look_into(folder: Path, names: Sequence[str]) -> None:
        remove_abandoned(folder, names)
        done.add(folder)

    with suppress(OSError):  # whoever reads that folder says what is wrong with it
        list_all_made(dataset, see=look_into)
    for folder in {*dataset.output_folders, home_path()} - done:
        remove_abandoned(folder)
