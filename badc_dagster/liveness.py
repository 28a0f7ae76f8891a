"""Which runs are alive, by locks the kernel releases when their process dies.

Dagster has no health check for runs started from a command line: killed, they stay STARTED for
ever. Every asset of ours holds its run's lock; `close_dead_runs` ends the runs whose lock is free.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import IO

import dagster as dg

from badc_dagster.home import home_path

_GRACE_S = 30.0
_STARTING_S = 300.0
_HEARTBEAT_S = 120.0
_QUEUE_DAEMON = "QUEUED_RUN_COORDINATOR"
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
_held: dict[str, int] = {}


def hold(run_id: str) -> None:
    """Marks a run as alive until this process ends."""
    if run_id in _held:
        return
    path = _lock_path(run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    while run_id not in _held:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        # A sweep may have taken the file away between the two lines above.
        if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
            _held[run_id] = descriptor
        else:
            os.close(descriptor)


def release(run_id: str) -> None:
    """Ends the mark of a run that this process has finished."""
    descriptor = _held.pop(run_id, None)
    if descriptor is not None:
        os.close(descriptor)
        _lock_path(run_id).unlink(missing_ok=True)


def is_working(record: dg.RunRecord) -> bool:
    """Tells whether an unfinished run is, or soon will be, at work.

    A run whose lock is free is not. One that never took a lock is believed for a few minutes: it
    is starting, or was killed before its first step.

    Args:
        record: of a run that is not queued.
    """
    run_id = record.dagster_run.run_id
    if run_id in _held:
        return True
    if _lock_path(run_id).exists():
        return not _is_abandoned(run_id)
    return time.time() - record.update_timestamp.timestamp() < _STARTING_S


def is_queue_served(instance: dg.DagsterInstance) -> bool:
    """Tells whether the daemon that starts queued runs is alive."""
    beats = instance.get_daemon_heartbeats()
    return any(
        kind == _QUEUE_DAEMON and time.time() - beat.timestamp < _HEARTBEAT_S
        for kind, beat in beats.items()
    )


def close_dead_runs(instance: dg.DagsterInstance, grace_s: float = _GRACE_S) -> list[str]:
    """Marks runs as failed whose process is gone; returns their ids.

    Args:
        instance: holds the runs.
        grace_s: runs that changed more recently are left alone, since nobody holds the lock between
            two steps of a run under an executor that is not ours.
    """
    unfinished = dg.RunsFilter(statuses=_UNFINISHED)
    dead = []
    for record in instance.get_run_records(unfinished):
        run = record.dagster_run
        is_quiet = time.time() - record.update_timestamp.timestamp() > grace_s
        if is_quiet and _is_abandoned(run.run_id):
            instance.report_run_failed(run, "The process of this run is gone (killed or crashed).")
            dead.append(run.run_id)
    _sweep(instance)
    return dead


def _is_abandoned(run_id: str) -> bool:
    """Tells whether the run had a lock and nobody holds it."""
    path = _lock_path(run_id)
    if not path.exists():
        return False
    with path.open("r+") as file:
        return _take(file)


def _take(file: IO[str]) -> bool:
    """Takes a lock that nobody holds; it goes when the file is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sweep(instance: dg.DagsterInstance) -> None:
    """Removes the locks of finished runs; one somebody holds may be of a run not yet created."""
    for path in _folder().glob("*.lock"):
        run = instance.get_run_by_id(path.stem)
        if run is not None and not run.is_finished:
            continue
        with path.open("r+") as file:
            if _take(file):
                path.unlink(missing_ok=True)


def _lock_path(run_id: str) -> Path:
    return _folder() / f"{run_id}.lock"


def _folder() -> Path:
    return home_path() / "live"
