"""Locks of the kernel: one holder at a time, across threads, forks and kills."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.locks import refuse_locks

from badc_core import locks
from badc_core.errors import OutputUnwritable
from badc_core.locks import (
    is_locked,
    lock_file,
    locked,
    remove_unlocked,
    try_lock_file,
    unlock,
)

HOLD = """
import sys, time
from pathlib import Path
from badc_core.locks import lock_file
lock_file(Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "a.lock"


def test_a_lock_is_exclusive_until_it_is_released(path) -> None:
    with locked(path):
        assert is_locked(path)
        assert try_lock_file(path) is None
    descriptor = try_lock_file(path)
    assert descriptor is not None
    assert is_locked(path)
    unlock(descriptor)
    assert not is_locked(path)


def test_a_killed_process_has_no_lock(path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"locked\n"
        assert is_locked(path)
        holder.kill()
    assert not is_locked(path)


def test_a_released_lock_is_not_kept_by_a_forked_process(path) -> None:
    descriptor = lock_file(path)
    copy = os.dup(descriptor)  # shares the lock as a forked process would
    unlock(descriptor)
    assert not is_locked(path)
    os.close(copy)


def test_processes_wait_for_their_turn(path) -> None:
    turns = []

    def wait() -> None:
        with locked(path):
            turns.append("second")

    with locked(path):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(0.05)
        turns.append("first")
    thread.join()
    assert turns == ["first", "second"]


def test_shared_locks_exclude_an_exclusive_one_only(path) -> None:
    first, second = lock_file(path, shared=True), lock_file(path, shared=True)
    assert try_lock_file(path) is None
    unlock(first)
    assert is_locked(path)
    unlock(second)
    assert not is_locked(path)


@pytest.mark.parametrize("lock", [lock_file, try_lock_file])
def test_a_file_removed_before_it_is_locked_does_not_count(path, lock, monkeypatch) -> None:
    flock, removed = fcntl.flock, []

    def flock_late(descriptor: int, operation: int) -> None:
        if not removed:
            removed.append(path.unlink())
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock_late)
    descriptor = lock(path)
    assert removed
    assert is_locked(path)
    unlock(descriptor)


def test_a_link_in_place_of_a_lock_file_is_replaced(path) -> None:
    path.parent.mkdir()
    path.symlink_to("../../.git/annex/objects/gone")
    with locked(path):
        assert path.is_file()
        assert not path.is_symlink()
        assert is_locked(path)


def test_only_unlocked_files_are_removed(path) -> None:
    assert remove_unlocked(path.parent / "absent")
    with locked(path):
        assert not remove_unlocked(path)
        assert path.exists()
    assert remove_unlocked(path)
    assert not path.exists()


def test_a_lock_file_that_was_put_in_place_meanwhile_stays(path, monkeypatch) -> None:
    with locked(path):
        pass
    try_it = locks.try_lock

    def replace_first(descriptor: int) -> bool:
        path.unlink()
        path.touch()
        return try_it(descriptor)

    monkeypatch.setattr(locks, "try_lock", replace_first)
    remove_unlocked(path)
    assert path.exists()


def test_a_file_system_without_locks_is_used_with_one_warning(path, monkeypatch, caplog) -> None:
    monkeypatch.setattr(locks, "_warned_file_systems", set())
    monkeypatch.setattr(fcntl, "flock", refuse_locks)
    with locked(path), locked(path.with_name("b.lock")):
        assert is_locked(path)  # it may be: nothing says that it is not
    (message,) = caplog.messages
    assert message.startswith(f"{path.parent}: this file system has no locks")


def test_other_trouble_with_locks_is_not_hidden(path, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(OSError, match="Input/output error"):
        lock_file(path)


def test_a_lock_that_cannot_be_created_is_an_output_that_cannot_be_written(tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputUnwritable), locked(tmp_path / "file" / "a.lock"):
        pass
