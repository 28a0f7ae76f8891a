"""The audio files in a dataset's recordings folders.

No file is opened and no link resolved: a recording is known by its name here. Names are assigned in
`identity.py` and kept in `registry.py`.
"""

import logging
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FoundAudio:
    """An audio file.

    Attributes:
        path: relative to the dataset's root, with forward slashes, letters as on disk.
        size_bytes: of its content; None for a link whose content is not here.
        modified_ns: of its content, since 1970; None for such a link too.
    """

    path: str
    size_bytes: int | None
    modified_ns: int | None


def find_audio(dataset: Dataset) -> list[FoundAudio]:
    """Returns all audio files below the dataset's recordings folders, sorted by path.

    Hidden files are ignored, and so are files without an audio ending, such as an unfinished
    `.part`. Links to folders are followed, but no folder is searched twice; a real folder goes
    before a link to it. Files and folders whose names are not UTF-8 are left out with a warning in
    the log; `find_unnameable` returns them.

    Raises:
        DatasetInvalid: a folder may not be read.
    """
    found: dict[str, FoundAudio] = {}
    left_out: set[str] = set()
    for entry, path in _search(dataset):
        unnameable = _unnameable_part(path)
        if unnameable is None:
            found[path] = _describe_entry(entry, path)
        else:
            left_out.add(unnameable)
    if left_out:
        _log.warning(
            "left out, since the name is not UTF-8: %s (%d in all; `badc scan` lists them)",
            min(left_out),
            len(left_out),
        )
    return [found[path] for path in sorted(found)]


def find_unnameable(dataset: Dataset) -> list[str]:
    r"""Returns the files and folders that `find_audio` leaves out, since a name is not UTF-8.

    Each is the path, relative to the root, of the file or folder to rename, with `\xe9` for an
    invalid byte. A folder is listed once for all the audio in it.

    Raises:
        DatasetInvalid: a folder may not be read.
    """
    parts = {_unnameable_part(path) for _, path in _search(dataset)}
    return sorted(part for part in parts if part is not None)


def _search(dataset: Dataset) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Yields every audio file with its path below the dataset's root."""
    endings = tuple(f".{ending.lower()}" for ending in dataset.settings.recordings.extensions)
    seen: set[tuple[int, int]] = set()
    links: list[tuple[Path, str]] = []
    for folder, name in zip(dataset.audio_roots, dataset.settings.recordings.roots, strict=True):
        if folder.is_dir():
            links.append((folder, PurePosixPath(name).as_posix()))
    while links:
        start, links = sorted(links, key=lambda link: link[1]), []
        for folder, name in start:
            yield from _walk(folder, name, endings, seen, links)


def _walk(
    folder: Path,
    name: str,
    endings: tuple[str, ...],
    seen: set[tuple[int, int]],
    links: list[tuple[Path, str]],
) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Yields the audio below a folder; adds links to folders to `links` for later."""
    pending = [(str(folder), name)]
    while pending:
        place, prefix = pending.pop()
        if not _is_new(place, seen):
            continue
        for entry in _list_folder(place):
            if entry.name.startswith("."):
                continue
            path = f"{prefix}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                pending.append((entry.path, path))
            elif entry.name.lower().endswith(endings):
                if not entry.is_dir():
                    yield entry, path
            elif entry.is_symlink() and entry.is_dir():
                links.append((Path(entry.path), path))


def _is_new(place: str, seen: set[tuple[int, int]]) -> bool:
    status = os.stat(place)  # noqa: PTH116
    identity = (status.st_dev, status.st_ino)
    if identity in seen:
        return False
    seen.add(identity)
    return True


def _list_folder(place: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(place) as entries:
            return list(entries)
    except PermissionError as error:
        raise DatasetInvalid(
            "no permission to list this folder", place, f"Run: chmod u+rx {shlex.quote(place)}"
        ) from error


def _describe_entry(entry: os.DirEntry[str], path: str) -> FoundAudio:
    try:
        status = entry.stat()
    except OSError:
        # A link without content is a recording whose content is elsewhere.
        return FoundAudio(path, None, None)
    return FoundAudio(path, status.st_size, status.st_mtime_ns)


def _unnameable_part(path: str) -> str | None:
    """Returns a path as far as its first name that is not UTF-8, escaped; None without one."""
    if path.isascii():
        return None
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as error:
        end = path.find("/", error.start)
        part = path if end < 0 else path[:end]
        return os.fsencode(part).decode("utf-8", "backslashreplace")
    return None
