"""Pipelines of stages in the asset graph: a chain of assets for each, partitioned by job.

A pipeline is in the graph if its file is in the folder `pipelines` of the Dagster home. A stage is
run by the same runner as by `badc job run`, and the job's manifest says the same afterwards.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from badc_core.errors import BadcError
from badc_core.jobs import load_manifest
from badc_core.jobs.finding import JobFinder
from badc_core.jobs.layout import FAILED, SKIPPED
from badc_core.jobs.places import job_places
from badc_core.pipelines.definition import Pipeline, PipelineStage, read_pipeline
from badc_core.pipelines.pipeline_job import PipelineJob
from badc_core.pipelines.resuming import find_reasons
from badc_core.pipelines.run import KEPT, finalize, keep_definition, run_recorded
from badc_core.pipelines.runner import StageEnd
from badc_dagster.executor.step_leases import DEVICES_TAG
from badc_dagster.failures import as_failures
from badc_dagster.home import home_path
from badc_dagster.liveness import show_alive
from badc_dagster.partitions import PIPELINES

_NOT_SKIPPED = "not_skipped"
_log = logging.getLogger(__name__)


def read_pipelines(paths: Sequence[Path]) -> list[Pipeline]:
    """Returns pipelines; one that makes no sense is left out with a warning, not all of them."""
    found: dict[str, Pipeline] = {}
    for path in paths:
        try:
            one = read_pipeline(path)
        except BadcError as error:
            _log.warning("Left out of the asset graph: %s", error)
            continue
        if one.name in found:
            other = found[one.name].path
            _log.warning("Left out of the asset graph: %s has the name of %s", path, other)
        found.setdefault(one.name, one)
    return list(found.values())


def build(pipeline: Pipeline) -> dg.Definitions:
    """Returns the assets of a pipeline, and the job that runs them all."""
    keys = [_key(pipeline, stage.name) for stage in pipeline.stages]
    whole = dg.define_asset_job(
        job_name(pipeline),
        dg.AssetSelection.assets(*keys),
        description=f"All stages of {pipeline.name} for a job.",
    )
    return dg.Definitions(
        assets=[_build_stage(pipeline, stage) for stage in pipeline.stages], jobs=[whole]
    )


def job_name(pipeline: Pipeline) -> str:
    """Returns the name of the job that runs a pipeline; those of datasets end in `_job`."""
    return f"{pipeline.name}_pipeline"


def partitions_name(pipeline: Pipeline) -> str:
    """Returns the name of a pipeline's partitions, which are job ids."""
    return f"jobs/{pipeline.name}"


def _build_stage(pipeline: Pipeline, stage: PipelineStage) -> dg.AssetsDefinition:
    key = _key(pipeline, stage.name)
    check = dg.AssetCheckSpec(
        _NOT_SKIPPED, asset=key, description="The pipeline may go on without it."
    )

    @dg.asset(
        key=key,
        group_name=pipeline.name,
        deps=[_key(pipeline, one) for one in pipeline.depends_on[stage.name]],
        partitions_def=dg.DynamicPartitionsDefinition(name=partitions_name(pipeline)),
        description=f"Stage {stage.name} of {pipeline.path}.",
        kinds={"python" if stage.python else "shell"},
        op_tags={DEVICES_TAG: "1"} if stage.device else {},
        check_specs=[check] if stage.optional else [],
    )
    def run_stage(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        show_alive(context.run.run_id)
        with as_failures():
            job = _open_job(context, pipeline)
            end = _run(context, pipeline, job, stage)
        yield _describe(job, stage, end)

    return run_stage


def _open_job(context: dg.AssetExecutionContext, pipeline: Pipeline) -> PipelineJob:
    """Returns the job of a partition; one that nobody has registered is by this.

    Raises:
        JobUnknown, ConfigInvalid: there is no such job, or nobody has said what it is about.
    """
    job_id = context.partition_key
    job = PipelineJob.open(JobFinder(job_places(home_path())).find(job_id).output_dir)
    name = partitions_name(pipeline)
    if job_id not in context.instance.get_dynamic_partitions(name):
        context.instance.add_dynamic_partitions(name, [job_id])
    return job


def _run(
    context: dg.AssetExecutionContext, pipeline: Pipeline, job: PipelineJob, stage: PipelineStage
) -> StageEnd:
    """Runs a stage.

    In a run of several it is kept if it need not run; whoever runs one alone wants it to run.
    """
    keep_definition(pipeline, job)
    is_alone = len(context.run.asset_selection or ()) == 1
    if not is_alone and stage.name not in find_reasons(pipeline, job):
        return StageEnd(KEPT, n_attempts=0)
    try:
        end = run_recorded(pipeline, job, stage, context.log)
    finally:
        finalize(pipeline, job)  # also if it was interrupted, which its record says
    if end.status == FAILED:
        raise dg.Failure(end.reason, metadata=_paths(job, stage), allow_retries=False)
    return end


def _describe(job: PipelineJob, stage: PipelineStage, end: StageEnd) -> dg.MaterializeResult[Any]:
    record = (load_manifest(job.folder) or {}).get("stages", {}).get(stage.name, {})
    is_skipped = end.status == SKIPPED
    about: dict[str, Any] = {
        "status": end.status,
        **({"reason": end.reason} if is_skipped else {}),
        "attempt": record.get("attempt", 0),
        "seconds": round(record.get("duration_seconds") or 0.0, 2),
        "outputs": dg.MetadataValue.json(record.get("outputs", {})),
        "recorded": dg.MetadataValue.json(record.get("metadata", {})),
        **_paths(job, stage),
    }
    check = dg.AssetCheckResult(
        check_name=_NOT_SKIPPED,
        passed=not is_skipped,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"reason": end.reason or "-"},
    )
    return dg.MaterializeResult(metadata=about, check_results=[check] if stage.optional else [])


def _paths(job: PipelineJob, stage: PipelineStage) -> Mapping[str, dg.MetadataValue]:
    return {
        "log": dg.MetadataValue.path(job.stage_log(stage)),
        "job_folder": dg.MetadataValue.path(job.folder),
    }


def _key(pipeline: Pipeline, stage: str) -> dg.AssetKey:
    return dg.AssetKey([PIPELINES, pipeline.name, stage])
