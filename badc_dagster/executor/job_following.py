"""A run's BADC job, from the start of the run's executor to its end."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import dagster as dg

from badc_core.errors import JobUnknown
from badc_core.jobs.finding import JobFinder
from badc_core.jobs.job_states import RUNS_RECORD, RUNS_TABLE, is_archived
from badc_core.jobs.layout import CANCELED, COMPLETED, FAILED
from badc_core.jobs.places import job_places
from badc_core.jobs.recording_tables import append_run
from badc_core.jobs.run_job import RunJob
from badc_core.jobs.unfailing import Unfailing
from badc_core.jobs.values import explain_ending
from badc_core.stages.corpus_outputs import CORPUS_ASSETS
from badc_core.stages.export_outputs import EVERY_EXPORT
from badc_core.stages.stage import STAGES
from badc_dagster.dagster_private import EngineEventData, ExecutionPlan, PlanOrchestrationContext
from badc_dagster.home import home_path
from badc_dagster.partitions import PIPELINES
from badc_dagster.run_events import faults
from badc_dagster.run_jobs import (
    FOLDER_TAG,
    JOB_TAG,
    finish,
    following,
    is_last_run,
    join_job,
)

_RECORDED = {"recordings", *STAGES, *CORPUS_ASSETS, *EVERY_EXPORT}
_PARTITION = "dagster/partition"
_LEFT_OUT = "a stage before it failed"
_LOST = "The process of this step has ended (killed or crashed)."
_Events = Iterator[dg.DagsterEvent]


def following_job(
    context: PlanOrchestrationContext, plan: ExecutionPlan, events: _Events
) -> _Events:
    """Yields a run's events, while a job gets to know how the run goes.

    The run never fails because of it. Stages of a pipeline write into the job that is their
    partition by themselves; it only lists the run.

    Args:
        context: of the run.
        plan: what it executes.
        events: of its steps.
    """
    record = Unfailing(context.log.warning)
    stages = [key for key in plan.step_keys_to_execute if _is_recorded(key)]
    job = None
    if stages:
        job = record(lambda: join_job(context.instance, context.dagster_run, stages))
    if job is None:
        folder = record(lambda: _list_in_pipeline_job(context, plan))
        if folder is not None:
            yield _job_event(context, folder)
        yield from events
        return
    yield _job_event(context, job.folder)
    outcome, reason = CANCELED, "terminated"
    failed: dict[str, str] = {}
    with ExitStack() as followed:
        lock = record(lambda: followed.enter_context(following(job.folder))) or -1
        try:
            for event in events:
                if event.is_step_failure:
                    failed[str(event.step_key)] = " ".join(faults([event])) or "it failed"
                yield event
            outcome, reason = (FAILED, "a step failed") if failed else (COMPLETED, "")
        except Exception as error:
            outcome, reason = FAILED, _explain(error)
            raise
        finally:
            if outcome == FAILED:
                record(lambda: _record_unbegun(job, stages, failed))
            record(lambda: _end(context, (job, lock), (outcome, reason)))


def _list_in_pipeline_job(context: PlanOrchestrationContext, plan: ExecutionPlan) -> Path | None:
    """Lists a run of a pipeline's stages in the job that is its partition; returns its folder."""
    run, job_id = context.dagster_run, context.dagster_run.tags.get(_PARTITION, "")
    ours = [key for key in plan.step_keys_to_execute if key.startswith(f"{PIPELINES}__")]
    if not ours or not job_id:
        return None
    with suppress(JobUnknown):  # which the first step will say
        folder = JobFinder(job_places(home_path())).find(job_id).output_dir
        if is_archived(folder) or (folder / RUNS_RECORD).exists():
            return None
        context.instance.add_run_tags(run.run_id, {JOB_TAG: job_id, FOLDER_TAG: str(folder)})
        stages = [key.rpartition("__")[2] for key in ours]
        append_run(folder / RUNS_TABLE, run.run_id, run.job_name, stages)
        return folder
    return None


def _end(
    context: PlanOrchestrationContext,
    followed: tuple[RunJob, int],
    ending: tuple[str, str],
) -> None:
    (job, lock), (outcome, reason) = followed, ending
    # The process of a step that is still at work could not say so.
    job.end_lost([context.run_id], reason if outcome == CANCELED else _LOST)
    if is_last_run(context.instance, job, context.run_id):
        is_told = outcome != COMPLETED and reason != "a step failed"
        finish(job, lock, outcome, [reason] if is_told else [])


def _record_unbegun(job: RunJob, stages: Sequence[str], failed: Mapping[str, str]) -> None:
    """Records what became of stages that could not say so: failed, or left out after others."""
    for key in stages:
        if key in failed:
            job.fail(key, failed[key])
        else:
            job.skip(key, _LEFT_OUT)


def _explain(error: BaseException) -> str:
    """Returns what stopped a run, without Dagster's own errors around it."""
    while error.__cause__ is not None and type(error).__name__.startswith("Dagster"):
        error = error.__cause__
    return explain_ending(error)


def _is_recorded(step_key: str) -> bool:
    """Returns whether a step records what it does; stages of a pipeline do so by themselves."""
    return step_key.rpartition("__")[2] in _RECORDED and not step_key.startswith(f"{PIPELINES}__")


def _job_event(context: PlanOrchestrationContext, folder: Path) -> dg.DagsterEvent:
    metadata = {
        "job_id": dg.MetadataValue.text(folder.name),
        "job_folder": dg.MetadataValue.path(str(folder)),
    }
    message = f"This run belongs to the BADC job {folder.name}."
    return dg.DagsterEvent.engine_event(context, message, EngineEventData(metadata=metadata))
