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

_kept: dict[Path, tuple[tuple[int, int], frozenset[str]]] = {}
_kept_together: dict[tuple[Path, ...], tuple[list[frozenset[str]], frozenset[str]]] = {}


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
    examples = {path for place in places for path in place}
    times = {folder: _folder_time(folder) for folder in {path.parent for path in examples}}
    found = {
        path: known[1]
        for path in examples
        if (known := _kept.get(path)) is not None and known[0] == times[path.parent]
    }
    new = _list_names(examples - found.keys(), see)
    for path, recordings in new.items():
        _keep(path, times[path.parent], recordings)
    found |= new
    return [_together(place, [found[path] for path in place]) for place in places]


def forget_listings() -> None:
    """Has all folders be listed again."""
    _kept.clear()
    _kept_together.clear()


def _together(place: tuple[Path, ...], each: list[frozenset[str]]) -> frozenset[str]:
    """Returns the recordings that are in each set; the same object for the same sets."""
    known = _kept_together.get(place)
    if known is None or any(one is not other for one, other in zip(each, known[0], strict=True)):
        known = _kept_together[place] = each, frozenset.intersection(*each)
    return known[1]


def _keep(path: Path, changed: tuple[int, int], recordings: frozenset[str]) -> None:
    if 0 < changed[1] < time.time_ns() - _SETTLED_AFTER_NS:
        _kept[path] = changed, recordings
    else:
        _kept.pop(path, None)


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
