"""Keeping a recording to one of the runs that a dataset has at the same time.

Held is what two runs would spoil for each other. Locks are the kernel's: a process that dies lets
them go.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TextIO

from badc_core.atomic import naming_storage_trouble
from badc_core.dataset import InferencePaths
from badc_core.errors import RecordingBusy


def hold_recording(output: InferencePaths, recording_id: str) -> AbstractContextManager[None]:
    """Keeps a recording's results below a folder to this run, until the context ends.

    Entering it raises RecordingBusy, StorageFull or OutputUnwritable.
    """
    return hold(output.lock(recording_id), recording_id)


@contextmanager
def hold(path: Path, recording_id: str) -> Iterator[None]:
    """Keeps to this run what a file stands for; it is gone in the end.

    Raises:
        RecordingBusy: another run holds it, for the recording.
        StorageFull, OutputUnwritable: there is no place for it.
    """
    with _lock(path, recording_id):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _lock(path: Path, recording_id: str) -> TextIO:
    """Returns a file that is locked, made if need be; raises RecordingBusy."""
    while True:
        with naming_storage_trouble(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = path.open("a", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise RecordingBusy(
                "another run is at work on this recording",
                recording_id,
                "Let that end, then run again",
            ) from error
        if _is_at(path, lock):
            return lock
        lock.close()  # whoever held it has removed it since it was opened


def _is_at(path: Path, lock: TextIO) -> bool:
    """Tells whether an open file still is what its path leads to."""
    try:
        return os.path.samestat(path.stat(), os.fstat(lock.fileno()))
    except FileNotFoundError:
        return False
