"""A recording's folder of chunk files: holding it, and clearing out what is not wanted.

What is in it by right is written in `writer.py`.
"""

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from badc_core.atomic import naming_storage_trouble

_LOCK_FILE = ".chunk_lock"
_ASIDE_LETTERS = 180
"""How much of a file's name `atomic.replacing` keeps in the name it writes to first."""


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Makes a folder and keeps other processes waiting; a process that dies lets it go.

    Raises:
        StorageFull: the disk or a quota is full.
    """
    with naming_storage_trouble(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK_FILE).open("a")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def remove_chunk_files(folder: Path, recording_id: str, kept: set[str]) -> set[str]:
    """Removes a recording's chunk files, and what killed processes left half written.

    Only what is named as this recording's chunk files are.

    Args:
        folder: held by `hold_folder`.
        recording_id: whose.
        kept: names of files that stay.

    Returns:
        The names of the chunk files that were removed.
    """
    begin = f"{recording_id}_chunk_"
    aside = re.escape(begin[:_ASIDE_LETTERS])
    pattern = re.compile(rf"(?P<chunk>{re.escape(begin)}\d+_\d+\.wav)|\.{aside}.*\.part")
    removed = set()
    for path in sorted(folder.iterdir()):
        found = pattern.fullmatch(path.name)
        if found and path.name not in kept and (path.is_symlink() or not path.is_dir()):
            path.unlink()
            if found["chunk"]:
                removed.add(path.name)
    return removed
