"""Writing files so that a reader sees the old content or the new, never half of it.

Every output of BADC goes through `replacing`. Appending logs are in `telemetry/log.py`.
"""

import errno
import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from badc_core.errors import StorageFull

# What a rename finds where another folder, or a link to one, already has the name.
_TAKEN = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}
_ASIDE = re.compile(r"\..*\.(?P<host>[A-Za-z0-9]*)-(?P<pid>[0-9]+)-[0-9a-f]{8}\.part")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a path aside to write to; moves it over `path` when the block ends well.

    The file is fsynced before and its folder after the rename. On an error the aside file is
    removed and `path` stays as it was. An existing symlink at `path` (an annexed, read-only
    output) is replaced, not written through.

    Raises:
        StorageFull: the disk or a quota is full.
    """
    aside = _aside(path)
    try:
        with naming_full_storage(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield aside
            _fsync(aside)
            aside.replace(path)
            _fsync(path.parent)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder aside to fill; swaps it for `path` when the block ends well.

    Everything in it is fsynced before. Between moving the old folder away and renaming the new one
    a reader may find none; it never finds a mixture. Of several writers at once all succeed, and
    the last one's folder stays. A link at `path` is replaced, not written through.

    Raises:
        StorageFull: the disk or a quota is full.
    """
    aside = _aside(path)
    try:
        with naming_full_storage(path):
            aside.mkdir(parents=True)
            yield aside
            _fsync_tree(aside)
            while not _swap(aside, path):
                pass
            _fsync(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def naming_full_storage(path: Path) -> Iterator[None]:
    """Turns a full disk or quota, met while writing `path` in the block, into StorageFull."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull(
                "no space left for the output", path, "Free some space, then run again"
            ) from error
        raise


def write_text(path: Path, text: str) -> None:
    """Replaces the file's content by `text`, as UTF-8."""
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")


def remove_abandoned(folder: Path) -> None:
    """Removes from a folder what processes of this machine had aside when they were killed."""
    try:
        asides = [entry.name for entry in os.scandir(folder) if _ASIDE.fullmatch(entry.name)]
    except FileNotFoundError:
        return
    for name in asides:
        found = _ASIDE.fullmatch(name)
        if found and found["host"] == _host() and not _is_alive(int(found["pid"])):
            with suppress(OSError):
                _discard(folder / name)


def _swap(aside: Path, path: Path) -> bool:
    """Puts a folder in place of what is at `path`; False if another writer came in between."""
    old = _aside(path)
    with suppress(FileNotFoundError):
        path.rename(old)
    try:
        aside.rename(path)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        if os.path.lexists(old):
            old.rename(path)
        raise
    finally:
        _discard(old)
    return True


def _discard(path: Path) -> None:
    """Deletes a folder, file or link, if it is there; what a link leads to stays."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _aside(path: Path) -> Path:
    """Names a sibling no other process uses; hidden, so that no glob for outputs finds it."""
    own = f"{_host()}-{os.getpid()}-{os.urandom(4).hex()}"
    return path.with_name(f".{path.name[:150]}.{own}.part")


def _host() -> str:
    """Returns this machine's name, as far as names of files hold it."""
    return re.sub(r"[^A-Za-z0-9]", "", platform.node())[:40]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _fsync_tree(folder: Path) -> None:
    """Fsyncs every file and folder below a folder, and itself; links are names, and so in it."""
    for path in (*folder.rglob("*"), folder):
        if not path.is_symlink():
            _fsync(path)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
