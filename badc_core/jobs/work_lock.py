"""Showing that a process works on a job, from its first stage to its last.

The record of a stage says so while the stage runs, and nothing does between two stages. Whoever
moves the files of a job has it for itself meanwhile.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from badc_core.errors import JobBusy
from badc_core.locks import lock_file, locked_descriptor, try_lock, try_lock_file, unlock

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
    with _looking_alone(folder):
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
        with _looking_alone(folder):
            descriptor = os.open(folder / WORK_LOCK, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return not try_lock(descriptor)
            finally:
                os.close(descriptor)
    except FileNotFoundError:
        return False
    except OSError:  # no locks, or a network disk that only locks what is open for writing
        return None


@contextmanager
def _looking_alone(folder: Path) -> Iterator[None]:
    """Keeps others waiting that try the lock of a job: they would take ours for that of work.

    Where a folder cannot be locked, nobody waits.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with ExitStack() as turn:
            with suppress(OSError):
                turn.enter_context(locked_descriptor(descriptor, folder))
            yield
    finally:
        os.close(descriptor)
