"""Running what is due from the command line, through the same instance and jobs as the UI.

What is due is decided in `due.py`; one run takes one asset over a range of recordings, so that a
bad recording never costs another its later stages.
"""

import shlex
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self
from uuid import uuid4

import dagster as dg

from badc_core.datasets.connections import Connection, connect, find_connection
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.recordings.failures import StandingFailure, clear_failure, read_failures
from badc_core.recordings.recording import total_audio_s
from badc_core.recordings.registry import (
    Registry,
    ScanOutcome,
    forget_missing,
    read_registry,
    register_recordings,
)
from badc_core.recordings.scan import find_audio
from badc_core.stages.fingerprints import STAGES
from badc_core.telemetry.progress import Watcher, watched_by
from badc_dagster.due import corpus_fingerprint, find_busy, find_due
from badc_dagster.fingerprint_tags import latest_fingerprint
from badc_dagster.home import home_path, open_instance, prepare_home
from badc_dagster.liveness import close_dead_runs, hold, release
from badc_dagster.partitions import (
    MAX_PARTITIONS_PER_RUN,
    contiguous_ranges,
    range_tags,
    register_keys,
)
from badc_dagster.per_recording import connection_key
from badc_dagster.run_events import faults, left_to_others, warnings, was_interrupted
from badc_dagster.scans import report_scan

Overrides = Mapping[str, Mapping[str, Any]]


class Watch(Protocol):
    """Makes who watches one asset's progress."""

    def __call__(self, stage: str, n_recordings: int, audio_s: float | None) -> Watcher:
        """Returns the watcher; `audio_s` is None where no detector runs."""


@dataclass(frozen=True)
class StatusRow:
    """How far one asset is."""

    stage: str
    current: int
    due: int
    failed: int


@dataclass(frozen=True)
class StatusReport:
    """How far a dataset is."""

    rows: tuple[StatusRow, ...]
    failures: tuple[StandingFailure, ...]
    closed_runs: tuple[str, ...]


@dataclass(frozen=True)
class RunOutcome:
    """What bringing a dataset up to date came to.

    Attributes:
        n_finished: recordings with nothing left to do.
        n_incomplete: recordings with a result that lacks chunks.
        failures: recordings that failed, now or before, and have not been repaired.
        faults: what stopped a whole run, as against a recording, and checks that failed.
        warnings: checks that only warn.
        n_busy: recordings left alone because another run is at work on them.
        nothing_to_do: no run was needed.
    """

    n_finished: int
    n_incomplete: int
    failures: tuple[StandingFailure, ...]
    faults: tuple[str, ...]
    warnings: tuple[str, ...]
    n_busy: int
    nothing_to_do: bool


class Project:
    """A dataset with its place in the asset graph; use as a context manager."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        connection: Connection,
        dataset: Dataset,
        overrides: Overrides,
    ) -> None:
        self.dataset = dataset
        self._instance = instance
        self._connection = connection
        self._overrides = overrides
        self._defs: dg.Definitions | None = None
        self._faults: list[str] = []
        self._warnings: list[str] = []
        self._busy: set[str] = set()

    @classmethod
    def open(cls, root: Path, name: str | None = None, overrides: Overrides | None = None) -> Self:
        """Returns a dataset's project, connecting the dataset where it is new.

        Raises:
            DatasetInvalid, ConfigInvalid: the folder or its settings cannot be used.
        """
        dataset = Dataset.open(root, overrides)
        if find_connection(home_path(), dataset.root) is None and not find_audio(dataset):
            wanted = ", ".join(dataset.settings.recordings.roots)
            raise DatasetInvalid(
                f"no recordings in its folder {wanted}",
                dataset.root,
                "Copy some there, or correct the path; it was not added to the asset graph",
            )
        connection = connect(prepare_home(), dataset.root, name)
        return cls(open_instance(), connection, dataset, overrides or {})

    @classmethod
    def open_known(cls, root: Path) -> Self:
        """Returns the project of a dataset that is in the asset graph; adds nothing to it.

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

    def scan(self) -> ScanOutcome:
        """Registers new recordings and their partitions, and says so in the asset graph."""
        outcome = register_recordings(self.dataset)
        n_new_keys = register_keys(self._instance, self._connection, outcome.registry.ids)
        report_scan(self._instance, self._connection, self.dataset, outcome, n_new_keys)
        return outcome

    def prune(self) -> tuple[str, ...]:
        """Forgets recordings whose file is gone, and their partitions; returns their names."""
        forgotten = forget_missing(self.dataset)
        for recording_id in forgotten:
            self._instance.delete_dynamic_partition(self._connection.partitions_name, recording_id)
            clear_failure(self.dataset, recording_id)
        return forgotten

    def status(self) -> StatusReport:
        """Returns how far the dataset is, closing runs whose process is gone."""
        closed = close_dead_runs(self._instance)
        registry = read_registry(self.dataset.registry)
        progress = find_due(self._instance, self._connection, self.dataset, registry)
        failures = tuple(read_failures(self.dataset).values())
        rows = tuple(
            StatusRow(
                stage,
                len(progress.current[stage]),
                len(progress.due[stage]),
                sum(1 for one in failures if one.stage == stage),
            )
            for stage in STAGES
        )
        return StatusReport(rows, failures, tuple(closed))

    def bring_up_to_date(self, limit: int = 0, watch: Watch | None = None) -> RunOutcome:
        """Runs everything that is due, asset by asset, then the corpus if anything changed.

        Args:
            limit: at most so many recordings; 0 for all.
            watch: makes who watches the progress of each asset.

        Raises:
            DetectorMissing, ConfigInvalid: nothing can be run under these settings.
        """
        close_dead_runs(self._instance)
        registry = self._limited(read_registry(self.dataset.registry), limit)
        register_keys(self._instance, self._connection, registry.ids)
        n_runs = sum(self._bring_stage_up_to_date(stage, registry, watch) for stage in STAGES)
        n_runs += self._bring_corpus_up_to_date()
        progress = find_due(self._instance, self._connection, self.dataset, registry)
        failures = tuple(read_failures(self.dataset).values())
        return RunOutcome(
            n_finished=len(progress.finished),
            n_incomplete=len(progress.incomplete),
            failures=failures,
            faults=tuple(self._faults),
            warnings=tuple(self._warnings),
            n_busy=len(self._busy),
            nothing_to_do=n_runs == 0 and not self._busy,
        )

    def _limited(self, registry: Registry, limit: int) -> Registry:
        """Returns the registry's unfinished recordings, up to the limit, and all finished ones."""
        if not limit:
            return registry
        progress = find_due(self._instance, self._connection, self.dataset, registry)
        unfinished = [one for one in registry.ids if one not in progress.finished]
        left_out = set(unfinished[limit:])
        return Registry(one for one in registry if one.recording_id not in left_out)

    def _bring_stage_up_to_date(self, stage: str, registry: Registry, watch: Watch | None) -> int:
        """Runs one asset over what is due; returns how many runs that took."""
        progress = find_due(self._instance, self._connection, self.dataset, registry)
        keys = self._instance.get_dynamic_partitions(self._connection.partitions_name)
        busy = find_busy(self._instance, self._connection, keys)
        due = [one for one in progress.due[stage] if one not in busy]
        self._busy |= busy & progress.due[stage].keys()
        if not due:
            return 0
        ranges = contiguous_ranges(keys, due, MAX_PARTITIONS_PER_RUN[stage])
        audio_s = total_audio_s(self.dataset, due) if stage == "detections" else None
        with watched_by(watch(stage, len(due), audio_s)) if watch else nullcontext():
            for some in ranges:
                self._execute("pipeline_job", range_tags(some), [stage])
        return len(ranges)

    def _bring_corpus_up_to_date(self) -> int:
        registry = read_registry(self.dataset.registry)
        wanted = corpus_fingerprint(self._instance, self._connection, self.dataset, registry)
        assets = ["corpus_detections", "corpus_report"]
        made = {
            latest_fingerprint(self._instance, connection_key(self._connection, one))
            for one in assets
        }
        files = (self.dataset.corpus.duckdb, self.dataset.corpus.html)
        if made == {wanted} and all(path.exists() for path in files):
            return 0
        self._execute("corpus_job", {}, assets)
        return 1

    def _execute(self, job_name: str, tags: Mapping[str, str], assets: Sequence[str]) -> None:
        """Executes a job in this process; its run is in the UI like any other."""
        if self._defs is None:
            from badc_dagster.definitions import build_defs  # noqa: PLC0415  (one second)

            self._defs = build_defs([self._connection])
        run_id = str(uuid4())
        hold(run_id)
        config = {"root": str(self.dataset.root), "overrides": dict(self._overrides)}
        job = self._defs.resolve_job_def(self._connection.scoped(job_name))
        try:
            result = job.execute_in_process(
                run_config={
                    "resources": {self._connection.scoped("dataset"): {"config": config}},
                    "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
                },
                instance=self._instance,
                tags={"badc/started_by": "badc run", **tags},
                asset_selection=[connection_key(self._connection, one) for one in assets],
                raise_on_error=False,
                run_id=run_id,
            )
        finally:
            release(run_id)
        if was_interrupted(result.all_events):
            raise KeyboardInterrupt
        self._busy |= left_to_others(result.all_events)
        self._faults.extend(faults(result.all_events))
        self._warnings.extend(warnings(result.all_events))
