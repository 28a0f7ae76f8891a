"""Names for recordings: short, unique, permanent, safe as file names and partition keys.

Pure functions on paths. Assigned names are kept in `registry.py`.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

MAX_ID_LENGTH = 180

_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]")
_HASH_LENGTH = 8


def below_root(path: str, roots: Sequence[str]) -> str:
    """Returns a path relative to the recordings folder it is in (the deepest that fits)."""
    prefixes = (f"{PurePosixPath(root).as_posix()}/" for root in roots)
    fitting = (prefix for prefix in prefixes if path.startswith(prefix))
    return path.removeprefix(max(fitting, key=len, default=""))


def assign_ids(
    new_paths: Iterable[str], taken: Mapping[str, str], roots: Sequence[str] = ("audio",)
) -> dict[str, str]:
    """Returns a recording_id for each new path.

    It is the stem if no other file has it; else the nearest parent folders and the stem, with as
    few folders as make it unique; else that and a hash of the path. Upper and lower case count as
    equal, since they are on some file systems.

    Args:
        new_paths: files without a name, relative to the dataset's root.
        taken: recording_id -> path of every name ever assigned; none of them is changed.
        roots: the dataset's recordings folders.

    Returns:
        path -> recording_id, in the order of the sorted paths.
    """
    wanted = sorted(set(new_paths) - set(taken.values()))
    if not wanted:
        return {}
    shorts = {path: below_root(path, roots) for path in [*taken.values(), *wanted]}
    rivals = _group_by_stem(shorts.values())
    used = {recording_id.lower() for recording_id in taken}
    assigned: dict[str, str] = {}
    for path in wanted:
        short = shorts[path]
        assigned[path] = _choose(path, short, rivals[_stem(short).lower()], used)
        used.add(assigned[path].lower())
    return assigned


class _Rivals:
    """The files with one stem, and how many of them share a slug; counted once per length."""

    def __init__(self) -> None:
        self.shorts: list[str] = []
        self._counts: dict[int, Counter[str]] = {}

    def share(self, slug: str, n_parents: int) -> int:
        """Returns how many files have this slug, upper and lower case being equal."""
        if n_parents not in self._counts:
            slugs = (_slug(short, n_parents).lower() for short in self.shorts)
            self._counts[n_parents] = Counter(slugs)
        return self._counts[n_parents][slug.lower()]


def _group_by_stem(shorts: Iterable[str]) -> dict[str, _Rivals]:
    groups: dict[str, _Rivals] = {}
    for short in shorts:
        groups.setdefault(_stem(short).lower(), _Rivals()).shorts.append(short)
    return groups


def _choose(path: str, short: str, rivals: _Rivals, used: set[str]) -> str:
    """Returns the first name that no other path has: slugs from short to long, then hashes."""
    depth = short.count("/")
    for n_parents in range(depth + 1):
        slug = _slug(short, n_parents)
        if rivals.share(slug, n_parents) > 1:
            continue
        recording_id = _make_safe(slug, path)
        if recording_id.lower() not in used:
            return recording_id
    slug = _slug(short, depth)
    attempt = 0
    while (recording_id := _with_hash(slug, path, attempt)).lower() in used:
        attempt += 1
    return recording_id


def _stem(short: str) -> str:
    name = unicodedata.normalize("NFC", short.rpartition("/")[2])
    dot = name.rfind(".")
    return name[:dot] if 0 < dot < len(name) - 1 else name


def _slug(short: str, n_parents: int) -> str:
    """Joins the nearest parent folders and the stem."""
    parents = unicodedata.normalize("NFC", short).split("/")[:-1]
    return "__".join([*parents[max(0, len(parents) - n_parents) :], _stem(short)])


def _make_safe(slug: str, path: str) -> str:
    """Returns the slug itself if all its letters are allowed, else a safe one with a hash."""
    is_safe = not _UNSAFE.search(slug) and slug[:1] not in {"", ".", "-"}
    return slug if is_safe and len(slug) <= MAX_ID_LENGTH else _with_hash(slug, path, 0)


def _with_hash(slug: str, path: str, attempt: int) -> str:
    """Appends 8 hex digits of the path; a later attempt gives other digits."""
    text = unicodedata.normalize("NFC", path) + (f"\0{path}\0{attempt}" if attempt else "")
    digest = hashlib.sha1(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
    safe = _UNSAFE.sub("_", slug)[: MAX_ID_LENGTH - _HASH_LENGTH - 1]
    if safe[:1] in {"", ".", "-"}:
        safe = f"_{safe[1:]}"
    return f"{safe}-{digest[:_HASH_LENGTH]}"
