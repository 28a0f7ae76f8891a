"""Showing that a process works on a job, from its first stage to its last.

The record of a stage says so while the stage runs, and nothing does between two stages. Whoever
moves the files of a job has it for itself meanwhile.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from badc_core.errors import JobBusy
from badc_core.locks import lock_file, try_lock, try_lock_file, unlock

WORK_LOCK = ".at_work.lock"


@contextmanager
def working_on(folder: Path) -> Iterator[int]:
    """Shows until the block ends that this process works on a job, as others may too.

    Gives the open lock: processes that inherit it work on the job too, also after this one.

    Args:
        folder: of the job's outputs.

    Raises:
        StorageFull, OutputUnwritable: the lock cannot be created.
    """
    descriptor = lock_file(folder / WORK_LOCK, shared=True)
    try:
        yield descriptor
    finally:
        unlock(descriptor)


@contextmanager
def having_alone(folder: Path) -> Iterator[None]:
    """Keeps others from working on a job until the block ends; they wait.

    Raises:
        JobBusy: somebody works on it.
        StorageFull, OutputUnwritable: the lock cannot be created.
    """
    descriptor = try_lock_file(folder / WORK_LOCK)
    if descriptor is None:
        remedy = "Try again when it has ended"
        raise JobBusy("is being worked on by another process", folder, remedy)
    try:
        yield
    finally:
        unlock(descriptor)


def is_worked_on(folder: Path) -> bool | None:
    """Returns whether a process works on a job; None if its lock cannot be tried."""
    try:
        descriptor = os.open(folder / WORK_LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        return not try_lock(descriptor)
    except OSError:  # no locks, or a network disk that only locks what is open for writing
        return None
    finally:
        os.close(descriptor)
