"""Runs a whole pipeline for a job: stage by stage, from where it stopped the last time.

A failed stage ends it unless the stage is optional; that one is skipped, and those that need its
outputs fail or are skipped likewise.
"""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from badc_core.atomic import replacing
from badc_core.errors import StageBusy
from badc_core.jobs import PipelineManifest
from badc_core.jobs.environment import remove_configuration
from badc_core.jobs.layout import COMPLETED, FAILED, SKIPPED, SUCCESS
from badc_core.jobs.manifest_files import MANIFEST, secrets_of
from badc_core.jobs.stage_manifest import Logger
from badc_core.jobs.work_lock import working_on
from badc_core.pipelines.definition import Pipeline, PipelineStage
from badc_core.pipelines.graph import COPY
from badc_core.pipelines.pipeline_job import PipelineJob
from badc_core.pipelines.resuming import NEVER_RUN, find_reasons
from badc_core.pipelines.run_log import RunLog, Show
from badc_core.pipelines.runner import StageEnd, StageRunner
from badc_core.units import counted

KEPT = "kept"


@dataclass(frozen=True)
class PipelineEnd:
    """How a run of a pipeline ended.

    Attributes:
        job_id: of the job.
        output_dir, log_dir: its folders.
        status: `completed` or `failed`.
        stages: name -> how it ended; `kept` is one that had nothing to do.
    """

    job_id: str
    output_dir: Path
    log_dir: Path
    status: str
    stages: dict[str, StageEnd] = field(default_factory=dict)

    @property
    def has_failed(self) -> bool:
        """Whether a stage failed that is not optional."""
        return self.status == FAILED


def run_pipeline(pipeline: Pipeline, job: PipelineJob, show: Show, warn: Show) -> PipelineEnd:
    """Runs what has to be run of a pipeline.

    Whatever ends this process in an orderly way, the manifest says `failed` before.

    Args:
        pipeline: the stages.
        job: what they work on.
        show: is given lines about the progress.
        warn: is given failures, and what may be wrong.

    Raises:
        StageBusy: another process runs a stage of the job.
        StorageFull, OutputUnwritable: manifest or log cannot be written.
    """
    with working_on(job.folder):
        return _run_stages(pipeline, job, show, warn)


def _run_stages(pipeline: Pipeline, job: PipelineJob, show: Show, warn: Show) -> PipelineEnd:
    log = RunLog(job.log_dir, secrets_of(job.folder), job.settings, (show, warn))
    manifest = open_manifest(job)
    keep_definition(pipeline, job)
    reasons = find_reasons(pipeline, job)
    kept = [one.name for one in pipeline.stages if one.name not in reasons]
    if kept:
        log.progress(f"Resuming job {job.job_id}: {counted(len(kept), 'stage')} kept so far")
    ended: dict[str, StageEnd] = {}
    try:
        for stage in pipeline.stages:
            reason = reasons.get(stage.name) or _changed_before(pipeline, stage, ended)
            ended[stage.name] = _run_or_keep(pipeline, job, stage, reason, log)
            if ended[stage.name].status == FAILED:
                break
    except StageBusy:
        raise  # the pipeline is the other process's
    except BaseException:
        manifest.finalize(FAILED)
        raise
    status = finalize(pipeline, job) or FAILED
    log.info(f"pipeline {pipeline.name}: {status}")
    return PipelineEnd(job.job_id, job.folder, job.log_dir, status, ended)


def open_manifest(job: PipelineJob) -> PipelineManifest:
    """Returns the manifest of a job; a pipeline that was over has begun again."""
    manifest = PipelineManifest(job.folder / MANIFEST)
    about = manifest.to_dict().get("input", {})
    manifest.set_input(str(job.input), about.get("title"), about.get("year"))
    return manifest


def keep_definition(pipeline: Pipeline, job: PipelineJob) -> None:
    """Copies the file of a pipeline into the folder of a job.

    Raises:
        StorageFull, OutputUnwritable: it cannot be written.
    """
    copy = job.folder / COPY
    if pipeline.path != copy:
        with replacing(copy) as aside:
            shutil.copyfile(pipeline.path, aside)


def run_recorded(
    pipeline: Pipeline, job: PipelineJob, stage: PipelineStage, logger: Logger
) -> StageEnd:
    """Runs a stage; the manifest says that it comes, how it ended, and what is next.

    Raises:
        StageBusy: another process runs it.
        StorageFull, OutputUnwritable: manifest or record cannot be written.
    """
    manifest = PipelineManifest(job.folder / MANIFEST)
    number = pipeline.number(stage.name)
    after = pipeline.stages[number].name if number < len(pipeline.stages) else None
    # Also known if this process is killed in the stage.
    path = str(pipeline.path)
    manifest.set_pipeline_step(stage.name, next_stage=after, pipeline=path)
    end = StageRunner(pipeline, job, stage, logger).run()
    manifest.set_pipeline_step(
        stage.name,
        completed=True,
        status=end.status,
        error=end.reason or None,
        next_stage=after,
        pipeline=path,
    )
    return end


def finalize(pipeline: Pipeline, job: PipelineJob) -> str | None:
    """Records that a pipeline is over if it is; returns `completed`, `failed` or None."""
    manifest = PipelineManifest(job.folder / MANIFEST)
    statuses = {manifest.get_stage_status(one.name) for one in pipeline.stages}
    if FAILED in statuses:
        manifest.finalize(FAILED)
        return FAILED
    if not statuses <= {SUCCESS, SKIPPED}:
        return None
    manifest.finalize(COMPLETED)
    # Should a skipped stage be tried again, the secrets are those of then.
    remove_configuration(job.config, job.backup)
    return COMPLETED


def _run_or_keep(
    pipeline: Pipeline, job: PipelineJob, stage: PipelineStage, reason: str, log: RunLog
) -> StageEnd:
    """Runs a stage if there is a reason to; shows which it is and how it ended."""
    title = f"stage {pipeline.number(stage.name)}/{len(pipeline.stages)} {stage.name}"
    if not reason:
        log.progress(f"{title}: kept, its outputs are what it wrote")
        return StageEnd(KEPT, n_attempts=0)
    log.progress(title if reason == NEVER_RUN else f"{title}: runs again, since {reason}")
    began_s = time.monotonic()
    end = run_recorded(pipeline, job, stage, log)
    if end.status == SUCCESS:
        log.progress(f"{title}: done after {time.monotonic() - began_s:.1f} s")
    else:
        log.warning(f"{title}: {end.status}: {end.reason}")
    return end


def _changed_before(pipeline: Pipeline, stage: PipelineStage, ended: Mapping[str, StageEnd]) -> str:
    """Returns why a stage has to run after what ran before it now; empty if it need not."""
    for name in pipeline.depends_on[stage.name]:
        if name in ended and ended[name].status == SUCCESS:
            return f"{name} has run since"
    return ""
