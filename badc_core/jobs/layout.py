"""The layout of a manifest: its fields, what can be read as one, and what it says of a stage.

How a manifest is made from its parts is in `joining.py`.
"""

from typing import Any

VERSION = "1.0.0"
"""The version of the documented layout, which ours contains."""

RUNNING, SUCCESS, FAILED, SKIPPED = "running", "success", "failed", "skipped"
STATUSES = (RUNNING, SUCCESS, FAILED, SKIPPED)
COMPLETED, CANCELED = "completed", "canceled"

Json = dict[str, Any]
STAGE_LISTS = {SUCCESS: "completed_stages", FAILED: "failed_stages", SKIPPED: "skipped_stages"}
JOB_FIELDS = ("job_id", "user_id", "job_env_file", "job_env_backup")
_FIELDS = frozenset(
    {
        *("version", "schema", "created_at", "updated_at", *JOB_FIELDS, "input", "output_dir"),
        *("movie_dir", "stages", "pipeline", "timing"),
    }
)


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
    part["job"] = {name: manifest[name] for name in JOB_FIELDS if manifest.get(name) is not None}
    part["more"] = {key: one for key, one in manifest.items() if key not in _FIELDS}
    if "schema" not in manifest:
        # So that paths of its outputs, which may be those of a container, are found here.
        folder = {"folder": manifest["movie_dir"]} if manifest.get("movie_dir") else {}
        part["adopted"] = {
            name: {**folder, **one} for name, one in manifest.get("stages", {}).items()
        }
    if timing.get("completed_at"):
        part["finished"] = {"status": pipeline.get("status"), "at": timing["completed_at"]}
    for status, listed in STAGE_LISTS.items():
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
    lists = [pipeline.get(listed, []) for listed in STAGE_LISTS.values()]
    return (
        isinstance(pipeline.get("current_stage"), str | None)
        and all(is_record(one) for one in stages.values())
        and _are_steps(pipeline.get("steps", {}))
        and all(isinstance(one, list) for one in lists)
        and all(isinstance(name, str) for one in lists for name in one)
    )


def is_pipeline_part(content: Json) -> bool:
    """Returns whether an object can be read as the orchestrator's part."""
    parts = [content.get(name, {}) for name in ("input", "finished", "more", "job", "adopted")]
    return (
        isinstance(content.get("current_stage"), str | None)
        and all(isinstance(one, dict) for one in parts)
        and all(is_record(one) for one in content.get("adopted", {}).values())
        and _are_steps(content.get("steps", {}))
    )


def is_record(content: Any) -> bool:
    """Returns whether a value can be read as the record of a stage."""
    return (
        isinstance(content, dict)
        and content.get("status") in STATUSES
        and isinstance(content.get("input_files", []), list)
        and isinstance(content.get("outputs", {}), dict)
        and all(isinstance(one, dict) for one in content.get("outputs", {}).values())
    )


def known_stages(manifest: Json) -> list[str]:
    """Returns the names of all stages of which a manifest knows the status."""
    pipeline = manifest.get("pipeline", {})
    listed = [name for one in STAGE_LISTS.values() for name in pipeline.get(one, [])]
    return list(dict.fromkeys([*manifest.get("stages", {}), *listed]))


def status_of(manifest: Json, stage: str) -> str | None:
    """Returns the status of a stage; None if nothing is known of it."""
    record = manifest.get("stages", {}).get(stage)
    if record is not None:
        return str(record["status"])
    pipeline = manifest.get("pipeline", {})
    return next(
        (one for one, listed in STAGE_LISTS.items() if stage in pipeline.get(listed, [])), None
    )


def step_status(step: Json) -> str | None:
    """Returns the status that a step gives its stage; None if it leaves that to the stage."""
    if not step.get("enabled", True):
        return SKIPPED
    if not step.get("completed"):
        return None
    status = step.get("status", SUCCESS)
    return status if status in STATUSES else None


def attempt_of(record: Json) -> int:
    """Returns which attempt at a stage its record is about; 0 if it has none."""
    attempt = record.get("attempt")
    return attempt if isinstance(attempt, int) else int(bool(record))


def _are_steps(content: Any) -> bool:
    return isinstance(content, dict) and all(
        isinstance(one, dict) and isinstance(one.get("attempt", 0), int) for one in content.values()
    )
