"""The dataset made of recordings that are in none: a folder with a link to them.

It is made in the current folder, since recordings may be on a card that nothing should be written
to; but never among the recordings of a folder, which would then hold themselves.
"""

import os
from contextlib import suppress
from pathlib import Path

from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError, DatasetInvalid, OutputUnwritable
from badc_core.file_names import absolute
from badc_core.settings import RecordingSettings

_AUDIO = "audio"
_ENDINGS = {f".{one}" for one in RecordingSettings().extensions}


def has_recordings(path: Path) -> bool:
    """Returns whether a path is a recording, or a folder with some, three folders deep at most."""
    if path.is_file():
        return path.suffix.lower() in _ENDINGS
    files = (one for depth in ("*", "*/*", "*/*/*") for one in path.glob(depth))
    return any(one.suffix.lower() in _ENDINGS for one in files)


def place_linked(path: Path) -> tuple[Path, Path]:
    """Returns the folder of the dataset that `make_linked` makes, and the link in it."""
    whole, here = absolute(path), Path.cwd()
    if path.is_file():
        folder = here / f"{whole.stem}-dataset"
        return folder, folder / _AUDIO / whole.name
    within = here.resolve().is_relative_to(path.resolve())
    folder = (whole.parent if within else here) / f"{whole.name}-dataset"
    return folder, folder / _AUDIO


def find_linked(path: Path) -> Path | None:
    """Returns the dataset that `make_linked` made of a recording or a folder of recordings."""
    folder, link = place_linked(path)
    with suppress(BadcError, OSError):
        Dataset.open(folder)
        if link.samefile(path):
            return folder
    return None


def make_linked(path: Path) -> Path:
    """Returns a new dataset of a recording or a folder of recordings, which stay as they are.

    Raises:
        DatasetInvalid: something else has its name.
        OutputUnwritable: it cannot be made.
    """
    folder, link = place_linked(path)
    if os.path.lexists(folder):
        raise DatasetInvalid("is there already, and is another dataset", folder, "Rename it")
    try:
        link.parent.mkdir(parents=True)
        link.symlink_to(absolute(path), path.is_dir())
    except OSError as error:
        # An empty folder would be taken for another dataset the next time.
        for made in dict.fromkeys((link.parent, folder)):
            with suppress(OSError):
                made.rmdir()
        why = f"cannot be made ({error.strerror})"
        raise OutputUnwritable(why, folder, f"Make another with a link to {path}") from error
    return folder
