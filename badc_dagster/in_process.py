"""Executing asset jobs in this process, as runs that the UI shows like any other."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.units import counted
from badc_dagster.command_job import CommandJob
from badc_dagster.liveness import LOCKS_FIRST_TAG, show_alive, show_ended, tag_home
from badc_dagster.partitions import ASSET_TAG, asset_key
from badc_dagster.run_events import (
    faults,
    left_to_others,
    unattended,
    warnings,
    was_interrupted,
)

Overrides = Mapping[str, Mapping[str, Any]]


@contextmanager
def keeping_streams() -> Iterator[None]:
    """Leaves standard output and error as they were, whatever the block did to them.

    Dagster points them to files in its home while a step runs. Where the disk of these is full it
    fails to point them back, and nobody would read why the command failed.
    """
    kept = {}
    for stream in (1, 2):
        with suppress(OSError):  # closed by whoever started the command
            kept[stream] = os.dup(stream)
    try:
        yield
    finally:
        for stream, copy in kept.items():
            os.dup2(copy, stream)
            os.close(copy)


class InProcessRuns:
    """Runs of one dataset's jobs, and what they had to say.

    Attributes:
        n_runs: how many there were.
        faults: what stopped a run or a step, as against a recording; checks that failed.
        warnings: checks that only warn.
        busy: recordings that steps left to other runs.
        unattended: those of them whose run nobody is known to follow, and why.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        connection: Connection,
        dataset: Dataset,
        overrides: Overrides,
        job: CommandJob,
    ) -> None:
        self.n_runs = 0
        self.faults: list[str] = []
        self.warnings: list[str] = []
        self.busy: set[str] = set()
        self.unattended: dict[str, str] = {}
        self._instance = instance
        self.job = job
        self._root = dataset.root
        self._overrides = dict(overrides)
        self._connection = connection
        self._config = {"root": str(dataset.root), "overrides": self._overrides}
        self._defs: dg.Definitions | None = None

    def open_dataset(self) -> Dataset:
        """Returns the dataset as a step that begins now will open it.

        Raises:
            DatasetInvalid, ConfigInvalid: it cannot be used any more.
        """
        return Dataset.open(self._root, self._overrides)

    def add_faults(self, found: Iterable[str]) -> None:
        """Adds faults; the same sentence from every batch is given once."""
        self.faults += [one for one in found if one not in self.faults]

    def explain_unattended(self) -> Iterator[str]:
        """Yields a sentence for each reason that recordings were left alone for."""
        by_reason = defaultdict(list)
        for one, why in self.unattended.items():
            by_reason[why].append(one)
        for why, ids in by_reason.items():
            yield f"{counted(len(ids), 'recording')} not done, {min(ids)} for example: {why}"

    def execute(self, job_name: str, tags: Mapping[str, str], assets: Sequence[str]) -> bool:
        """Executes some assets of a job; returns whether all went well.

        Raises:
            KeyboardInterrupt: somebody pressed Ctrl-C.
        """
        if self._defs is None:
            from badc_dagster.definitions import build_defs  # noqa: PLC0415  (one second)

            self._defs = build_defs([self._connection])
        job = self._defs.resolve_job_def(self._connection.scoped(job_name))
        resource = self._connection.scoped("dataset")
        run_id = str(uuid4())
        run_config = {
            "resources": {resource: {"config": self._config}},
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        }
        job_tags = self.job.add_run(run_id, job_name, assets, run_config)
        tags = {ASSET_TAG: ", ".join(assets), **tags}
        show_alive(run_id)
        try:
            with keeping_streams():
                result = job.execute_in_process(
                    run_config=run_config,
                    instance=self._instance,
                    tags={**LOCKS_FIRST_TAG, **tag_home(self._instance), **tags, **job_tags},
                    asset_selection=[asset_key(self._connection, one) for one in assets],
                    raise_on_error=False,
                    run_id=run_id,
                )
        finally:
            show_ended(run_id)
        self._record(result.all_events)
        return bool(result.success)

    def _record(self, events: Sequence[dg.DagsterEvent]) -> None:
        if was_interrupted(events):
            raise KeyboardInterrupt
        self.n_runs += 1
        self.busy |= left_to_others(events)
        self.unattended |= unattended(events)
        self.add_faults(faults(events))
        self.warnings += [one for one in warnings(events) if one not in self.warnings]
