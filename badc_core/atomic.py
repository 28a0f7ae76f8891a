"""Writing files so that a reader sees the old content or the new, never half of it.

Every output of BADC goes through `replacing`. Appending logs are in `telemetry/log.py`.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from badc_core.errors import StorageFull


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

    Between removing the old folder and renaming the new one a reader may find none; it never
    finds a mixture.
    """
    aside = _aside(path)
    try:
        with naming_full_storage(path):
            aside.mkdir(parents=True)
            yield aside
            if path.exists():
                shutil.rmtree(path)
            aside.replace(path)
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


def _aside(path: Path) -> Path:
    """Names a sibling no other process uses; hidden, so that no glob for outputs finds it."""
    return path.with_name(f".{path.name[:180]}.{os.getpid()}-{os.urandom(4).hex()}.part")


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
