"""What a step of a run writes into the job of that run, and nothing where it has none.

A step never fails because of it. What is written is decided in `badc_core/jobs/stage_part.py`.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.detectors.registry import identify_detector
from badc_core.errors import BadcError
from badc_core.jobs.recording_tables import recordings_table
from badc_core.jobs.run_job import RunJob
from badc_core.jobs.stage_part import Part, StagePart
from badc_core.jobs.unfailing import Unfailing
from badc_core.jobs.values import explain_ending
from badc_core.settings import SETTINGS_FILE
from badc_core.stages.fingerprint_files import FileSum
from badc_core.stages.stage import STAGES
from badc_dagster.failures import COMPLAINT, RECORDINGS_FAILED
from badc_dagster.partitions import asset_key
from badc_dagster.run_jobs import FOLDER_TAG, job_of_tags, replaced_runs


class StepJob:
    """The part that a step has in the stage of its job; use as a context manager.

    Args:
        context: of the step.
        connection: the dataset.
        stage: the stage, or corpus asset, by its name.
    """

    def __init__(
        self, context: dg.AssetExecutionContext, connection: Connection, stage: str
    ) -> None:
        self._context = context
        self._connection = connection
        self._stage = stage
        self._record = Unfailing(context.log.warning)
        self._part: StagePart | None = None
        self._dataset: Dataset = getattr(context.resources, connection.scoped("dataset"))

    def __enter__(self) -> Self:
        self._part = self._record(self._begin)
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._call(lambda part: part.end(_explain(error)))

    def add_written(self, recording_id: str, files: Mapping[str, FileSum]) -> None:
        """Records the files of a recording that has succeeded.

        Args:
            recording_id: which.
            files: path relative to the dataset -> its bytes.
        """
        root = self._dataset.root
        rows = [(root / path, one.size_bytes, one.sha256) for path, one in files.items()]
        self._call(lambda part: part.add_written(recording_id, rows))

    def add_failed(self, recording_id: str, error: BadcError) -> None:
        """Records why a recording failed."""
        self._call(lambda part: part.add_failed(recording_id, str(error)))

    def add_outputs(self, files: Mapping[str, FileSum]) -> None:
        """Records files about all recordings.

        Args:
            files: path relative to the dataset -> its bytes.
        """
        for path, one in files.items():
            self.add_output(self._dataset.root / path, one.sha256)

    def add_output(self, path: Path, sha256: str | None = None) -> None:
        """Records a file about all recordings."""
        self._call(lambda part: part.add_output(path.name, path, sha256))

    def count(self, **numbers: float) -> None:
        """Adds to numbers that all steps of the stage have together."""
        for key, number in numbers.items():
            self._call(partial(StagePart.count, key=key, number=number))

    def add_metadata(self, **facts: Any) -> None:
        """Records facts; empty ones are left out."""
        for key, fact in facts.items():
            if fact:
                self._call(partial(StagePart.add_metadata, key=key, value=fact))

    def _call(self, record: Callable[[StagePart], object]) -> None:
        part = self._part
        if part is not None:
            self._record(lambda: record(part))

    def _begin(self) -> StagePart | None:
        context, dataset = self._context, self._dataset
        tags: Mapping[str, str] = context.run.tags
        if FOLDER_TAG not in tags:
            # The executor tagged it after this process was given the run.
            run = context.instance.get_run_by_id(context.run.run_id)
            tags = run.tags if run is not None else {}
        job = job_of_tags(tags)
        if job is None:
            return None
        job.add_dataset(
            self._connection.name,
            dataset.root,
            dataset.settings.model_dump(mode="json"),
            {"detector": _identify(dataset)},
        )
        if self._is_first():
            job.add_recordings(self._connection.name, context.partition_keys)
        name = self._connection.scoped(self._stage)
        part = Part(name, context.run.run_id, job.attempt, replaced_runs(tags))
        return job.start(part, dict(self._inputs(job)))

    def _is_first(self) -> bool:
        """Returns whether the recordings of this step are not yet in the job's table of them.

        `badc run` enters them before it begins; in other runs the first stage does.
        """
        if self._stage not in STAGES or "badc/started_by" in self._context.run.tags:
            return False
        run, job = self._context.run, self._context.job_def
        chosen = run.asset_selection or job.asset_layer.selected_asset_keys
        before = STAGES[self._stage].inputs
        return not any(asset_key(self._connection, one) in chosen for one in before)

    def _inputs(self, job: RunJob) -> Iterable[tuple[str, Path]]:
        dataset = self._dataset
        if self._stage in STAGES:
            yield "recordings of the job", recordings_table(job.folder)
        for path in (dataset.registry, dataset.deployments, dataset.root / SETTINGS_FILE):
            if path.exists():
                yield path.name, path


def _identify(dataset: Dataset) -> str:
    try:
        identity = identify_detector(dataset.settings.detector)
    except BadcError:
        return dataset.settings.detector.name
    return f"{identity.name} {identity.version}"


def _explain(error: BaseException | None) -> str:
    """Returns why a step failed, apart from recordings, of which each has its own reason."""
    if error is None:
        return ""
    if isinstance(error, dg.Failure):
        if COMPLAINT in error.metadata:
            return str(error.metadata[COMPLAINT].value)
        return "" if RECORDINGS_FAILED in error.metadata else error.description or "it failed"
    return explain_ending(error)
