"""One execution of a per-recording asset: how outcomes become events.

A step's inputs are computed here, from the asset graph and the registry; its body gets those and
files. Good recordings are materialised as they finish, some at a time where results are committed;
bad ones are logged, one line each, and named in one failure at the end. So a failed recording costs
nobody else's result. How such assets are declared is in `per_recording.py`.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.errors import (
    BadcError,
    RecordingBusy,
)
from badc_core.outcomes import Outcome
from badc_core.provenance.commits import Commits
from badc_core.provenance.tracking import write_tracking_rules
from badc_core.recordings.failures import clear_failure, note_failure
from badc_core.slurm.run_folders import end_runs_of_other_stages
from badc_core.slurm.step_launcher import SlurmStepLauncher
from badc_core.stages.damage import mark_damaged, writers_of
from badc_core.stages.fingerprint_files import FileSum, store_fingerprint
from badc_core.stages.fingerprints import mark_incomplete
from badc_core.stages.stage import STAGES, stages_after
from badc_core.stages.step_inputs import StepInputs
from badc_core.stages.step_records import commit_dataset_files
from badc_core.telemetry.progress import watcher
from badc_core.telemetry.summary import summary_path, workers_path
from badc_dagster.failures import failure_of
from badc_dagster.fingerprint_tags import CODE_VERSION_TAG, FINGERPRINT_TAG
from badc_dagster.finished_outputs import FinishedOutputs
from badc_dagster.host_inputs import HostInputs
from badc_dagster.liveness import show_alive
from badc_dagster.metadata import commit_metadata, slurm_metadata, tasks_metadata
from badc_dagster.partitions import asset_key
from badc_dagster.step_job import StepJob

T = TypeVar("T")
Outcomes: TypeAlias = Generator[Outcome[T], None, None]
Results = Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]


@dataclass(frozen=True)
class RecordingOutput:
    """What the asset graph gets to know of one recording's output.

    Attributes:
        metadata: kept small, since each event is stored twice.
        fingerprint: where it follows from what the step read; else the one in the step's inputs.
        failed_chunks: chunk_ids it lacks, so that it is due again although it can be used.
    """

    metadata: dict[str, Any]
    fingerprint: str | None = None
    failed_chunks: tuple[str, ...] = ()


class Step:
    """One execution of a per-recording asset.

    Attributes:
        dataset: the dataset it works on.
        inputs: what the body gets.
        launcher: runs the body on a Slurm cluster; None where it runs here.
        job: gets to know what the step does.
    """

    def __init__(
        self, context: dg.AssetExecutionContext, connection: Connection, stage: str, job: StepJob
    ) -> None:
        show_alive(context.run.run_id)
        self.job = job
        self._sums: dict[str, Mapping[str, FileSum]] = {}
        self.dataset: Dataset = getattr(context.resources, connection.scoped("dataset"))
        write_tracking_rules(self.dataset.root)
        self._host = HostInputs(
            context.instance, connection, self.dataset, stage, list(context.partition_keys)
        )
        self.inputs: StepInputs = self._host.step_inputs(context.run.run_id)
        self._by_id = {one.recording_id: one for one in self.inputs.recordings}
        self._context = context
        self._connection = connection
        self._stage = STAGES[stage]
        self._commits = Commits(self.dataset, context.log.warning)
        commit_dataset_files(self.dataset, self._commits)
        self._finished = FinishedOutputs(self.inputs, self._commits)
        self.launcher: SlurmStepLauncher | None = None
        if self.dataset.settings.slurm.on_cluster(stage):
            self.launcher = SlurmStepLauncher(self.inputs, self._say)
        else:
            end_runs_of_other_stages(self.inputs, self._say)

    def _say(self, sentence: str) -> None:
        """Says what a person should know, in the run's log and to whoever watches."""
        self._context.log.info(sentence)
        watcher().said(sentence)

    def wanted(self, recording_id: str) -> str:
        """Returns the fingerprint that a recording's output should have."""
        return self._by_id[recording_id].fingerprint

    def outcomes(self, body: Callable[[StepInputs], Outcomes[T]]) -> Outcomes[T]:
        """Yields what became of the recordings, here or on the cluster.

        Args:
            body: of the step.
        """
        return body(self.inputs) if self.launcher is None else self.launcher.outcomes()

    def materialise(
        self,
        outcomes: Outcomes[T],
        describe: Callable[[str, T], RecordingOutput],
        complaint: Callable[[], str] = str,
        checks: Callable[[], Iterable[dg.AssetCheckResult]] = tuple,
    ) -> Results:
        """Materialises every good recording, then fails if there was a bad one.

        A step of one recording yields its result, so that the next asset of the run follows. A
        step of several logs each as it comes and yields nothing: Dagster would otherwise record a
        result for every key of the range. Each is committed once the asset graph knows of it.

        Args:
            outcomes: in any order.
            describe: returns what the asset graph gets to know of a good one.
            complaint: returns at the end what else is wrong; empty if nothing.
            checks: returns at the end the results of the asset's checks; they are recorded
                whether the step then fails or not.

        Raises:
            dg.Failure: naming every recording that failed, and the complaint.
        """
        bad: dict[str, BadcError] = {}
        finished = self._finished
        # Interrupted between two outcomes, workers must end now, not when Python does.
        with closing(outcomes):
            try:
                for outcome in outcomes:
                    watcher().ended()
                    if outcome.value is None:
                        bad[outcome.recording_id] = self._record_failure(outcome)
                        if self._stops_at(outcome):
                            break
                        continue
                    output = self._placed(outcome, describe(outcome.recording_id, outcome.value))
                    self._store_fingerprint(outcome.recording_id, output)
                    finished.add(outcome, output)
                    clear_failure(self.dataset, outcome.recording_id)
                    if finished.are_enough:
                        yield from self._publish()
            except BadcError:
                yield from self._publish()
                finished.commit_failures(bad)
                raise
            yield from self._publish()
        self._tell_tasks()
        finished.commit_failures(bad)
        yield from checks()
        complained = " ".join(filter(None, (complaint(), self._explain_left_stages())))
        if bad or complained:
            raise failure_of(bad, len(self._by_id), complained)

    @contextmanager
    def committing_telemetry(self, log: Path) -> Iterator[None]:
        """Commits a telemetry log and its summary when the block ends."""
        try:
            yield
        finally:
            paths = (log, summary_path(log), workers_path(log))
            self._commits.commit(paths, f"{self._stage.name}: telemetry")

    def _placed(self, outcome: Outcome[T], output: RecordingOutput) -> RecordingOutput:
        """Returns an output that says where on the cluster it was made."""
        if self.launcher is None:
            return output
        place = self.launcher.metadata(outcome.recording_id)
        return replace(output, metadata=output.metadata | slurm_metadata(place))

    def _tell_tasks(self) -> None:
        """Tells the asset graph what the cluster's tasks used, once all have ended."""
        tasks = self.launcher.list_tasks() if self.launcher else []
        if tasks:
            self.job.count(slurm_tasks=len(tasks))
            arrays = {str(one.get("job", "")).partition("_")[0] for one in tasks}
            nodes = {str(one["node"]) for one in tasks if one.get("node")}
            self.job.add_metadata(slurm_job_ids=sorted(arrays), slurm_nodes=sorted(nodes))
            key, metadata = self._context.asset_key, tasks_metadata(tasks)
            self._context.log_event(dg.AssetObservation(key, metadata=metadata))

    def _publish(self) -> Results:
        """Commits what is finished and tells the asset graph, which then knows the commit."""
        commit, outputs = self._finished.commit()
        for outcome, described in outputs:
            metadata = described.metadata | commit_metadata(commit)
            self.job.add_metadata(commit=commit)
            self.job.add_written(outcome.recording_id, self._sums.pop(outcome.recording_id, {}))
            output = replace(described, metadata=metadata)
            if len(self._by_id) == 1:
                yield self._result(outcome.recording_id, output)
            else:
                self._context.log_event(self._materialization(outcome.recording_id, output))
            self._record_success(outcome.recording_id, output)
            outcome.commit()

    def _stops_at(self, outcome: Outcome[T]) -> bool:
        """Returns whether a failure is to be the last thing that happens."""
        is_busy = isinstance(outcome.error, RecordingBusy)
        return self.dataset.settings.inference.fail_fast and not is_busy

    def _explain_left_stages(self) -> str:
        """Returns what to do where a run of several stages got a range; nothing otherwise.

        Dagster leaves out the later stages of such a run without a word.
        """
        if len(self._by_id) == 1:
            return ""
        run, job = self._context.run, self._context.job_def
        chosen = run.asset_selection or job.asset_layer.selected_asset_keys
        after = stages_after(self._stage.name)[1:]
        left = [one for one in after if asset_key(self._connection, one) in chosen]
        if not left:
            return ""
        return (
            f"A range of recordings goes through one stage a run, so {', '.join(left)} did not "
            "run. Use `badc run`, or start one run a stage: for the next, materialise only "
            f"{left[0]} of this range."
        )

    def _record_success(self, recording_id: str, output: RecordingOutput) -> None:
        lacks = bool(output.failed_chunks)
        self.inputs.work.mark_lacking(self._stage.name, recording_id, lacks=lacks)

    def _record_failure(self, outcome: Outcome[T]) -> BadcError:
        error = outcome.error or BadcError("no result", outcome.recording_id)
        recording_id = outcome.recording_id
        work = self.inputs.work
        # What another run is at work on has not failed: that run will say what becomes of it.
        if not isinstance(error, RecordingBusy):
            self.job.add_failed(recording_id, error)
            note_failure(self.dataset, recording_id, self._stage.name, error)
            work.mark_lacking(self._stage.name, recording_id, lacks=True)
        for damaged in writers_of(error, self._stage):
            mark_damaged(self.dataset, damaged, recording_id)
        self._context.log.error(f"{recording_id} failed: {error}")
        self._context.log_event(
            # So that the recording's own page says why, not only the run's log.
            dg.AssetObservation(
                self._context.asset_key,
                partition=recording_id,
                metadata={"failed_because": str(error)},
            )
        )
        return error

    def _store_fingerprint(self, recording_id: str, output: RecordingOutput) -> None:
        fingerprint = self._fingerprint(recording_id, output)
        stored = store_fingerprint(self.dataset, self._stage.name, recording_id, fingerprint)
        self._sums[recording_id] = stored.files

    def _fingerprint(self, recording_id: str, output: RecordingOutput) -> str:
        fingerprint = output.fingerprint or self.wanted(recording_id)
        if output.failed_chunks:
            return mark_incomplete(fingerprint, output.failed_chunks)
        return fingerprint

    def _result(self, recording_id: str, output: RecordingOutput) -> dg.MaterializeResult[Any]:
        return dg.MaterializeResult(
            metadata=output.metadata,
            data_version=dg.DataVersion(self._fingerprint(recording_id, output)),
        )

    def _materialization(
        self, recording_id: str, output: RecordingOutput
    ) -> dg.AssetMaterialization:
        return dg.AssetMaterialization(
            self._context.asset_key,
            partition=recording_id,
            metadata=output.metadata,
            tags={
                FINGERPRINT_TAG: self._fingerprint(recording_id, output),
                CODE_VERSION_TAG: self._stage.code_version,
                **self._host.input_tags(recording_id),
            },
        )
