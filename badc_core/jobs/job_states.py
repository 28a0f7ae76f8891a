"""What a job is doing, for people: by its files, and by whether its processes are alive.

A manifest says `running` of a stage that was killed, as nobody was left to say otherwise.
"""

import os
import shlex
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from badc_core.atomic import is_process_alive
from badc_core.errors import JobBusy
from badc_core.jobs.finding import JobFolders
from badc_core.jobs.layout import COMPLETED, FAILED, RUNNING, Json, is_manifest
from badc_core.jobs.manifest_files import JOB_INFO, MANIFEST, read_parts
from badc_core.jobs.values import read_time
from badc_core.jobs.work_lock import is_worked_on
from badc_core.json_texts import parse_object

JobState: TypeAlias = Literal[
    "created", "running", "unfinished", "completed", "failed", "canceled", "archived", "unreadable"
]
JOB_STATES: tuple[str, ...] = get_args(JobState)
ARCHIVE_RECORD = "archive.json"
"""In the folder of a job that was archived: where to, and whether its files were removed."""
RUNS_RECORD, RUNS_TABLE = "runs.json", "runs.csv"
"""In the folder of a job whose stages are runs of Dagster: how they ended, and each of them."""
BACKFILL = "backfill"
"""Who starts the runs of a job, if its name follows."""

_ABOVE = 5
"""The folder of all jobs is so many above the one that a job's folder is in."""
_SURELY_OVER_S = 7 * 86_400
_SILENT_S = 60.0
_SLACK_S = 5.0
"""Start times of processes are rounded."""


@dataclass(frozen=True)
class JobSummary:
    """A job in a list.

    Attributes:
        job_id, user: of the job.
        state: what it is doing.
        created_at: UTC; None if it is not known.
        stage: the one that runs, else those that failed.
        input: title, or else the file, that it works on.
        output_dir: its folder.
    """

    job_id: str
    user: str
    state: JobState
    created_at: str | None
    stage: str
    input: str
    output_dir: Path


def summarize(job: JobFolders) -> JobSummary:
    """Returns what a list says of a job; reads two or three files."""
    folder = job.output_dir
    if explain_unreadable(folder):
        return JobSummary(job.job_id, job.user, "unreadable", None, "", "", folder)
    manifest = quick_manifest(folder)
    created_at = read_object(folder / JOB_INFO).get("created_at") or manifest.get("created_at")
    pipeline, about = manifest.get("pipeline", {}), manifest.get("input", {})
    current = pipeline.get("current_stage")
    stage = current or ", ".join(map(str, pipeline.get("failed_stages", [])))
    shown = about.get("title") or about.get("file") or ""
    state = state_of(folder, manifest)
    return JobSummary(job.job_id, job.user, state, created_at, stage, str(shown), folder)


def explain_unreadable(folder: Path) -> str:
    """Returns why a job's folder cannot be read; empty if it can."""
    try:
        with os.scandir(folder):
            (folder / JOB_INFO).lstat()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return error.strerror or str(error)
    return ""


def state_of(folder: Path, manifest: Json) -> JobState:
    """Returns what a job is doing.

    Args:
        folder: of its outputs.
        manifest: of the job; empty if there is none.
    """
    if is_archived(folder):
        return "archived"
    runs = read_object(folder / RUNS_RECORD)
    if _is_at_work(folder, manifest, runs):
        return "running"
    pipeline = manifest.get("pipeline", {})
    if not (manifest.get("stages") or pipeline.get("steps") or runs or _has_ended(manifest)):
        return "created"
    if pipeline.get("status") == COMPLETED:
        return "completed"
    ended = runs.get("ended")
    if isinstance(ended, dict) and ended.get("status") == "canceled":
        return "canceled"
    return "failed" if pipeline.get("status") == FAILED else "unfinished"


def is_archived(folder: Path) -> bool:
    """Returns whether the files of a job are in its archive only."""
    return bool(read_object(folder / ARCHIVE_RECORD).get("removed_at"))


def require_unpacked(folder: Path) -> None:
    """Requires a job whose files are in its folders.

    Raises:
        JobBusy: they are in its archive only.
    """
    if is_archived(folder):
        archive = str(read_object(folder / ARCHIVE_RECORD).get("path"))
        root = shlex.quote(str(folder.parents[_ABOVE]))
        remedy = f"Put them back first: tar -xzf {shlex.quote(archive)} -C {root}"
        raise JobBusy("its files are in its archive", folder.name, remedy)


def has_ended(folder: Path, silent_s: float) -> bool:
    """Returns whether nothing more is to be expected of a job.

    Args:
        folder: of its outputs.
        silent_s: seconds without a word of it. What failed, or seems to have been left alone, may
            be tried again at once.
    """
    manifest = quick_manifest(folder)
    state = state_of(folder, manifest)
    if state in {"created", "running"}:
        return False
    is_surely_over = state not in {"failed", "unfinished"} or _has_ended(manifest)
    return is_surely_over or silent_s > _SILENT_S


def find_open_runs(folder: Path) -> str:
    """Returns what runs of Dagster a job waits for; empty if it has none that go on."""
    runs = read_object(folder / RUNS_RECORD)
    return f"runs started by {runs.get('started_by', 'Dagster')}" if _are_open(runs) else ""


def may_be_between_stages(manifest: Json) -> bool:
    """Returns whether something was done a moment ago, and the job is not said to be over."""
    silent_s = time.time() - read_time(manifest.get("updated_at")).timestamp()
    return bool(manifest.get("stages")) and not _has_ended(manifest) and silent_s < _SILENT_S


def find_work(manifest: Json) -> str:
    """Returns which stage of a job is being worked on, as far as one can know; else nothing.

    Of a process on another machine nothing is known; after a week without a word it is over.
    """
    for name, record in manifest.get("stages", {}).items():
        by = record.get("ran_by")
        if record.get("status") != RUNNING or not isinstance(by, dict):
            continue
        if at_work := record.get("parts", {}).get("at_work"):
            # Only the process that began last is known.
            return f"{name} (run {min(at_work)})"
        since_s = read_time(record.get("started_at")).timestamp()
        pid, host = by.get("pid"), by.get("host")
        if host != socket.gethostname():
            if time.time() - since_s < _SURELY_OVER_S:
                return f"{name} (process {pid} on {host})"
        elif _is_alive(pid, since_s):
            return f"{name} (process {pid})"
    return ""


def quick_manifest(folder: Path) -> Json:
    """Returns the manifest of a job by its file, else by its parts; nothing is written."""
    found = read_object(folder / MANIFEST)
    if found and is_manifest(found):
        return found
    parts = read_parts(folder)
    return parts.join(folder) if parts else {}


def read_object(path: Path) -> dict[str, Any]:
    """Returns the object in a file; empty if there is none that can be read."""
    with suppress(OSError, ValueError):
        return parse_object(path.read_bytes())
    return {}


def _is_at_work(folder: Path, manifest: Json, runs: dict[str, Any]) -> bool:
    """Returns whether a process works on a job, or runs of Dagster go on."""
    is_locked = is_worked_on(folder)
    if is_locked or not _are_open(runs):
        return bool(is_locked or find_work(manifest))
    records = [one for one in manifest.get("stages", {}).values() if one.get("status") == RUNNING]
    followers = list(_followers(folder, records, runs))
    if any(host != socket.gethostname() for host, _, _ in followers):
        # Locks of another machine's processes are not seen everywhere.
        moments = [manifest.get("updated_at"), *(since for _, _, since in followers)]
        return time.time() - max(map(read_time, moments)).timestamp() < _SURELY_OVER_S
    if is_locked is None:
        return any(_is_alive(pid, read_time(since).timestamp()) for _, pid, since in followers)
    # Between two runs of a backfill nobody has the lock.
    is_backfill = str(runs.get("started_by")).startswith(BACKFILL)
    return is_backfill and not any(one.get("parts", {}).get("at_work") for one in records)


def _followers(
    folder: Path, running: list[Json], runs: dict[str, Any]
) -> Iterator[tuple[Any, Any, Any]]:
    """Yields machine, number and beginning of each process that follows a job's runs, or did."""
    attempts = [one for one in list_of(runs.get("attempts")) if isinstance(one, dict)]
    for one in attempts[-1:] or [read_object(folder / JOB_INFO).get("created_by") or {}]:
        yield one.get("host"), one.get("pid"), one.get("started_at")
    for record in running:
        by = record.get("ran_by")
        if isinstance(by, dict):
            yield by.get("host"), by.get("pid"), record.get("started_at")


def list_of(value: Any) -> list[Any]:
    """Returns a list as it is, and none for anything else."""
    return value if isinstance(value, list) else []


def _are_open(runs: dict[str, Any]) -> bool:
    return bool(runs) and not runs.get("ended")


def _has_ended(manifest: Json) -> bool:
    return bool(manifest.get("timing", {}).get("completed_at"))


def _is_alive(pid: Any, since_s: float) -> bool:
    """Returns whether a process of this machine, at work since a moment, still is."""
    return isinstance(pid, int) and is_process_alive(pid) and not _began_after(pid, since_s)


def _began_after(pid: int, time_s: float) -> bool:
    """Returns whether a process is younger than a moment: the number was given again."""
    with suppress(OSError, ValueError, IndexError):  # Linux only
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        uptime_s = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
        age_s = uptime_s - int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.time() - age_s > time_s + _SLACK_S
    return False
