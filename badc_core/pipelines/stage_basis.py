"""What a stage of a pipeline was run on, as its record says it, to tell later what has changed.

Besides these, the record has its inputs. They are compared in `resuming.py`.
"""

from badc_core.jobs import load_manifest
from badc_core.jobs.layout import SUCCESS, attempt_of, status_of
from badc_core.pipelines.definition import Pipeline, PipelineStage
from badc_core.pipelines.pipeline_job import PipelineJob

FINGERPRINT = "definition"
"""Metadata entry of a stage: the fingerprint of its definition."""
RAN_AFTER = "ran_after"
"""Metadata entry of a stage: the attempt at each stage it depends on whose outputs it had."""
SETTINGS = "settings_read"
"""Metadata entry of a stage: the settings that it read."""
PIPELINE = "pipeline"
"""Metadata entry of a stage: the file of its pipeline."""


def skipped_stages(job: PipelineJob, pipeline: Pipeline) -> tuple[str, ...]:
    """Returns the stages of a pipeline that were skipped in a job."""
    listed = (load_manifest(job.folder) or {}).get("pipeline", {}).get("skipped_stages", [])
    return tuple(one.name for one in pipeline.stages if one.name in listed)


def attempts_before(job: PipelineJob, pipeline: Pipeline, stage: PipelineStage) -> dict[str, int]:
    """Returns which attempt at each stage that a stage depends on has succeeded.

    Attempts are compared, as clocks of two machines differ.
    """
    manifest = load_manifest(job.folder) or {}
    return {
        name: attempt_of(manifest["stages"][name])
        for name in pipeline.depends_on[stage.name]
        if status_of(manifest, name) == SUCCESS and name in manifest["stages"]
    }
