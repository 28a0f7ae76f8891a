"""Whether the folder that a crate is to replace holds anything but an older crate.

What is in a crate is decided in `crate.py`.
"""

import os
from pathlib import Path
from urllib.parse import unquote

from badc_core.errors import OutputUnwritable
from badc_core.file_names import absolute
from badc_core.json_texts import parse_object

_METADATA = "ro-crate-metadata.json"
_OF_BADC = "#badc"
"""Only crates of BADC have an entity of this name."""

_NEW_FOLDER = "Give a new folder"


def place_crate(folder: Path) -> Path:
    """Returns the absolute path of a folder: not there, empty, or a crate of BADC and nothing more.

    Raises:
        OutputUnwritable: something in it is not a crate's.
    """
    # A folder typed as `.` or `..` has no name that could be replaced.
    place = absolute(folder)
    if not os.path.lexists(place):
        return place
    if not folder.is_dir():
        raise OutputUnwritable("is there already, and no folder", folder, _NEW_FOLDER)
    found = {one.relative_to(folder).as_posix() for one in folder.rglob("*") if not one.is_dir()}
    foreign = sorted(found - _read_names(folder / _METADATA))
    if foreign:
        what = f"would be replaced, but {foreign[0]} in it is not of a crate that BADC wrote"
        raise OutputUnwritable(what, folder, _NEW_FOLDER)
    return place


def _read_names(metadata: Path) -> set[str]:
    """Returns which files a crate of BADC says it has; none where there is no such crate."""
    try:
        graph = parse_object(metadata.read_text(encoding="utf-8"))["@graph"]
        names = {unquote(one["@id"]) for one in graph}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {*names, _METADATA} if _OF_BADC in names else set()
