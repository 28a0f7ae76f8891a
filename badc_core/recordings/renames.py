"""Which files are known recordings under another name: pure functions on paths and contents.

A name in the file system is not what a recording is: folders are renamed, cards are sorted, names
are exchanged. What stays is the content. How it is compared is in `hashing.py`.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping


def match_renames(
    displaced: Mapping[str, Hashable], arrived: Mapping[str, Hashable], owned: Iterable[str] = ()
) -> dict[str, str]:
    """Returns former path -> path now, for recordings whose content is found under another path.

    Where several have equal content, paths that end alike belong together, and then the first to
    the first: what was found in equal sound is equal. No path is given twice.

    Args:
        displaced: path of each recording whose content is no longer there -> that content.
        arrived: path whose content is new there -> that content.
        owned: those of `arrived` that are the path of a recording with another content: they can
            be taken only if that recording moves too, as when names are exchanged.
    """
    theirs = set(owned)
    free = {path: content for path, content in arrived.items() if path not in theirs}
    moved = _match(displaced, free)
    left = {path: content for path, content in displaced.items() if path not in moved}
    moved |= _match(left, {path: arrived[path] for path in theirs if path in arrived})
    while stuck := [old for old, new in moved.items() if new in theirs and new not in moved]:
        for old in stuck:
            del moved[old]
    return moved


def _match(old: Mapping[str, Hashable], new: Mapping[str, Hashable]) -> dict[str, str]:
    arrived = _by_content(new)
    moved: dict[str, str] = {}
    for content, paths in _by_content(old).items():
        if content in arrived:
            moved |= _pair(paths, arrived[content])
    return moved


def _by_content(paths: Mapping[str, Hashable]) -> dict[Hashable, list[str]]:
    groups: dict[Hashable, list[str]] = defaultdict(list)
    for path in sorted(paths):
        groups[paths[path]].append(path)
    return groups


def _pair(old: list[str], new: list[str]) -> dict[str, str]:
    """Pairs sorted paths of one content: those with the most folders in common at the end first."""
    moved: dict[str, str] = {}
    for n_parts in range(max(path.count("/") for path in old) + 1, 0, -1):
        endings = {_ending(path, n_parts): path for path in reversed(new)}
        for path in [one for one in old if one not in moved]:
            if (found := endings.pop(_ending(path, n_parts), None)) is not None:
                moved[path] = found
        taken = set(moved.values())
        new = [path for path in new if path not in taken]
    return moved | dict(zip((one for one in old if one not in moved), new, strict=False))


def _ending(path: str, n_parts: int) -> tuple[str, ...]:
    return tuple(path.split("/")[-n_parts:])
