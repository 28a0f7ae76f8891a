"""Keeping a recording to one of the runs that a dataset has at the same time.

Held is what two runs would spoil for each other. Locks are the kernel's: a process that dies lets
them go. A file system that has none holds nothing, which is told once.
"""

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from badc_core.atomic import naming_storage_trouble
from badc_core.datasets.dataset import InferencePaths
from badc_core.errors import RecordingBusy

_log = logging.getLogger(__name__)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class LockedRecordings:
    """The recordings a run is at work on, each until its last part is done; a context manager.

    Each costs an open file, so only few should be in work at a time.

    Args:
        output: whose folders of recordings are held.
    """

    def __init__(self, output: InferencePaths) -> None:
        self._output = output
        self._held: dict[str, ExitStack] = {}
        self._n_parts: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self._held:
            self._held.popitem()[1].close()
        self._n_parts.clear()

    def begin(self, recording_id: str) -> None:
        """Holds a recording, for its first part.

        Raises:
            RecordingBusy: another run is at work on it. To wait for that could be to wait for a run
                that waits for this one.
            StorageFull, OutputUnwritable: there is no place for the lock, nor would be for results.
        """
        with ExitStack() as begun:
            begun.enter_context(lock_recording(self._output, recording_id))
            self._held[recording_id] = begun.pop_all()
        self._n_parts[recording_id] = 1

    def add_part(self, recording_id: str) -> None:
        """Takes note of another part of a recording that is held."""
        self._n_parts[recording_id] += 1

    def end_part(self, recording_id: str) -> None:
        """Takes note of a part's end; with the last one the recording is let go."""
        if recording_id not in self._held:
            return
        self._n_parts[recording_id] -= 1
        if not self._n_parts[recording_id]:
            del self._n_parts[recording_id]
            self._held.pop(recording_id).close()


def lock_recording(output: InferencePaths, recording_id: str) -> AbstractContextManager[None]:
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
            if path.is_symlink():
                path.unlink(missing_ok=True)  # left by a killed run, then saved as a dataset's file
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
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                lock.close()
                raise
            _warn_of_no_locks(path.parent)
        if _is_at(path, lock):
            return lock
        lock.close()  # whoever held it has removed it since it was opened


@cache
def _warn_of_no_locks(folder: Path) -> None:
    _log.warning(
        "%s: this file system has no locks, so nothing keeps two runs from the same recording",
        folder,
    )


def _is_at(path: Path, lock: TextIO) -> bool:
    """Tells whether an open file still is what its path leads to."""
    try:
        return os.path.samestat(path.stat(), os.fstat(lock.fileno()))
    except FileNotFoundError:
        return False
