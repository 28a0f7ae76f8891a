"""Folders that several users of a machine write to."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_TRIES = 100
"""More than processes can put a new folder in place of an empty one, one after another."""

TEMPORARY = ".new-"
"""How the names of folders and files begin that are not complete yet."""


def make_shared_folder(folder: Path, mode: int) -> None:
    """Creates a folder with some permissions, whatever the umask says, if it is missing.

    Raises:
        OSError: it cannot be created.
    """
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Renamed once its mode is right, so that no user finds a folder that is closed to them.
    make = partial(tempfile.mkdtemp, prefix=TEMPORARY, dir=folder.parent)
    aside = Path(making_in(folder.parent, make))
    try:
        aside.chmod(mode)
        aside.rename(folder)
    except OSError:
        aside.rmdir()
        if not folder.is_dir():
            raise


def making_in(folder: Path, make: Callable[[], T]) -> T:
    """Returns what a call makes in a shared folder.

    Raises:
        OSError: it cannot be made.
    """
    for _ in range(_TRIES - 1):
        try:
            return make()
        except FileNotFoundError:
            # Another process may have put its own in place of this folder while it was empty.
            # Or it holds no files at all, as /proc does; so this ends.
            if not folder.is_dir():
                raise
    return make()
