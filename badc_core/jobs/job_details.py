"""All that is known of one job, gathered from its files for people and programs.

Nothing is written: the job may be somebody else's.
"""

import csv
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from badc_core.accounts import owner_name
from badc_core.csv_tables import as_written
from badc_core.errors import JobUnknown
from badc_core.jobs.environment import BACKUP, masked, read_text, variables
from badc_core.jobs.finding import JobFolders
from badc_core.jobs.job_states import (
    ARCHIVE_RECORD,
    RUNS_RECORD,
    RUNS_TABLE,
    JobState,
    explain_unreadable,
    list_of,
    quick_manifest,
    read_object,
    state_of,
)
from badc_core.jobs.layout import RUNNING, Json, known_stages, status_of
from badc_core.jobs.manifest_files import JOB_INFO
from badc_core.jobs.outputs import FileState
from badc_core.jobs.preparing import PREPARED
from badc_core.jobs.recording_tables import WEB_INTERFACE
from badc_core.jobs.values import read_time
from badc_core.secret_values import Secrets

_SETTINGS = "settings*.toml"
_CLOCKS_DIFFER_S = 5.0


@dataclass(frozen=True)
class StageDetails:
    """A stage of a job.

    Attributes:
        name: of the stage.
        status: `unfinished` if it began and nothing works on it.
        attempt, started_at, completed_at, duration_seconds, ran_by: as it recorded them.
        error: why it failed or was skipped; empty if it said nothing.
        warnings: what it doubts.
        metadata: what it says of itself.
    """

    name: str
    status: str | None
    attempt: Any
    started_at: Any
    completed_at: Any
    duration_seconds: Any
    ran_by: Any
    error: str
    warnings: list[str]
    metadata: Any


@dataclass(frozen=True)
class OutputDetails:
    """A file, folder or table of files that a stage wrote.

    Attributes:
        stage, key: which output.
        path: where it was written.
        exists: whether something is there now.
        since: `changed` if its size is another one now, `written again` if it has been written to
            after the stage ended; else empty. What is in it is not compared.
        size_bytes: of the file, or of all files of the table.
        n_files: in the table; None if it is none.
        description: for people.
    """

    stage: str
    key: str
    path: str
    exists: bool
    since: str
    size_bytes: int
    n_files: int | None
    description: str


@dataclass(frozen=True)
class JobDetails:
    """A job.

    Attributes:
        job_id, user, state: of the job.
        info: what `job_info.json` says.
        input: what it works on.
        timing: when it began and ended.
        stages: in the order in which they began.
        outputs: of all stages.
        errors: of the job, apart from those of stages.
        pipeline: the file of its pipeline; empty if it has none.
        prepared: variables of its settings that say what it was prepared for.
        started_by: what started its runs, and with which command; empty if no runs are known.
        attempts: who began and resumed its runs, when and where.
        runs: of Dagster: `run_id`, and `url`, its page where `make dev` opens them.
        output_dir, log_dir: its folders.
        settings: its files with settings, without secrets.
        archive: what its archive is; None if it has none.
    """

    job_id: str
    user: str
    state: JobState
    info: Json
    input: Json
    timing: Json
    stages: list[StageDetails]
    outputs: list[OutputDetails]
    errors: list[str]
    pipeline: str
    prepared: dict[str, str]
    started_by: Json
    attempts: list[Json]
    runs: list[dict[str, str]]
    output_dir: Path
    log_dir: Path
    settings: list[Path]
    archive: Json | None


def read_details(job: JobFolders) -> JobDetails:
    """Returns what is known of a job.

    Raises:
        JobUnknown: its folder cannot be read.
    """
    folder = job.output_dir
    require_readable(job)
    manifest = quick_manifest(folder)
    runs = read_object(folder / RUNS_RECORD)
    state = state_of(folder, manifest)
    is_left = state != "running"
    return JobDetails(
        job_id=job.job_id,
        user=job.user,
        state=state,
        info=read_object(folder / JOB_INFO),
        input=manifest.get("input", {}),
        timing=manifest.get("timing", {}),
        stages=[_stage(manifest, name, is_left) for name in known_stages(manifest)],
        outputs=list(_outputs(manifest)),
        errors=[str(one) for one in list_of(runs.get("errors"))],
        pipeline=_pipeline_of(manifest),
        prepared=_read_prepared(folder),
        started_by={name: runs[name] for name in ("started_by", "command") if runs.get(name)},
        attempts=[one for one in list_of(runs.get("attempts")) if isinstance(one, dict)],
        runs=list(_read_runs(folder / RUNS_TABLE)),
        output_dir=folder,
        log_dir=job.log_dir,
        settings=[one for one in (folder / BACKUP, *_settings(folder)) if one.is_file()],
        archive=read_object(folder / ARCHIVE_RECORD) or None,
    )


def read_settings(job: JobFolders) -> tuple[dict[str, str], str]:
    """Returns the text of each file with settings of a job, without secrets.

    Returns:
        The texts by the names of their files, and why one cannot be read; empty if all can.

    Raises:
        JobUnknown: the job's folder cannot be read.
    """
    require_readable(job)
    folder = job.output_dir
    texts: dict[str, str] = {}
    hidden = ""
    secrets = Secrets()
    for path in (folder / BACKUP, *_settings(folder)):
        try:
            text = read_text(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            hidden = f"{path} cannot be read ({error.strerror or error})"
            if isinstance(error, PermissionError):
                hidden = f"only {owner_name(path)} may read {path}: ask them for what you need"
            continue
        if path.name == BACKUP:
            secrets = Secrets(variables(text))
            texts[path.name] = masked(text)
        else:
            texts[path.name] = secrets.mask_text(text)
    return texts, hidden


def require_readable(job: JobFolders) -> None:
    """Makes sure that a job's folder can be read.

    Raises:
        JobUnknown: it cannot.
    """
    reason = explain_unreadable(job.output_dir)
    if reason:
        raise _unreadable(job, job.output_dir, reason)


def _unreadable(job: JobFolders, path: Path, reason: str) -> JobUnknown:
    return JobUnknown(f"cannot be read ({reason})", path, f"The job is {job.user}'s: ask them")


def _settings(folder: Path) -> list[Path]:
    return sorted(folder.glob(_SETTINGS))


def _pipeline_of(manifest: Json) -> str:
    steps = manifest.get("pipeline", {}).get("steps", {}).values()
    begun = [one for one in steps if one.get("pipeline")]
    return str(max(begun, key=lambda one: read_time(one.get("at")))["pipeline"]) if begun else ""


def _read_prepared(folder: Path) -> dict[str, str]:
    with suppress(OSError):
        settings = variables(masked(read_text(folder / BACKUP)))
        if "INPUT_FILE" in settings:
            return {name: settings[name] for name in PREPARED if name in settings}
    return {}


def _stage(manifest: Json, name: str, is_left: bool) -> StageDetails:
    record = manifest.get("stages", {}).get(name, {})
    step = manifest.get("pipeline", {}).get("steps", {}).get(name, {})
    status = status_of(manifest, name)
    return StageDetails(
        name=name,
        status="unfinished" if is_left and status == RUNNING else status,
        attempt=record.get("attempt"),
        started_at=record.get("started_at"),
        completed_at=record.get("completed_at"),
        duration_seconds=record.get("duration_seconds"),
        ran_by=record.get("ran_by"),
        error=str(record.get("error") or step.get("error") or step.get("reason") or ""),
        warnings=[str(one) for one in list_of(record.get("warnings"))],
        metadata=record.get("metadata", {}),
    )


def _outputs(manifest: Json) -> Iterator[OutputDetails]:
    for stage, record in manifest.get("stages", {}).items():
        for key, output in record.get("outputs", {}).items():
            path = _place(manifest, record, str(output.get("path") or ""))
            state = FileState.read(Path(path))
            size = output.get("total_bytes", output.get("size_bytes"))
            yield OutputDetails(
                stage=stage,
                key=key,
                path=path,
                exists=bool(path) and state.exists,
                since=_since(state, output, record),
                size_bytes=size if isinstance(size, int) else 0,
                n_files=output.get("n_files"),
                description=str(output.get("description") or ""),
            )


def _place(manifest: Json, record: Mapping[str, Any], path: str) -> str:
    """Returns where an output is now: a folder that was moved has taken it along."""
    before, now = record.get("folder"), manifest.get("movie_dir")
    if before and now and Path(path).is_relative_to(str(before)):
        return str(Path(str(now)) / Path(path).relative_to(str(before)))
    return path


def _since(state: FileState, output: Json, record: Json) -> str:
    """Returns what happened to a file since its stage ended, by size and time."""
    size_bytes, ended_at = output.get("size_bytes"), record.get("completed_at")
    if state.version is None or not isinstance(size_bytes, int) or not ended_at:
        return ""
    if state.size_bytes != size_bytes:
        return "changed"
    late_s = (read_time(state.modified_at) - read_time(ended_at)).total_seconds()
    return "written again" if late_s > _CLOCKS_DIFFER_S else ""


def _read_runs(table: Path) -> Iterator[dict[str, str]]:
    with (
        suppress(OSError, ValueError, csv.Error),
        table.open(encoding="utf-8", errors="replace", newline="") as file,
    ):
        rows = csv.reader(file)
        columns = next(rows, [])
        for row in rows:
            if len(row) == len(columns):  # else it was being written when its process was killed
                run = dict(zip(columns, as_written(row), strict=True))
                yield {**run, "url": f"{WEB_INTERFACE}{run.get('url_path', '')}"}
