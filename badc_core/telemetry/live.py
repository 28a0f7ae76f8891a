"""Where a log is while runs write it: in `.badc/logs/` beside it.

A log that version control has taken is a link into its store, or may be taken while it grows. To
append to it would change what is stored. So runs append to a file that is never tracked, and the
last of them to close it adds its lines to the log, which gets replaced. What killed runs left there
is added by the next run.
"""

import logging
import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from badc_core.atomic import naming_storage_trouble, replacing
from badc_core.datasets.work_folder import WORK_FOLDER, prepare_work_file
from badc_core.errors import OutputUnwritable, StorageFull
from badc_core.locks import is_only_lock, lock_file, try_lock_file, unlock

_log = logging.getLogger(__name__)
_FOLDER = "logs"
_BLOCK_BYTES = 1 << 18
_APPENDING = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC


def live_path(log: Path) -> Path:
    """Returns where a log is while it is being written."""
    return log.with_name(WORK_FOLDER) / _FOLDER / log.name


def lock_path(log: Path) -> Path:
    """Returns what a run locks that alone may write a log."""
    return log.with_name(WORK_FOLDER) / "log_locks" / log.name


def newest_part(log: Path) -> Path:
    """Returns the file with a log's newest lines: the one being written, if there is one."""
    live = live_path(log)
    return live if live.exists() else log


def find_logs(folder: Path) -> set[Path]:
    """Returns the logs of a folder, also those that are only being written."""
    live = folder / WORK_FOLDER / _FOLDER
    return {*folder.glob("*.jsonl"), *(folder / path.name for path in live.glob("*.jsonl"))}


def open_live(log: Path) -> int:
    """Returns a descriptor to append to a log, which `close_live` closes.

    A device or pipe is written to itself.

    Raises:
        StorageFull, OutputUnwritable: there is no place for the file.
    """
    if _is_device(log):
        with naming_storage_trouble(log):
            return os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    publish_abandoned(log.parent)
    live = live_path(log)
    prepare_work_file(log.with_name(WORK_FOLDER), live)
    return lock_file(live, shared=True, open_file=_open_to_append)


def close_live(log: Path, descriptor: int) -> None:
    """Closes what `open_live` opened; the last to do so adds the lines to the log.

    Where that fails for lack of space or permission, they wait for the next run.
    """
    try:
        if not _is_device(log) and is_only_lock(descriptor, if_no_locks=True):
            _publish(log, descriptor)
    finally:
        unlock(descriptor)


def publish_abandoned(folder: Path) -> None:
    """Adds the lines that killed runs left to the logs of a folder."""
    for live in sorted((folder / WORK_FOLDER / _FOLDER).glob("*")):
        with suppress(FileNotFoundError):
            descriptor = try_lock_file(live, _open_existing)
            if descriptor is not None:
                close_live(folder / live.name, descriptor)


def is_torn(descriptor: int) -> bool:
    """Returns whether an open file's last line has no line end."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return False
    return os.pread(descriptor, 1, status.st_size - 1) != b"\n"


def _publish(log: Path, descriptor: int) -> None:
    """Adds the lines of the file being written to the log, and removes that file."""
    live = live_path(log)
    try:
        with naming_storage_trouble(live):
            if is_torn(descriptor):
                os.write(descriptor, b"\n")
        if live.stat().st_size and not _ends_with(log, live):
            with replacing(log) as aside, aside.open("wb") as file:
                if os.path.lexists(log):
                    _copy(log, file)
                _copy(live, file)
        live.unlink()
    except (StorageFull, OutputUnwritable, FileNotFoundError) as trouble:
        _log.warning("%s; the newest lines of this log are in %s until the next run", trouble, live)


def _copy(source: Path, target: BinaryIO) -> None:
    """Adds a log's lines to an open file, the last one with its end."""
    with source.open("rb") as file:
        shutil.copyfileobj(file, target)
        if is_torn(file.fileno()):
            target.write(b"\n")


def _ends_with(log: Path, live: Path) -> bool:
    """Returns whether the lines were added already by a run that was killed right after."""
    if not log.exists() or log.stat().st_size < live.stat().st_size:
        return False
    with log.open("rb") as added, live.open("rb") as file:
        added.seek(-live.stat().st_size, os.SEEK_END)
        while block := file.read(_BLOCK_BYTES):
            if added.read(len(block)) != block:
                return False
    return True


def _is_device(log: Path) -> bool:
    return log.exists() and not log.is_file()


def _open_to_append(path: Path) -> int:
    with naming_storage_trouble(path):
        return os.open(path, _APPENDING | os.O_CREAT, 0o644)


def _open_existing(path: Path) -> int:
    return os.open(path, _APPENDING)
