"""Which recordings have their files in folders, whose entries are read again only after a change.

A folder has a new time whenever a name comes or goes. The sensor looks at folders of 100,000 names
every half minute, and lists only those that changed.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path

_SETTLED_AFTER_NS = 2_000_000_000
"""The clock of a file system may be coarse: a folder that changed a moment ago may change again
without a new time."""

_Times = tuple[tuple[int, int], ...]
_listed: dict[tuple[Path, ...], tuple[_Times, frozenset[str]]] = {}


def list_like(examples: Sequence[Path]) -> frozenset[str]:
    """Returns the recordings that have all files like these of recording `x`, or links."""
    place = tuple(examples)
    times = tuple(_folder_time(one.parent) for one in place)
    known = _listed.get(place)
    if known is not None and known[0] == times:
        return known[1]
    made = frozenset.intersection(*map(_list_names, place))
    now_ns = time.time_ns()
    if all(0 < changed_ns < now_ns - _SETTLED_AFTER_NS for _, changed_ns in times):
        _listed[place] = times, made
    else:
        _listed.pop(place, None)
    return made


def forget_listings() -> None:
    """Has all folders be listed again."""
    _listed.clear()


def _folder_time(folder: Path) -> tuple[int, int]:
    """Returns which folder it is, and when a name came or went; zeros where there is none."""
    try:
        status = folder.stat()
    except OSError:
        return 0, 0
    return status.st_ino, status.st_mtime_ns


def _list_names(example: Path) -> frozenset[str]:
    suffix = example.name.removeprefix("x")
    try:
        names = os.listdir(example.parent)  # noqa: PTH208  (half the time of iterdir)
    except FileNotFoundError:
        return frozenset()
    return frozenset(name.removesuffix(suffix) for name in names if name.endswith(suffix))
