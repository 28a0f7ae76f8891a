"""Locks on files, by which processes take turns or show that they are alive.

They are the kernel's (`flock`): a lock ends when the last process that has the file open ends,
however it ends. So no lock expires, and none has to be cleaned up. Forked processes share the locks
of their parent; programs that it starts do so only if they inherit the descriptor.
"""

import errno
import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from badc_core.atomic import naming_storage_trouble

_log = logging.getLogger(__name__)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_warned_file_systems: set[int] = set()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keeps other processes that lock the same file waiting until the block ends.

    Raises:
        StorageFull, OutputUnwritable: the file cannot be created.
    """
    descriptor = lock_file(path)
    try:
        yield
    finally:
        unlock(descriptor)


@contextmanager
def locked_descriptor(descriptor: int, path: Path) -> Iterator[None]:
    """Keeps other processes that lock an open file waiting until the block ends.

    Args:
        descriptor: of the file.
        path: its path, for messages.
    """
    _lock(descriptor, fcntl.LOCK_EX, path)
    try:
        yield
    finally:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)


def lock_file(
    path: Path, shared: bool = False, open_file: Callable[[Path], int] | None = None
) -> int:
    """Returns a descriptor of a locked file, which `unlock` releases; waits for other processes.

    The file and its folder are created if missing. A link in its place is replaced: version
    control makes links of lock files that killed processes left. Where the file system has no
    locks, a warning says so and nothing is locked.

    Args:
        path: the file.
        shared: other processes may have a shared lock at the same time, but no exclusive one.
        open_file: returns a descriptor of the file, created if missing; None for the usual way.

    Raises:
        StorageFull, OutputUnwritable: the file cannot be created.
    """
    operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        descriptor = _open_locked(path, operation, open_file or _open)
        if descriptor is not None:
            return descriptor


def try_lock_file(path: Path, open_file: Callable[[Path], int] | None = None) -> int | None:
    """Returns the descriptor that `lock_file` would; None if another process has the lock.

    Args:
        path: the file.
        open_file: returns a descriptor of the file, created if missing; None for the usual way.
    """
    try:
        while True:
            descriptor = _open_locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB, open_file or _open)
            if descriptor is not None:
                return descriptor
    except BlockingIOError:
        return None


def is_locked(path: Path) -> bool:
    """Returns whether a process has a lock on a file; also True if there is no way to know."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not is_only_lock(descriptor, if_no_locks=False)
    finally:
        os.close(descriptor)


def remove_unlocked(path: Path) -> bool:
    """Removes a lock file that no process has locked; returns whether it is gone."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        is_free = is_only_lock(descriptor, if_no_locks=False)
        # Another process may have put a new file, perhaps locked, in its place.
        if is_free and _is_at(path, descriptor):
            path.unlink(missing_ok=True)
        return is_free
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Locks an open file for this process alone; returns False if another process has it.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_only_lock(descriptor: int, *, if_no_locks: bool) -> bool:
    """Returns whether no other process has a lock on an open file; it is locked for us alone then.

    Else a shared lock of ours ends.

    Args:
        descriptor: of the file.
        if_no_locks: what to return where the file system has no locks, so that nobody knows.
    """
    try:
        return try_lock(descriptor)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return if_no_locks


def unlock(descriptor: int) -> None:
    """Closes a file and releases its lock, also for processes that were forked meanwhile."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _open_locked(path: Path, operation: int, open_file: Callable[[Path], int]) -> int | None:
    """Returns a descriptor of a locked file; None if it was removed before it was locked.

    Raises:
        BlockingIOError: another process has it, and the operation does not wait.
    """
    descriptor = open_file(path)
    try:
        _lock(descriptor, operation, path)
        if _is_at(path, descriptor):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _open(path: Path) -> int:
    """Returns a descriptor of a file, created if missing."""
    with naming_storage_trouble(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            path.unlink(missing_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


def _lock(descriptor: int, operation: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, operation)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        file_system = os.fstat(descriptor).st_dev
        if file_system not in _warned_file_systems:
            _warned_file_systems.add(file_system)
            _log.warning(
                "%s: this file system has no locks, so nothing keeps two processes from writing "
                "the same files; run one at a time",
                path.parent,
            )


def _is_at(path: Path, descriptor: int) -> bool:
    """Returns whether an open file still is the one at its path."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
