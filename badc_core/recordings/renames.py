"""Which files are known recordings under another name, by their paths and contents.

A name in the file system is not what a recording is: folders are renamed, cards are sorted, names
are exchanged. What stays is the content. How it is compared is in `hashing.py`.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import Protocol


class KnownFile(Protocol):
    """What was or is at a path; a row of the registry will do."""

    @property
    def size_bytes(self) -> int | None:
        """Of the content; None if it is not known."""

    @property
    def fingerprint(self) -> str | None:
        """Of the content; None if it could not be read."""


def find_renamed(
    before: Mapping[str, KnownFile],
    now: Mapping[str, KnownFile],
    gone: Collection[str],
    older_fingerprint: Callable[[str], str | None] = lambda _: None,
) -> dict[str, str]:
    """Returns former path -> path now, for recordings whose content is found under another path.

    Args:
        before: path -> what was there.
        now: path -> what is there; not of files that were not looked at.
        gone: paths at which there is nothing any more.
        older_fingerprint: returns the fingerprint of a path's content by which it may be known
            from earlier settings; None if there is no such.
    """
    displaced = {
        path: (known.size_bytes, known.fingerprint)
        for path, known in before.items()
        if known.size_bytes and known.fingerprint
        if path in gone or _is_other(known, now.get(path))
    }
    if not displaced:
        return {}
    contents = set(displaced.values())
    arrived: dict[str, Hashable] = {}
    owned: set[str] = set()
    for path, found in now.items():
        is_read = path in before and before[path].fingerprint is not None
        if found.fingerprint is None or (is_read and path not in displaced):
            continue
        content = found.size_bytes, found.fingerprint
        if content not in contents:
            content = found.size_bytes, older_fingerprint(path) or found.fingerprint
        arrived[path] = content
        owned.update([path] if is_read else [])
    return match_renames(displaced, arrived, owned)


def _is_other(known: KnownFile, now: KnownFile | None) -> bool:
    """Whether a path has another content than it had; not where that cannot be read."""
    return now is not None and now.fingerprint not in {None, known.fingerprint}


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
    if len(old) == len(new) == 1:
        return {old[0]: new[0]}
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
