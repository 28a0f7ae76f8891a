"""A manifest as the join of its parts, without reading or writing any file.

The parts are the record of each stage, which its process writes, and what the orchestrator knows:
input, steps, and whether the pipeline is over. Everything else follows: which stages are completed,
which one runs, and the status of the whole. So a later success clears an earlier failure, and no
part can be overwritten by an older copy.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from badc_core.jobs.values import SCHEMA_VERSION, read_time

VERSION = "1.0.0"
"""The version of the documented layout, which ours contains."""

RUNNING, SUCCESS, FAILED, SKIPPED = "running", "success", "failed", "skipped"
STATUSES = (RUNNING, SUCCESS, FAILED, SKIPPED)
COMPLETED = "completed"

Json = dict[str, Any]
_LISTS = {SUCCESS: "completed_stages", FAILED: "failed_stages", SKIPPED: "skipped_stages"}
_JOB_FIELDS = ("job_id", "user_id", "job_env_file", "job_env_backup")
_FIELDS = frozenset(
    {
        *("version", "schema", "created_at", "updated_at", *_JOB_FIELDS, "input", "output_dir"),
        *("movie_dir", "stages", "pipeline", "timing"),
    }
)


def join_manifest(folder: str, job: Json, pipeline: Json, stages: Mapping[str, Json]) -> Json:
    """Returns the manifest that some parts make.

    Args:
        folder: where the manifest is, absolute.
        job: what `job_info.json` says; empty if there is none.
        pipeline: what the orchestrator knows; empty if it knows nothing yet.
        stages: the record of each stage.
    """
    recent = _with_steps(_numbered(stages), pipeline.get("steps", {}))
    moments = [pipeline.get("updated_at"), *[one.get("updated_at") for one in recent.values()]]
    began = [job.get("created_at"), pipeline.get("created_at"), *map(_began, recent.values())]
    created_at = min(filter(None, began), key=read_time, default=None)
    return {
        **pipeline.get("more", {}),
        "version": VERSION,
        "schema": SCHEMA_VERSION,
        "created_at": created_at,
        "updated_at": max(filter(None, moments), key=read_time, default=created_at),
        **_job_fields(job, pipeline, recent.values()),
        "input": {"file": None, "title": None, "year": None, **pipeline.get("input", {})},
        "output_dir": pipeline.get("output_dir") or job.get("output_dir") or folder,
        "movie_dir": folder,
        "stages": {name: one for name, one in recent.items() if name in stages},
        "pipeline": _summarize(pipeline, recent),
        "timing": _timing(pipeline, created_at),
    }


def take_apart(manifest: Json) -> Json:
    """Returns the orchestrator's part of a manifest.

    Stages of a manifest of an earlier tool have no files of their own, so it has these too.
    """
    pipeline, timing = manifest.get("pipeline", {}), manifest.get("timing", {})
    output_dir = manifest.get("output_dir")
    part: Json = {
        "created_at": manifest.get("created_at"),
        "input": manifest.get("input", {}),
        "output_dir": output_dir if output_dir != manifest.get("movie_dir") else None,
        "steps": dict(pipeline.get("steps", {})),
        "current_stage": pipeline.get("current_stage"),
    }
    part["job"] = {name: manifest[name] for name in _JOB_FIELDS if manifest.get(name) is not None}
    part["more"] = {key: one for key, one in manifest.items() if key not in _FIELDS}
    if "schema" not in manifest:
        part["adopted"] = manifest.get("stages", {})
    if timing.get("completed_at"):
        part["finished"] = {"status": pipeline.get("status"), "at": timing["completed_at"]}
    for status, listed in _LISTS.items():
        for name in pipeline.get(listed, []):
            if name not in manifest.get("stages", {}):
                part["steps"].setdefault(name, {"completed": True, "status": status})
    return {key: value for key, value in part.items() if value}


def is_manifest(content: Json) -> bool:
    """Returns whether an object can be read as a manifest, of ours or of an earlier tool."""
    stages, pipeline = content.get("stages", {}), content.get("pipeline", {})
    timing, about_input = content.get("timing", {}), content.get("input", {})
    if not all(isinstance(one, dict) for one in (stages, pipeline, timing, about_input)):
        return False
    lists = [pipeline.get(listed, []) for listed in _LISTS.values()]
    return (
        all(is_record(one) for one in stages.values())
        and _are_steps(pipeline.get("steps", {}))
        and all(isinstance(one, list) for one in lists)
        and all(isinstance(name, str) for one in lists for name in one)
    )


def is_pipeline_part(content: Json) -> bool:
    """Returns whether an object can be read as the orchestrator's part."""
    parts = [content.get(name, {}) for name in ("input", "finished", "more", "job", "adopted")]
    return (
        all(isinstance(one, dict) for one in parts)
        and all(is_record(one) for one in content.get("adopted", {}).values())
        and _are_steps(content.get("steps", {}))
    )


def is_record(content: Any) -> bool:
    """Returns whether a value can be read as the record of a stage."""
    return (
        isinstance(content, dict)
        and content.get("status") in STATUSES
        and isinstance(content.get("outputs", {}), dict)
        and all(isinstance(one, dict) for one in content.get("outputs", {}).values())
    )


def status_of(manifest: Json, stage: str) -> str | None:
    """Returns the status of a stage; None if nothing is known of it."""
    record = manifest.get("stages", {}).get(stage)
    if record is not None:
        return str(record["status"])
    pipeline = manifest.get("pipeline", {})
    return next((one for one, listed in _LISTS.items() if stage in pipeline.get(listed, [])), None)


def _are_steps(content: Any) -> bool:
    return isinstance(content, dict) and all(isinstance(one, dict) for one in content.values())


def _began(record: Json) -> Any:
    return record.get("first_started_at") or record.get("started_at")


def _numbered(stages: Mapping[str, Json]) -> dict[str, Json]:
    """Returns the records in the order in which stages first began, with numbers."""
    ordered = sorted(stages, key=lambda name: (read_time(_began(stages[name])), name))
    return {
        name: {**stages[name], "stage_number": stages[name].get("stage_number") or number}
        for number, name in enumerate(ordered, 1)
    }


def _with_steps(stages: dict[str, Json], steps: Mapping[str, Json]) -> dict[str, Json]:
    """Returns the records with what the orchestrator said later than the stage did.

    It knows of a stage that was killed, and decides whether one that failed is skipped.
    """
    recent = dict(stages)
    for name, step in steps.items():
        status = _step_status(step)
        known = recent.get(name, {})
        if status is None or read_time(known.get("updated_at")) > read_time(step.get("at")):
            continue
        if known and status == known.get("status"):
            continue
        recent[name] = _overruled(known, step, status)
    return recent


def _overruled(known: Json, step: Json, status: str) -> Json:
    """Returns a stage's record with the status that the orchestrator gave it."""
    error = step.get("error") or known.get("error") if status != SUCCESS else None
    changed = {**known, "status": status, "updated_at": step.get("at"), "error": error}
    changed["completed_at"] = known.get("completed_at") or step.get("at")
    return {key: one for key, one in changed.items() if key != "error" or error}


def _step_status(step: Json) -> str | None:
    """Returns the status that a step gives its stage; None if it leaves that to the stage."""
    if not step.get("enabled", True):
        return SKIPPED
    if not step.get("completed"):
        return None
    status = step.get("status", SUCCESS)
    return status if status in STATUSES else None


def _summarize(pipeline: Json, recent: Mapping[str, Json]) -> Json:
    ended = sorted(recent, key=lambda name: read_time(recent[name].get("completed_at")))
    lists = {
        listed: [name for name in ended if recent[name].get("status") == status]
        for status, listed in _LISTS.items()
    }
    finished = pipeline.get("finished", {})
    ended_at = read_time(finished.get("at"))
    at_work = [
        name
        for name, one in recent.items()
        if one.get("status") == RUNNING and read_time(one.get("updated_at")) > ended_at
    ]
    is_over = all(read_time(one.get("updated_at")) <= ended_at for one in recent.values())
    status = _status(finished.get("status"), is_over, bool(lists["failed_stages"]), bool(at_work))
    planned = pipeline.get("current_stage")
    waits = planned if planned not in recent else None
    latest = max(at_work, key=lambda name: read_time(recent[name].get("started_at")), default=waits)
    return {
        "status": status,
        "current_stage": latest if status == RUNNING else None,
        "next_stage": pipeline.get("next_stage") if status == RUNNING else None,
        **lists,
        "steps": pipeline.get("steps", {}),
    }


def _status(finished: str | None, is_over: bool, has_failed: bool, is_at_work: bool) -> str:
    """Returns the status of the pipeline.

    Args:
        finished: what the orchestrator said at its end; None before.
        is_over: no stage has done anything since.
        has_failed: a stage has failed, and has not succeeded since.
        is_at_work: a stage runs.
    """
    if is_at_work:
        return RUNNING
    if has_failed or (finished == FAILED and is_over):
        return FAILED
    return COMPLETED if finished == COMPLETED else RUNNING


def _timing(pipeline: Json, created_at: str | None) -> Json:
    ended_at = pipeline.get("finished", {}).get("at")
    elapsed = read_time(ended_at) - read_time(created_at) if ended_at and created_at else None
    return {
        "started_at": created_at,
        "completed_at": ended_at,
        "total_seconds": elapsed.total_seconds() if elapsed else None,
    }


def _job_fields(job: Json, pipeline: Json, records: Iterable[Json]) -> Json:
    """Returns which job this is: by `job_info.json`, else by what stages were given."""
    of_job = {
        "job_id": job.get("job_id"),
        "user_id": job.get("user_id"),
        "job_env_file": job.get("env_file"),
        "job_env_backup": job.get("env_backup"),
    }
    sources = [of_job, *records, pipeline.get("job", {})]
    return {
        name: next((one[name] for one in sources if one.get(name) is not None), None)
        for name in _JOB_FIELDS
    }
