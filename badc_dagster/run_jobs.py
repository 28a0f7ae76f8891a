"""Which BADC job a run of Dagster belongs to, and ending jobs whose process was killed.

A run has the job's id and folder as tags. One `badc run`, one backfill, and any other run with its
re-executions is a job. A file in the home marks each open job, and whoever follows its runs has
that file locked: one that is not locked was left open. What a job's files say is in
`badc_core/jobs/`.
"""

import os
import platform
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

import dagster as dg

from badc_core.errors import RecordingBusy
from badc_core.hashing import sha256_text
from badc_core.jobs.job_states import BACKFILL, is_archived, require_unpacked
from badc_core.jobs.layout import CANCELED, COMPLETED, FAILED
from badc_core.jobs.places import job_places
from badc_core.jobs.run_job import RunJob
from badc_core.jobs.unfailing import Unfailing
from badc_core.jobs.work_lock import working_on
from badc_core.locks import is_locked, is_only_lock, lock_file, locked, try_lock_file, unlock
from badc_dagster.home import home_path

JOB_TAG = "badc/job_id"
FOLDER_TAG = "badc/job_folder"
COMMAND = "badc run"
"""Who starts the runs of a job that one command has, whole or in parts."""

_PARENT, _ROOT, _BACKFILL = "dagster/parent_run_id", "dagster/root_run_id", "dagster/backfill"
_STARTERS = {"dagster/sensor_name": "sensor", "dagster/schedule_name": "schedule"}
_BACKFILL_FILE = ".backfill-"
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
    return RunJob.create(job_places(home_path()), facts, mark_open)


def job_tags(job: RunJob) -> dict[str, str]:
    """Returns the tags of the runs of a job."""
    return {JOB_TAG: job.job_id, FOLDER_TAG: str(job.folder)}


def job_of_tags(tags: Mapping[str, str]) -> RunJob | None:
    """Returns the job that a run's tags name; None if it is not there, or in its archive only."""
    folder = Path(tags.get(FOLDER_TAG, "")) if tags.get(FOLDER_TAG) else None
    if folder is None or not folder.is_dir() or is_archived(folder):
        return None
    return RunJob(folder)


def replaced_runs(tags: Mapping[str, str]) -> frozenset[str]:
    """Returns the runs that a run does again, if it is a re-execution."""
    return frozenset(tags[name] for name in (_PARENT, _ROOT) if name in tags)


def join_job(instance: dg.DagsterInstance, run: dg.DagsterRun, stages: Collection[str]) -> RunJob:
    """Returns the job of a run that begins, a new one if it has none, and tags the run with it.

    The job is open from here on.

    Args:
        instance: holds the run.
        run: the run.
        stages: that it is to run, as the job's manifest calls them.

    Raises:
        StorageFull, OutputUnwritable: it cannot be written.
    """
    with locked(_folder() / ".lock"):
        job = job_of_tags(run.tags) or _find_job(instance, run)
        if job is None:
            starter = next((one for tag, one in _STARTERS.items() if tag in run.tags), "")
            backfill = run.tags.get(_BACKFILL)
            starter = starter or (f"{BACKFILL} {backfill}" if backfill else "dagster")
            job = create_job(starter)
            if backfill:
                _backfill(backfill).write_text(str(job.folder), encoding="utf-8")
        instance.add_run_tags(run.run_id, job_tags(job))
    with following(job.folder):
        job.add_run(run.run_id, run.job_name, stages, run.run_config)
    return job


@contextmanager
def following(folder: Path) -> Iterator[int]:
    """Shows that this process follows a job's runs, until the block ends; gives `finish` its lock.

    Args:
        folder: of the job.

    Raises:
        JobBusy: its files are in its archive only.
        StorageFull, OutputUnwritable: it cannot be shown.
    """
    # Whoever archives the job waits for this, and this for whoever archives it.
    with working_on(folder):
        require_unpacked(folder)
        descriptor = lock_file(_mark(folder), shared=True)
        os.pwrite(descriptor, os.fsencode(folder), 0)
        try:
            yield descriptor
        finally:
            unlock(descriptor)


def mark_open(folder: Path) -> None:
    """Marks a job as open, so that it will be closed if this process is killed."""
    with following(folder):
        pass


@contextmanager
def resuming(job: RunJob) -> Iterator[None]:
    """Keeps others from resuming a job until the block ends.

    Raises:
        RecordingBusy: somebody does, or follows its runs.
    """
    path = _folder() / f".resumed-{_mark(job.folder).name}"
    descriptor = try_lock_file(path)
    try:
        if descriptor is None or is_locked(_mark(job.folder)):
            remedy = "Wait until it ends, or stop it; then resume it"
            raise RecordingBusy("the job is at work", job.job_id, remedy)
        yield
    finally:
        if descriptor is not None:
            path.unlink(missing_ok=True)
            unlock(descriptor)


def finish(job: RunJob, lock: int, status: str, errors: Iterable[str] = ()) -> None:
    """Ends a job, unless another process follows it, which will end it then.

    Args:
        job: the job.
        lock: what `following` gave.
        status: how it ended.
        errors: why, apart from what stages say.

    Raises:
        StorageFull, OutputUnwritable: it cannot be written.
    """
    if is_only_lock(lock, if_no_locks=True):
        job.finish(status, errors)
        _mark(job.folder).unlink(missing_ok=True)


def is_last_run(instance: dg.DagsterInstance, job: RunJob, run_id: str) -> bool:
    """Returns whether no other run of a job is unfinished."""
    of_job = dg.RunsFilter(tags=job_tags(job), statuses=_UNFINISHED)
    others = instance.get_runs(of_job, limit=2)
    return all(one.run_id == run_id for one in others)


def close_lost_jobs(instance: dg.DagsterInstance, warn: Callable[[str], object]) -> None:
    """Ends jobs that nobody follows any more, and all whose runs have ended.

    Args:
        instance: holds the runs; those whose process was killed are closed.
        warn: shows a warning where a job cannot be ended.
    """
    for path in sorted(_folder().glob("[!.]*")):
        descriptor = try_lock_file(path)
        if descriptor is not None:
            Unfailing(warn)(partial(_close, instance, path))
            unlock(descriptor)
    for path in _folder().glob(f"{_BACKFILL_FILE}*"):
        backfill = instance.get_backfill(path.name.removeprefix(_BACKFILL_FILE))
        if backfill is None or backfill.backfill_end_timestamp is not None:
            path.unlink(missing_ok=True)


def _close(instance: dg.DagsterInstance, path: Path) -> None:
    """Ends the job of a file that only we have locked, unless one of its runs will go on."""
    folder = _read(path)
    if folder is None or (folder.parent.is_dir() and not folder.is_dir()):
        path.unlink(missing_ok=True)
        return
    if not folder.is_dir():
        return  # the disk with the jobs is not there
    job = RunJob(folder)
    if is_last_run(instance, job, ""):
        status = _status(instance, job)
        job.finish(status, [_LOST] if status == FAILED else [])
        path.unlink(missing_ok=True)


def _status(instance: dg.DagsterInstance, job: RunJob) -> str:
    """Returns how a job that was left open ended."""
    runs = instance.get_runs(dg.RunsFilter(tags=job_tags(job)))
    replaced = frozenset().union(*(replaced_runs(one.tags) for one in runs))
    statuses = {one.status for one in runs if one.run_id not in replaced}
    if dg.DagsterRunStatus.CANCELED in statuses:
        return CANCELED
    # A command would have started more runs; only a command resumes a job.
    was_whole = job.read().get("started_by") != COMMAND and job.attempt == 1
    return COMPLETED if was_whole and statuses == {dg.DagsterRunStatus.SUCCESS} else FAILED


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
    return _folder() / f"{_BACKFILL_FILE}{backfill_id}"


def _mark(folder: Path) -> Path:
    """Returns the file that is there while a job is open."""
    return _folder() / f"{folder.name}-{sha256_text(os.fspath(folder))[:8]}"


def _read(path: Path) -> Path | None:
    """Returns the folder that a file of an open job names; None for an empty one."""
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None
    return Path(text) if text else None
