"""Folders that several users of a machine write to."""

import tempfile
from pathlib import Path

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
    aside = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=folder.parent))
    try:
        aside.chmod(mode)
        aside.rename(folder)
    except OSError:
        aside.rmdir()
        if not folder.is_dir():
            raise
