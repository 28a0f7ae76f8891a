"""Writing files so that a reader sees the old content or the new, never a part of it.

Every output of BADC goes through `replacing`, and is read back before the rename: text here by
`writing_text`, tables by `columns.write_parquet`, databases by `corpus/database.py`.
"""

import errno
import hashlib
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TextIO

from badc_core.errors import OutputUnwritable, StorageFull

STORAGE_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Error numbers of the operating system if the disk or a quota is full."""

# Errors of a rename to a name that another folder, or a link to one, has.
_OCCUPIED = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}
_UNWRITABLE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG),
    *(errno.EIO, errno.ESTALE, errno.ELOOP, errno.EEXIST, errno.ENOTEMPTY),
}
_BESIDE_DATABASE = (".wal", ".tmp")
"""Endings of what DuckDB writes beside a database, as a file and a folder."""
_ASIDE = re.compile(
    r"\..*\.(?P<where>[0-9a-f]{12})-(?P<pid>[0-9]+)-[0-9a-f]{8}\.part(\.wal|\.tmp)?"
)
_SURELY_ABANDONED_S = 7 * 86_400


@contextmanager
def replacing(path: Path, *, can_be_made_again: bool = False) -> Iterator[Path]:
    """Yields a temporary path to write to; renames it to `path` when the block succeeds.

    The file is fsynced before and its folder after the rename, unless the file can be made again
    from others. On an error the temporary file is removed and `path` does not change. A symlink at
    `path` (an annexed, read-only output) is replaced, not written through.

    Raises:
        StorageFull: the disk or a quota is full.
        OutputUnwritable: no permission to write there, or `path` is not a file.
    """
    aside = _aside(path)
    try:
        with naming_storage_trouble(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _require_file(path)
            yield aside
            if not can_be_made_again:
                _fsync(aside)
            aside.replace(path)
            if not can_be_made_again:
                _fsync(path.parent)
    finally:
        for ending in ("", *_BESIDE_DATABASE):
            with suppress(OSError):
                _discard(aside.with_name(aside.name + ending))


@contextmanager
def writing_text(path: Path) -> Iterator[TextIO]:
    """Yields a new UTF-8 file without translation of line ends; afterwards it is whole.

    Raises:
        OSError: it could not be written, or is not as long as what was written to it.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        yield file
        n_bytes = file.tell()
    if path.stat().st_size != n_bytes:
        raise damaged_write(path)


def damaged_write(path: Path) -> OSError:
    """Returns the error of a file that is not what was written to it."""
    return OSError(errno.EIO, os.strerror(errno.EIO), str(path))


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yields an empty temporary folder to fill; renames it to `path` when the block succeeds.

    Everything in it is fsynced before. Between removing the old folder and renaming the new one a
    reader may find no folder, but never a mixture. Several writers at once all succeed, and the
    last one's folder stays. A link at `path` is replaced, not written through.

    Raises:
        StorageFull: the disk or a quota is full.
        OutputUnwritable: no permission to write there.
    """
    aside = _aside(path)
    try:
        with naming_storage_trouble(path):
            aside.mkdir(parents=True)
            yield aside
            _fsync_tree(aside)
            while not _swap(aside, path):
                pass
            _fsync(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yields the path of a folder to make; renames that to `path` when the block succeeds.

    What is at `path` by then is never replaced, except an empty folder.

    Raises:
        StorageFull: the disk or a quota is full.
        OutputUnwritable: no permission to write there, or something is there.
    """
    aside = _aside(path)
    try:
        with naming_storage_trouble(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield aside
            aside.rename(path)
            _fsync(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def naming_storage_trouble(path: Path) -> Iterator[None]:
    """Turns an OSError about writing `path` in the block into an error with advice.

    Raises:
        StorageFull: the disk or a quota is full.
        OutputUnwritable: no permission to write there.
    """
    try:
        yield
    except OSError as error:
        if error.errno in STORAGE_FULL:
            raise StorageFull(
                "no space left for the output", path, "Free some space, then run again"
            ) from error
        is_unwritable = error.errno in _UNWRITABLE or (
            error.errno == errno.ENOENT and _forbids_files(path)
        )
        if error.errno is not None and is_unwritable and _concerns(error, path):
            raise OutputUnwritable(
                f"cannot be written ({os.strerror(error.errno)})",
                path,
                "Choose another place, or make this one writable",
            ) from error
        raise


def write_text(path: Path, text: str, *, can_be_made_again: bool = False) -> None:
    """Replaces the file's content by `text`, as UTF-8; arguments as of `replacing`."""
    with replacing(path, can_be_made_again=can_be_made_again) as aside, writing_text(aside) as file:
        file.write(text)


def remove_folder(path: Path) -> None:
    """Removes a folder, if it exists; a reader sees all of it or nothing.

    Raises:
        OutputUnwritable: no permission to remove it.
    """
    aside = _aside(path)
    with naming_storage_trouble(path), suppress(FileNotFoundError):
        path.rename(aside)
        _discard(aside)


def remove_abandoned(folder: Path, names: Sequence[str] | None = None) -> None:
    """Removes the temporary files and folders that killed processes left in a folder.

    Processes of this machine are known to have ended; files of others are removed after a week.
    """
    with suppress(OSError):
        for name in filter(_ASIDE.fullmatch, os.listdir(folder) if names is None else names):  # noqa: PTH208
            with suppress(OSError):
                if _is_abandoned(folder / name):
                    _discard(folder / name)


def is_process_alive(pid: int) -> bool:
    """Returns whether there is a process of this number, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _is_abandoned(path: Path) -> bool:
    found = _ASIDE.fullmatch(path.name)
    if found is None:
        return False
    if found["where"] == _process_space():
        return not is_process_alive(int(found["pid"]))
    return time.time() - path.lstat().st_mtime > _SURELY_ABANDONED_S


def _require_file(path: Path) -> None:
    """Raises OutputUnwritable if a rename would replace a folder, a device or a pipe."""
    if os.path.lexists(path) and not (path.is_symlink() or path.is_file()):
        what = "is a folder" if path.is_dir() else "is not a regular file"
        raise OutputUnwritable(what, path, "Choose another place for the output")


def _concerns(error: OSError, path: Path) -> bool:
    """Returns whether an error is about an output, its folders, or its temporary file."""
    if error.filename is None:
        return True
    named = Path(os.fsdecode(error.filename))
    return named in {path, *path.parents} or path.parent in named.parents


def _forbids_files(path: Path) -> bool:
    """Returns whether no file can be created at a path although its folder exists.

    Folders of the kernel, such as /proc, raise ENOENT then, and so does a deleted folder that a
    process is still in. Elsewhere ENOENT is about another file.
    """
    folder = next((one for one in path.parents if one.is_dir()), None)
    if folder is None:
        return False
    probe = _aside(folder / "probe")
    try:
        probe.touch(exist_ok=False)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    probe.unlink()
    return False


def _swap(aside: Path, path: Path) -> bool:
    """Puts a folder in place of `path`; returns False if another writer was faster."""
    old = _aside(path)
    with suppress(FileNotFoundError):
        path.rename(old)
    try:
        aside.rename(path)
    except OSError as error:
        if error.errno in _OCCUPIED:
            return False
        if os.path.lexists(old):
            old.rename(path)
        raise
    finally:
        _discard(old)
    return True


def _discard(path: Path) -> None:
    """Deletes a folder, file or link, if it exists; the target of a link stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _aside(path: Path) -> Path:
    """Returns a sibling that no other process uses; hidden, so that no glob finds it."""
    own = f"{_process_space()}-{os.getpid()}-{os.urandom(4).hex()}"
    named = path if path.name else path.absolute()
    return named.with_name(f".{named.name[:150]}.{own}.part")


@cache
def _process_space() -> str:
    """Returns a hash of machine, boot and container, within which process ids are unique."""
    parts = [platform.node()]
    with suppress(OSError):  # Linux only
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _fsync_tree(folder: Path) -> None:
    """Fsyncs a folder and every file and folder in it; links are part of their folder."""
    for path in (*folder.rglob("*"), folder):
        if not path.is_symlink():
            _fsync(path)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
