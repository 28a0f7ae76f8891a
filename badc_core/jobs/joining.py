"""A manifest as the join of its parts, without reading or writing any file.

The parts are the record of each stage, which its process writes, and what the orchestrator knows:
input, steps, and whether the pipeline is over. Everything else follows: which stages are completed,
which one runs, and the status of the whole. So a later success clears an earlier failure, and no
part can be overwritten by an older copy.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from badc_core.jobs.layout import (
    COMPLETED,
    FAILED,
    JOB_FIELDS,
    RUNNING,
    SKIPPED,
    STAGE_LISTS,
    SUCCESS,
    VERSION,
    Json,
    attempt_of,
    step_status,
)
from badc_core.jobs.values import SCHEMA_VERSION, read_time


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
    """Returns the records with what the orchestrator said of the last attempt at each stage.

    It knows of a stage that was killed, and decides whether one that failed is skipped. Attempts
    are compared, not times: clocks of two machines differ.
    """
    recent = dict(stages)
    for name, step in steps.items():
        status = step_status(step)
        known = recent.get(name, {})
        is_same = status in {None, known.get("status")}
        is_done = status == SKIPPED and known.get("status") == SUCCESS
        if not is_same and not is_done and attempt_of(known) <= step.get("attempt", 0):
            recent[name] = _overruled(known, step, status)
    return recent


def _overruled(known: Json, step: Json, status: str | None) -> Json:
    """Returns a stage's record with the status that the orchestrator gave it."""
    error = step.get("error") or known.get("error") if status != SUCCESS else None
    changed = {**known, "status": status, "updated_at": step.get("at"), "error": error}
    changed["completed_at"] = known.get("completed_at") or step.get("at")
    return {key: one for key, one in changed.items() if key != "error" or error}


def _summarize(pipeline: Json, recent: Mapping[str, Json]) -> Json:
    ended = sorted(recent, key=lambda name: read_time(recent[name].get("completed_at")))
    lists = {
        listed: [name for name in ended if recent[name].get("status") == status]
        for status, listed in STAGE_LISTS.items()
    }
    finished = pipeline.get("finished", {})
    ended_at = read_time(finished.get("at"))
    at_work = [
        name
        for name, one in recent.items()
        if one.get("status") == RUNNING and read_time(one.get("updated_at")) > ended_at
    ]
    waits = _find_waiting(pipeline, recent)
    is_over = all(read_time(one.get("updated_at")) <= ended_at for one in recent.values())
    status = _status(
        finished.get("status"), is_over, bool(lists["failed_stages"]), bool(at_work or waits)
    )
    latest = max(at_work, key=lambda name: read_time(recent[name].get("started_at")), default=waits)
    return {
        "status": status,
        "current_stage": latest if status == RUNNING else None,
        "next_stage": pipeline.get("next_stage") if status == RUNNING else None,
        **lists,
        "steps": pipeline.get("steps", {}),
    }


def _find_waiting(pipeline: Json, recent: Mapping[str, Json]) -> str | None:
    """Returns the stage that the orchestrator starts, as long as it has not begun."""
    name = pipeline.get("current_stage") or ""
    step = pipeline.get("steps", {}).get(name, {})
    return name if name and attempt_of(recent.get(name, {})) <= step.get("attempt", 0) else None


def _status(finished: str | None, is_over: bool, has_failed: bool, is_at_work: bool) -> str:
    """Returns the status of the pipeline.

    Args:
        finished: what the orchestrator said at its end; None before.
        is_over: no stage has done anything since.
        has_failed: a stage has failed, and has not succeeded since.
        is_at_work: a stage runs, or is about to.
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
        for name in JOB_FIELDS
    }
