"""The files of a manifest: reading, joining, and setting damaged ones aside.

    FOLDER/manifest.json         the join, for people and `jq`; written under a lock
    FOLDER/stages/STAGE.json     the record of a stage, written by its process alone
    FOLDER/pipeline.json         what the orchestrator knows; written under the lock
    FOLDER/job_info.json         which job this is, if it is one

Every file is replaced as a whole. What the manifest says follows from the others, so it can be
written again at any time; a record that is lost is taken from the manifest.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from badc_core.atomic import naming_storage_trouble
from badc_core.errors import BadcError
from badc_core.file_names import absolute
from badc_core.jobs.environment import BASE, read_secrets
from badc_core.jobs.joining import join_manifest
from badc_core.jobs.layout import (
    SUCCESS,
    Json,
    is_manifest,
    is_pipeline_part,
    is_record,
    status_of,
    take_apart,
)
from badc_core.jobs.values import SCHEMA_VERSION, now_text, write_json
from badc_core.json_texts import parse_object
from badc_core.locks import locked
from badc_core.secret_values import Secrets

MANIFEST, JOB_INFO = "manifest.json", "job_info.json"
_PIPELINE, _STAGES, _LOCK = "pipeline.json", "stages", ".manifest.lock"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """The files of a manifest as they are.

    Attributes:
        job: of `job_info.json`; empty if there is none.
        pipeline: what the orchestrator knows.
        stages: the record of each stage.
        damaged: of `manifest.json` and `pipeline.json`, those that cannot be read.
        lacks_pipeline: `pipeline.json` should be there and is not: it is damaged, or the manifest
            is of an earlier tool.
    """

    job: Json
    pipeline: Json
    stages: dict[str, Json]
    damaged: tuple[Path, ...] = ()
    lacks_pipeline: bool = False

    def join(self, folder: Path) -> Json:
        """Returns the manifest of a folder."""
        return join_manifest(str(absolute(folder)), self.job, self.pipeline, self.stages)


def load_manifest(folder: Path) -> Json | None:
    """Returns the manifest of a folder; None if there is none.

    Where `manifest.json` is damaged or missing, it is written again from the files of the stages.

    Args:
        folder: of a job, or of a movie.
    """
    folder = Path(folder)
    parts = read_parts(folder)
    if parts is None:
        return None
    manifest = folder / MANIFEST
    if parts.damaged or not manifest.exists():
        try:
            write_joined(folder)
        except (BadcError, OSError) as error:  # somebody else's, or a full disk
            _log.warning("%s: cannot be repaired: %s", manifest, error)
        parts = read_parts(folder)
    return parts.join(folder) if parts else None


def is_stage_completed(folder: Path, stage: str) -> bool:
    """Returns whether a stage has succeeded, and has neither failed nor been started since."""
    manifest = load_manifest(folder)
    return manifest is not None and status_of(manifest, stage) == SUCCESS


def read_job(folder: Path) -> Json:
    """Returns what `job_info.json` says of a job; empty if there is none that can be read."""
    return _read_or_note(folder / JOB_INFO, _is_job, []) or {}


def secrets_of(folder: Path, job_env_file: Path | str | None = None) -> Secrets:
    """Returns the secrets that must not be in a manifest, by all configurations known there.

    They are what the caller knows, the job's settings, and those that jobs copy.
    """
    given = read_job(folder).get("env_file")
    of_job = (given, Path(given).with_name(BASE)) if isinstance(given, str) and given else ()
    return read_secrets(job_env_file, *of_job)


def stage_file(folder: Path, stage: str) -> Path:
    """Returns the path of the record of a stage."""
    return folder / _STAGES / f"{stage}.json"


def read_parts(folder: Path) -> Parts | None:
    """Returns the parts of a manifest; None if there are none, damaged or not."""
    damaged: list[Path] = []
    manifest = _read_or_note(folder / MANIFEST, is_manifest, damaged) or {}
    own_part = _read_or_note(folder / _PIPELINE, is_pipeline_part, damaged)
    pipeline = take_apart(manifest) if own_part is None and manifest else own_part or {}
    unreadable: list[Path] = []
    records = {
        name: _read_or_note(stage_file(folder, name), is_record, unreadable)
        for name in _stage_names(folder)
    }
    for path in unreadable:
        _log.warning("%s is damaged; what %s says of the stage counts", path, MANIFEST)
    stages = {
        **manifest.get("stages", {}),
        **pipeline.get("adopted", {}),
        **{name: one for name, one in records.items() if one},
    }
    if not (manifest or pipeline or stages or damaged):
        return None
    is_foreign = bool(manifest) and "schema" not in manifest
    lacks_pipeline = own_part is None and (is_foreign or folder / _PIPELINE in damaged)
    return Parts(read_job(folder), pipeline, stages, tuple(damaged), lacks_pipeline)


def write_joined(folder: Path, change: Callable[[Parts], None] | None = None) -> None:
    """Writes `manifest.json` anew; damaged files are set aside before.

    Args:
        folder: of the manifest.
        change: changes what the orchestrator knows, `Parts.pipeline`, which is then written too.

    Raises:
        StorageFull, OutputUnwritable: it cannot be written.
    """
    with locked(folder / _LOCK):
        parts = read_parts(folder) or Parts({}, {}, {})
        for path in parts.damaged:
            set_aside(path)
        if change is not None:
            now = now_text()
            parts.pipeline.update(schema=SCHEMA_VERSION, updated_at=now)
            parts.pipeline.setdefault("created_at", now)
            change(parts)
        if change is not None or parts.lacks_pipeline:
            write_json(folder / _PIPELINE, parts.pipeline)
        if parts.pipeline or parts.stages:
            write_json(folder / MANIFEST, parts.join(folder), can_be_made_again=True)


def write_record(folder: Path, stage: str, record: Json) -> None:
    """Writes the record of a stage, and the manifest with it.

    The record is there before anybody is waited for, whatever happens then.

    Raises:
        StorageFull, OutputUnwritable: it cannot be written.
    """
    write_json(stage_file(folder, stage), record)
    write_joined(folder)


def read_record(folder: Path, stage: str) -> Json:
    """Returns the last record of a stage, empty if there is none; a damaged file is set aside.

    Only the process of the stage may do so, as nobody else writes that file.

    Raises:
        OutputUnwritable: it cannot be set aside.
    """
    damaged: list[Path] = []
    record = _read_or_note(stage_file(folder, stage), is_record, damaged)
    if record is not None:
        return record
    for one in damaged:
        set_aside(one)
    parts = read_parts(folder)
    return parts.stages.get(stage, {}) if parts else {}


def _is_job(content: Json) -> bool:
    return content.get("job_id") is not None


def _read_or_note(path: Path, is_valid: Callable[[Json], bool], damaged: list[Path]) -> Json | None:
    """Returns what a file says; None if it is missing, or damaged, which is added to a list."""
    try:
        content = parse_object(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError):
        content = None
    if content is not None and is_valid(content):
        return content
    damaged.append(path)
    return None


def _stage_names(folder: Path) -> list[str]:
    with suppress(OSError):
        return sorted(one.stem for one in (folder / _STAGES).glob("[!.]*.json"))
    return []


def set_aside(path: Path) -> None:
    """Renames a damaged file, so that nothing is lost, and says so.

    Raises:
        OutputUnwritable: it cannot be renamed.
    """
    when = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.name}.damaged-{when}")
    with naming_storage_trouble(path):
        try:
            path.rename(aside)
        except FileNotFoundError:
            return
    _log.warning("%s is damaged; it is now %s, and written again", path, aside.name)
