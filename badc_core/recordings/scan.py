"""Which audio files lie in a dataset's recordings folders right now.

Nothing is opened and no link is resolved: a recording is known by the name it has here. Giving
names is in `identity.py`, remembering them in `registry.py`.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from badc_core.dataset import Dataset
from badc_core.errors import DatasetInvalid


@dataclass(frozen=True, slots=True)
class FoundAudio:
    """An audio file.

    Attributes:
        path: relative to the dataset's root, with forward slashes, letters as on disk.
        size_bytes: of its content; None for a link whose content is not here.
        modified_ns: of its content, since 1970; None likewise.
    """

    path: str
    size_bytes: int | None
    modified_ns: int | None


def find_audio(dataset: Dataset) -> list[FoundAudio]:
    """Returns all audio files below the dataset's recordings folders, sorted by path.

    Hidden files are passed over, and so is whatever has no audio ending, such as an unfinished
    `.part`. Links to folders are followed, but no folder is searched twice; a real folder goes
    before a link to it.

    Raises:
        DatasetInvalid: a folder may not be read, or a file name is not UTF-8.
    """
    endings = tuple(f".{ending.lower()}" for ending in dataset.settings.recordings.extensions)
    found: dict[str, FoundAudio] = {}
    seen: set[tuple[int, int]] = set()
    links: list[tuple[Path, str]] = []
    for folder, name in zip(dataset.audio_roots, dataset.settings.recordings.roots, strict=True):
        if folder.is_dir():
            links.append((folder, PurePosixPath(name).as_posix()))
    while links:
        start, links = sorted(links, key=lambda link: link[1]), []
        for folder, name in start:
            for audio in _walk(folder, name, endings, seen, links):
                found[audio.path] = audio
    return [found[path] for path in sorted(found)]


def _walk(
    folder: Path,
    name: str,
    endings: tuple[str, ...],
    seen: set[tuple[int, int]],
    links: list[tuple[Path, str]],
) -> Iterator[FoundAudio]:
    """Yields what lies below a folder; adds links to folders to `links` for later."""
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
                    yield _describe_entry(entry, path)
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
            "no permission to list this folder", place, f"Run: chmod u+rx '{place}'"
        ) from error


def _describe_entry(entry: os.DirEntry[str], path: str) -> FoundAudio:
    if not path.isascii():
        _require_utf8(path)
    try:
        status = entry.stat()
    except OSError:
        # A link without content is a known recording whose content is elsewhere.
        return FoundAudio(path, None, None)
    return FoundAudio(path, status.st_size, status.st_mtime_ns)


def _require_utf8(path: str) -> None:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as error:
        shown = path.encode("utf-8", "backslashreplace").decode("ascii", "replace")
        raise DatasetInvalid("its name is not UTF-8", shown, "Rename it, e.g. convmv") from error
