"""Which recordings have their files in folders, whose entries are read again only after a change.

A folder has a new time whenever a name comes or goes. The sensor looks at folders of 100,000 names
every half minute, and lists only those that changed.
"""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

_SETTLED_AFTER_NS = 2_000_000_000
"""The clock of a file system may be coarse: a folder that changed a moment ago may change again
without a new time."""

_Times = tuple[tuple[int, int], ...]
_kept: dict[tuple[Path, ...], tuple[_Times, frozenset[str]]] = {}


def _see_nothing(_folder: Path, _names: Sequence[str]) -> None:
    """Does nothing."""


def list_like(examples: Sequence[Path]) -> frozenset[str]:
    """Returns the recordings that have all files like these of recording `x`, or links."""
    return list_each([examples])[0]


def list_each(
    groups: Iterable[Sequence[Path]],
    see: Callable[[Path, Sequence[str]], None] = _see_nothing,
) -> list[frozenset[str]]:
    """Returns the recordings that have all files of a group, for each group.

    A folder that several groups are in is listed once: it may have a million names.

    Args:
        groups: files of recording `x`.
        see: called with a folder and its names where it is really listed.
    """
    places = [tuple(one) for one in groups]
    times = {one: tuple(_folder_time(path.parent) for path in one) for one in places}
    found = {one: made for one in places if (made := _recall(one, times[one])) is not None}
    new = times.keys() - found.keys()
    names = _list_names({path for one in new for path in one}, see)
    for one in new:
        found[one] = frozenset.intersection(*(names[path] for path in one))
        _keep(one, times[one], found[one])
    return [found[one] for one in places]


def forget_listings() -> None:
    """Has all folders be listed again."""
    _kept.clear()


def _recall(place: tuple[Path, ...], times: _Times) -> frozenset[str] | None:
    known = _kept.get(place)
    return known[1] if known is not None and known[0] == times else None


def _keep(place: tuple[Path, ...], times: _Times, made: frozenset[str]) -> None:
    now_ns = time.time_ns()
    if all(0 < changed_ns < now_ns - _SETTLED_AFTER_NS for _, changed_ns in times):
        _kept[place] = times, made
    else:
        _kept.pop(place, None)


def _folder_time(folder: Path) -> tuple[int, int]:
    """Returns which folder it is, and when a name came or went; zeros where there is none."""
    try:
        status = folder.stat()
    except OSError:
        return 0, 0
    return status.st_ino, status.st_mtime_ns


def _list_names(
    examples: Iterable[Path], see: Callable[[Path, Sequence[str]], None]
) -> Mapping[Path, frozenset[str]]:
    """Returns the recordings that have a file like an example, for each example."""
    together: dict[Path, list[Path]] = defaultdict(list)
    for one in examples:
        together[one.parent].append(one)
    found: dict[Path, frozenset[str]] = {}
    for folder, inside in together.items():
        names = _list_folder(folder)
        see(folder, names)
        for one in inside:
            suffix = one.name.removeprefix("x")
            found[one] = frozenset(
                [name.removesuffix(suffix) for name in names if name.endswith(suffix)]
            )
    return found


def _list_folder(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208  (half the time of iterdir)
    except FileNotFoundError:
        return []
