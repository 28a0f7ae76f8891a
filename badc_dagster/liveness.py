"""Which runs are alive, by locks that the kernel releases when their process dies.

Dagster has no health check for runs started from a command line: killed, they stay STARTED for
ever. Every asset of ours locks a file for its run; `close_dead_runs` ends the runs whose file is
not locked.
"""

import socket
import time
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import dagster as dg

from badc_core.atomic import is_process_alive, write_text
from badc_core.locks import is_locked, lock_file, locked, remove_unlocked, unlock
from badc_dagster.dagster_private import stores_in_home
from badc_dagster.home import home_path, lock_folder

_GRACE_S = 30.0
_STARTING_S = 300.0
_HEARTBEAT_S = 120.0
_HOME_ID = ".id"
_QUEUE_DAEMON = "QUEUED_RUN_COORDINATOR"
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
LOCKS_FIRST_TAG = {"badc/started_by": "badc run"}
"""Of runs in the process of `badc run`, which calls `show_alive` before it creates them."""
HOME_TAG = "badc/home"
"""Host, home and the home's id, of a run in a database that other homes may use too."""
_locks: dict[str, int] = {}
"""run_id -> the locked file, of runs that this process works on."""


def tag_home(instance: dg.DagsterInstance) -> Mapping[str, str]:
    """Returns a tag that says where the lock of a run is, if it may be elsewhere."""
    return {} if stores_in_home(instance) else {HOME_TAG: _this_home()}


def show_alive(run_id: str) -> None:
    """Shows that a run is alive, until this process ends or calls `show_ended`."""
    if run_id not in _locks:
        _locks[run_id] = lock_file(_lock_path(run_id), shared=True)


def show_ended(run_id: str) -> None:
    """Shows that this process has finished a run."""
    descriptor = _locks.pop(run_id, None)
    if descriptor is not None:
        _lock_path(run_id).unlink(missing_ok=True)
        unlock(descriptor)


def is_working(instance: dg.DagsterInstance, record: dg.RunRecord) -> bool:
    """Returns whether an unfinished run is, or soon will be, at work.

    A run whose file is there and not locked is not, nor is one of `badc run` without a file. Any
    other without a file is starting, or was killed before its first step: it is believed for a few
    minutes, unless Dagster wrote down a process for it that has ended.

    Args:
        instance: holds the run.
        record: of a run that is not queued.
    """
    run = record.dagster_run
    if _lock_path(run.run_id).exists() or _locks_first(run):
        return not _is_abandoned(run)
    is_recent = time.time() - record.update_timestamp.timestamp() < _STARTING_S
    return is_recent and not _has_lost_process(instance, run)


def is_queue_served(instance: dg.DagsterInstance) -> bool:
    """Returns whether the daemon that starts queued runs is alive."""
    beats = instance.get_daemon_heartbeats()
    return any(
        kind == _QUEUE_DAEMON and time.time() - beat.timestamp < _HEARTBEAT_S
        for kind, beat in beats.items()
    )


def find_dead_runs(instance: dg.DagsterInstance, grace_s: float = _GRACE_S) -> list[dg.DagsterRun]:
    """Returns the unfinished runs whose process has ended.

    Args:
        instance: holds the runs.
        grace_s: runs that changed more recently are left alone, since no process has the lock
            between two steps of a run under an executor that is not ours. Runs of `badc run` need
            no grace.
    """
    unfinished = dg.RunsFilter(statuses=_UNFINISHED)
    dead = []
    for record in instance.get_run_records(unfinished):
        run = record.dagster_run
        is_quiet = time.time() - record.update_timestamp.timestamp() > grace_s
        if (is_quiet or _locks_first(run)) and _is_abandoned(run) and _is_unfinished(instance, run):
            dead.append(run)
    return dead


def close_dead_runs(instance: dg.DagsterInstance, grace_s: float = _GRACE_S) -> list[str]:
    """Marks runs as failed whose process has ended; returns their ids.

    Args:
        instance: holds the runs.
        grace_s: as of `find_dead_runs`.
    """
    dead = find_dead_runs(instance, grace_s)
    for run in dead:
        instance.report_run_failed(run, "The process of this run has ended (killed or crashed).")
    _remove_locks_of_finished_runs(instance)
    return [run.run_id for run in dead]


def _is_abandoned(run: dg.DagsterRun) -> bool:
    """Returns whether the run had a lock and no process has it now.

    Of a run of another home this is not known here: a command there finds it out.
    """
    if HOME_TAG in run.tags and run.tags[HOME_TAG] != _this_home():
        return False
    path = _lock_path(run.run_id)
    return not is_locked(path) if path.exists() else _locks_first(run)


def _locks_first(run: dg.DagsterRun) -> bool:
    """Returns whether the run's process has the lock before the run exists, until it has ended.

    A re-execution from the web interface has the tags of its run, and another process.
    """
    return LOCKS_FIRST_TAG.items() <= run.tags.items() and run.parent_run_id is None


def _has_lost_process(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Returns whether the process that a code server started for a run has ended.

    One in another container seems so too. That does no harm: recordings are locked as well.
    """
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = entry.dagster_event
        pid = event.engine_event_data.metadata.get("pid") if event else None
        if pid is not None and not is_process_alive(int(str(pid.value))):
            return True
    return False


def _is_unfinished(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Returns whether a run still is so: it may have ended before its lock was looked at."""
    now = instance.get_run_by_id(run.run_id)
    return now is not None and not now.is_finished


def _remove_locks_of_finished_runs(instance: dg.DagsterInstance) -> None:
    """Removes lock files; one that is locked may be of a run not yet created."""
    for path in lock_folder().glob("*.lock"):
        run = instance.get_run_by_id(path.stem)
        if run is None or run.is_finished:
            remove_unlocked(path)


def _lock_path(run_id: str) -> Path:
    return lock_folder() / f"{run_id}.lock"


def _this_home() -> str:
    """Returns what no other home has: hosts, too, may have the same name."""
    path = home_path() / _HOME_ID
    if not path.exists():
        with locked(path.with_name(f"{_HOME_ID}.lock")):
            if not path.exists():
                write_text(path, uuid4().hex[:12])
    return f"{socket.gethostname()}:{home_path()}:{path.read_text(encoding='utf-8')}"
