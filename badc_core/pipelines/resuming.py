"""Which stages of a job have to run, and why: by their files, not by what a list says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from badc_core.errors import ConfigInvalid
from badc_core.jobs import find_stages_to_repeat, load_manifest
from badc_core.jobs.outputs import FileState
from badc_core.jobs.values import read_time
from badc_core.pipelines.definition import Pipeline, PipelineStage, read_pipeline
from badc_core.pipelines.graph import COPY, place_in_job
from badc_core.pipelines.pipeline_job import PipelineJob
from badc_core.pipelines.stage_basis import (
    FINGERPRINT,
    PIPELINE,
    RAN_AFTER,
    SETTINGS,
    attempts_before,
)

NEVER_RUN = "it has not run yet"
Records = Mapping[str, Mapping[str, Any]]


def find_reasons(pipeline: Pipeline, job: PipelineJob) -> dict[str, str]:
    """Returns each stage that has to run, with the reason; all outputs are read.

    Those that have to run only because an earlier one of these does are not among them unless that
    is certain: an optional stage may be skipped again.
    """
    records: Records = (load_manifest(job.folder) or {}).get("stages", {})
    repeated = find_stages_to_repeat(job.folder)
    reasons = {
        stage.name: repeated.get(stage.name) or _explain(pipeline, job, stage, records)
        for stage in pipeline.stages
    }
    return {name: reason for name, reason in reasons.items() if reason}


def pipeline_of(folder: Path) -> Pipeline | None:
    """Returns the pipeline that last began or ended a stage of a job; None if none has.

    Raises:
        ConfigInvalid: its file is gone, or no longer is one.
    """
    steps: Records = (load_manifest(folder) or {}).get("pipeline", {}).get("steps", {})
    begun = [one for one in steps.values() if PIPELINE in one]
    if not begun:
        return None
    path = Path(str(max(begun, key=lambda one: read_time(one.get("at")))[PIPELINE]))
    if not path.exists():
        remedy = f"Put it back ({folder / COPY} is a copy), or run: badc job run FILE --resume JOB"
        raise ConfigInvalid("the pipeline of this job is gone", path, remedy)
    return read_pipeline(path)


def _explain(pipeline: Pipeline, job: PipelineJob, stage: PipelineStage, records: Records) -> str:
    """Returns why a stage has to run although its outputs are what it wrote; empty if not."""
    record = records.get(stage.name)
    if record is None:
        return NEVER_RUN
    if record.get("metadata", {}).get(FINGERPRINT) != stage.fingerprint:
        return "its definition has changed"
    read = record["metadata"].get(SETTINGS, {})
    for name, value in job.settings_of(stage).items():
        if read.get(name, value) != value:
            return f"the setting {name} has changed"
    ran_after = record["metadata"].get(RAN_AFTER, {})
    for name, attempt in attempts_before(job, pipeline, stage).items():
        if ran_after.get(name) != attempt:
            return f"{name} has run since"
    return _changed_input(pipeline, job, stage, record)


def _changed_input(
    pipeline: Pipeline, job: PipelineJob, stage: PipelineStage, record: Mapping[str, Any]
) -> str:
    """Returns which input from elsewhere has changed; what stages write is compared by them.

    That may also be one of which only the stage's process has said that it read it.
    """
    read = {one.get("key"): one for one in record.get("input_files", [])}
    paths = {
        **job.input_paths(pipeline, stage, needed=True),
        **job.input_paths(pipeline, stage, needed=False),
    }
    for text, path in paths.items():
        if place_in_job(text) is None and _has_changed(job, path, read.get(text, {})):
            return f"{path} has changed"
    written = [path for one in pipeline.stages for path in job.output_paths(one).values()]
    for key in read.keys() - paths.keys():
        path = Path(str(read[key].get("path")))
        is_output = any(path.is_relative_to(place) for place in written)
        # The job's copy of the settings is removed when all is done.
        if not is_output and path != job.config and _has_changed(job, path, read[key]):
            return f"{path} has changed"
    return ""


def _has_changed(job: PipelineJob, path: Path, read: Mapping[str, Any]) -> bool:
    """Returns whether a file is not what was read; it is hashed only if it has another time."""
    if path == job.settings:  # it is another file once the job's copy of them is removed
        return bool(job.hash_input(path) != read.get("sha256"))
    now = FileState.read(path)
    before = read.get("exists", False), read.get("size_bytes", 0)
    if before != (now.exists, now.size_bytes):
        return True
    if read.get("modified_at") == now.modified_at:
        return False
    # Version control gives a file a new time whenever it puts it in place.
    return not read.get("sha256") or job.hash_input(path) != read["sha256"]
