"""Which BADC job a run of Dagster belongs to, and ending jobs whose process was killed.

A run has the job's id and folder as tags. One `badc run`, one backfill, and any other run with its
re-executions is a job. Whoever follows a job's runs has a file in the home locked, so a job whose
file is there and not locked was left open. What a job's files say is in `badc_core/jobs/`.
"""

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

import dagster as dg

from badc_core.hashing import sha256_text
from badc_core.jobs.places import job_places
from badc_core.jobs.run_job import CANCELED, COMPLETED, FAILED, RunJob
from badc_core.jobs.unfailing import Unfailing
from badc_core.locks import is_locked, lock_file, locked, unlock
from badc_dagster.home import home_path

JOB_TAG = "badc/job_id"
FOLDER_TAG = "badc/job_folder"
COMMAND = "badc run"
"""Who starts the runs of a job that one command has, whole or in parts."""

_PARENT, _ROOT, _BACKFILL = "dagster/parent_run_id", "dagster/root_run_id", "dagster/backfill"
_STARTERS = {"dagster/sensor_name": "sensor", "dagster/schedule_name": "schedule"}
_LOST = "The process has ended before the work was done (killed or crashed)."
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def create_job(started_by: str, **more: str) -> RunJob:
    """Returns a new job.

    Args:
        started_by: who starts its runs.
        more: what else is known of that.

    Raises:
        StorageFull, OutputUnwritable: it cannot be written.
    """
    versions = {"badc": version("badc"), "dagster": dg.__version__}
    facts = {
        "started_by": started_by,
        **more,
        "home": str(home_path()),
        "versions": {**versions, "python": platform.python_version()},
    }
    return RunJob.create(job_places(home_path()), facts)


def job_tags(job: RunJob) -> dict[str, str]:
    """Returns the tags of the runs of a job."""
    return {JOB_TAG: job.job_id, FOLDER_TAG: str(job.folder)}


def job_of_tags(tags: Mapping[str, str]) -> RunJob | None:
    """Returns the job that a run's tags name; None if they name none that is there."""
    folder = tags.get(FOLDER_TAG)
    return RunJob(Path(folder)) if folder and Path(folder).is_dir() else None


def replaced_runs(tags: Mapping[str, str]) -> frozenset[str]:
    """Returns the runs that a run does again, if it is a re-execution."""
    return frozenset(tags[name] for name in (_PARENT, _ROOT) if name in tags)


def join_job(instance: dg.DagsterInstance, run: dg.DagsterRun) -> RunJob:
    """Returns the job of a run that begins, a new one if it has none, and tags the run with it.

    Raises:
        StorageFull, OutputUnwritable: it cannot be written.
    """
    with locked(_folder() / ".lock"):
        job = job_of_tags(run.tags) or _find_job(instance, run)
        if job is None:
            starter = next((one for tag, one in _STARTERS.items() if tag in run.tags), "")
            backfill = run.tags.get(_BACKFILL)
            starter = starter or (f"backfill {backfill}" if backfill else "dagster")
            job = create_job(starter)
            if backfill:
                _backfill(backfill).write_text(str(job.folder), encoding="utf-8")
    instance.add_run_tags(run.run_id, job_tags(job))
    assets = sorted(one.to_user_string() for one in run.asset_selection or ())
    job.add_run(run.run_id, run.job_name, assets, run.run_config)
    return job


@contextmanager
def following(job: RunJob) -> Iterator[None]:
    """Shows that this process follows a job's runs, until the block ends."""
    path = _folder() / f"{job.job_id}-{sha256_text(str(job.folder))[:8]}"
    descriptor = lock_file(path, shared=True)
    os.pwrite(descriptor, str(job.folder).encode("utf-8", "surrogateescape"), 0)
    try:
        yield
    finally:
        unlock(descriptor)


def is_followed(job: RunJob) -> bool:
    """Returns whether a process follows a job's runs now."""
    return any(
        is_locked(path) and _read(path) == job.folder for path in _folder().glob(f"{job.job_id}-*")
    )


def finish(job: RunJob, status: str, errors: Iterable[str] = ()) -> None:
    """Ends a job, which no process follows then.

    Raises:
        StorageFull, OutputUnwritable: it cannot be written.
    """
    job.finish(status, errors)
    for path in _folder().glob(f"{job.job_id}-*"):
        if _read(path) == job.folder:
            path.unlink(missing_ok=True)


def is_last_run(instance: dg.DagsterInstance, job: RunJob, run_id: str) -> bool:
    """Returns whether no other run of a job is unfinished."""
    of_job = dg.RunsFilter(tags={JOB_TAG: job.job_id}, statuses=_UNFINISHED)
    others = instance.get_runs(of_job, limit=2)
    return all(one.run_id == run_id for one in others)


def close_lost_jobs(instance: dg.DagsterInstance, warn: Callable[[str], object]) -> None:
    """Ends jobs that nobody follows any more, and all whose runs have ended.

    Args:
        instance: holds the runs; those whose process was killed are closed.
        warn: shows a warning where a job cannot be ended.
    """
    for path in sorted(_folder().glob("[!.]*")):
        if not is_locked(path):
            Unfailing(warn)(partial(_close, instance, path))


def _close(instance: dg.DagsterInstance, path: Path) -> None:
    """Ends the job of a file that is not locked, unless one of its runs will go on."""
    folder = _read(path)
    if folder is None or not folder.is_dir():
        path.unlink(missing_ok=True)
        return
    job = RunJob(folder)
    if is_last_run(instance, job, ""):
        status = _status(instance, job)
        finish(job, status, [_LOST] if status == FAILED else [])


def _status(instance: dg.DagsterInstance, job: RunJob) -> str:
    """Returns how a job that was left open ended."""
    latest = instance.get_runs(dg.RunsFilter(tags={JOB_TAG: job.job_id}), limit=1)
    if latest and latest[0].status == dg.DagsterRunStatus.CANCELED:
        return CANCELED
    was_whole = job.read().get("started_by") != COMMAND
    is_success = bool(latest) and latest[0].status == dg.DagsterRunStatus.SUCCESS
    return COMPLETED if was_whole and is_success else FAILED


def _find_job(instance: dg.DagsterInstance, run: dg.DagsterRun) -> RunJob | None:
    """Returns the job of the run that a run does again, or of its backfill."""
    for run_id in replaced_runs(run.tags):
        before = instance.get_run_by_id(run_id)
        if before is not None and (job := job_of_tags(before.tags)):
            return job
    backfill = run.tags.get(_BACKFILL)
    if backfill and _backfill(backfill).exists():
        return job_of_tags({FOLDER_TAG: _backfill(backfill).read_text(encoding="utf-8")})
    return None


def _folder() -> Path:
    return home_path() / "open_jobs"


def _backfill(backfill_id: str) -> Path:
    """Returns the file that names the job of a backfill, whose runs come one after the other."""
    return _folder() / f".backfill-{backfill_id}"


def _read(path: Path) -> Path | None:
    """Returns the folder that a file of an open job names; None for an empty one."""
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None
    return Path(text) if text else None
