"""The audio files in a dataset's recordings folders.

No recording is read: it is known by its name here. Names are assigned in `identity.py` and
kept in `registry.py`.
"""

import logging
import os
import re
import shlex
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from badc_core.annexed_files import lacks_content
from badc_core.audio.ffmpeg import find_ffmpeg
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.provenance.annex import find_repository
from badc_core.settings import FFMPEG_ENDINGS

_log = logging.getLogger(__name__)

# Bins and folders that systems and network storage make; in lower case. Hidden ones are no audio.
_SYSTEM_FOLDERS = frozenset(
    {"$recycle.bin", "recycler", "recycled", "#recycle", "@recycle", "@eadir", "#snapshot"}
    | {"system volume information", "lost+found", "__macosx", "lost.dir"}
    | {f"found.{number:03}" for number in range(10)}
)
# Recordings that only another program reads, and what to do with them.
_OTHER_AUDIO = {
    **dict.fromkeys(FFMPEG_ENDINGS, "need ffmpeg: pip install 'badc[ffmpeg]'"),
    "wac": "convert to WAV with Kaleidoscope or wac2wav",
    **dict.fromkeys(("w4v", "zc"), "convert to WAV with Kaleidoscope"),
    **dict.fromkeys(("dsf", "dff", "shn", "ra", "avi", "mp2"), "convert to WAV or FLAC"),
}
_FFMPEG_ENDINGS = tuple(f".{ending}" for ending in FFMPEG_ENDINGS)
_MOST_TOLD = 10
_SIDECARS = frozenset(
    re.findall(
        r"\w+",
        "txt csv tsv json xml log jpg jpeg png gif pdf md html htm ini cfg conf yaml yml toml db"
        " gpx kml kmz xlsx xls ods docx doc zip gz 7z tar sha1 sha256 md5 lnk bak tmp part"
        " crdownload selections parquet duckdb sqlite summary bin hex bat sh py r",
    )
)


class FoundAudio(NamedTuple):
    """An audio file.

    Attributes:
        path: relative to the dataset's root, with forward slashes, letters as on disk.
        size_bytes: of its content; None for an annexed file whose content is not here.
        modified_ns: of its content, since 1970; None for such a file too.
    """

    path: str
    size_bytes: int | None
    modified_ns: int | None


@dataclass
class Listing:
    r"""What the recordings folders hold.

    Attributes:
        audio: path -> audio file.
        unnameable: files and folders left out since a name is not UTF-8: the path of the one to
            rename, with `\xe9` for an invalid byte; a folder once for all the audio in it.
        unusable: path -> why a file with an audio ending is left out: it is not a regular file, or
            a link that leads nowhere.
        closed: path -> why a folder could not be listed, and what to do.
        passed_over: ending -> how many files of other endings there are, without sidecars.
    """

    audio: dict[str, FoundAudio] = field(default_factory=dict)
    unnameable: set[str] = field(default_factory=set)
    unusable: dict[str, str] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)
    passed_over: Counter[str] = field(default_factory=Counter)

    @property
    def recordings(self) -> list[FoundAudio]:
        """The audio files, sorted by path."""
        return [self.audio[path] for path in sorted(self.audio)]

    def explain_passed_over(self) -> str:
        """Returns a sentence on files of other endings; nothing if there are none."""
        if not self.passed_over:
            return ""
        counts = sorted(self.passed_over.items(), key=lambda one: (-one[1], one[0]))
        hints = {ending: f" ({hint})" for ending, hint in _OTHER_AUDIO.items()}
        return "Passed over: " + ", ".join(
            f"{count} .{ending}{hints.get(ending, '')}" for ending, count in counts
        )


def find_audio(dataset: Dataset) -> list[FoundAudio]:
    """Returns all audio files below the dataset's recordings folders, sorted by path.

    Hidden files, bins and systems' own folders are ignored, and so are files without an audio
    ending, such as an unfinished `.part`. Links to folders are followed, but no folder is searched
    twice; a real folder goes before a link to it. What is left out although it may be audio is a
    warning in the log.
    """
    listing = list_folders(dataset)
    warn_of_left_out(listing)
    return listing.recordings


def require_recordings(dataset: Dataset) -> None:
    """Returns if there are recordings in a dataset.

    Raises:
        DatasetInvalid: there are none.
    """
    if (listing := list_folders(dataset)).audio:
        return
    passed_over = listing.explain_passed_over()
    raise DatasetInvalid(
        f"no recordings in its folder {', '.join(dataset.settings.recordings.roots)}"
        + (f" ({passed_over})" if passed_over else ""),
        dataset.root,
        "Copy some there, or correct the path; it was not added to the asset graph",
    )


def warn_of_left_out(listing: Listing) -> None:
    """Says in the log what is left out although it may be audio."""
    if listing.unnameable:
        _log.warning(
            "left out, since the name is not UTF-8: %s (%d in all; `badc scan` lists them)",
            min(listing.unnameable),
            len(listing.unnameable),
        )
    for what, left_out in (("file", listing.unusable), ("folder", listing.closed)):
        for path, why in sorted(left_out.items())[:_MOST_TOLD]:
            _log.warning("%s left out: %s: %s", what, path, why)
        if len(left_out) > _MOST_TOLD:
            _log.warning("and %d more such %ss", len(left_out) - _MOST_TOLD, what)


def list_folders(dataset: Dataset) -> Listing:
    """Returns what the dataset's recordings folders hold."""
    endings = tuple(f".{ending.lower()}" for ending in dataset.settings.recordings.extensions)
    # Only there a file may be the pointer to its content; to look costs an open file each.
    in_repository = any(find_repository(folder) for folder in dataset.audio_roots)
    search = _Search(endings, in_repository)
    links: list[tuple[Path, str]] = []
    for folder, name in zip(dataset.audio_roots, dataset.settings.recordings.roots, strict=True):
        if folder.is_dir():
            links.append((folder, PurePosixPath(name).as_posix()))
    while links:
        start, links = sorted(links, key=lambda link: link[1]), []
        for folder, name in start:
            search.walk(folder, name)
        links, search.links = search.links, []
    return search.listing


class _Search:
    """A walk through folders; links to folders are kept for later."""

    def __init__(self, endings: tuple[str, ...], in_repository: bool) -> None:
        self.listing = Listing()
        self.links: list[tuple[Path, str]] = []
        self._endings = endings
        self._in_repository = in_repository
        self._seen: set[tuple[int, int]] = set()

    def walk(self, start: Path, root: str) -> None:
        pending = [(str(start), root)]
        while pending:
            place, prefix = pending.pop()
            for entry in self._list_folder(place, prefix):
                path, name = f"{prefix}/{entry.name}", entry.name.lower()
                if name.startswith("."):
                    continue
                if _is_folder(entry, follow=False):
                    if name not in _SYSTEM_FOLDERS:
                        pending.append((entry.path, path))
                elif name.endswith(self._endings):
                    lacks_ffmpeg = name.endswith(_FFMPEG_ENDINGS) and find_ffmpeg() is None
                    take = self._pass_over if lacks_ffmpeg else self._take
                    take(entry, path)
                elif entry.is_symlink() and _is_folder(entry, follow=True):
                    self.links.append((Path(entry.path), path))
                else:
                    self._pass_over(entry, path)

    def _list_folder(self, place: str, path: str) -> list[os.DirEntry[str]]:
        try:
            status = os.stat(place)  # noqa: PTH116
            if (status.st_dev, status.st_ino) in self._seen:
                return []
            self._seen.add((status.st_dev, status.st_ino))
            with os.scandir(place) as entries:
                return list(entries)
        except FileNotFoundError:
            return []  # gone since its name was read
        except PermissionError:
            run = f"chmod u+rx {shlex.quote(place)}"
            self.listing.closed[path] = f"no permission to list it. Run: {run}"
        except OSError as error:
            self.listing.closed[path] = f"cannot be listed ({error.strerror}). Check its disk"
        return []

    def _take(self, entry: os.DirEntry[str], path: str) -> None:
        if (unnameable := _unnameable_part(path)) is not None:
            if not _is_folder(entry, follow=True):
                self.listing.unnameable.add(unnameable)
            return
        try:
            status = entry.stat()
        except OSError as error:
            self._take_without_content(entry, path, error)
            return
        if self._in_repository and lacks_content(Path(entry.path)):
            self.listing.audio[path] = FoundAudio(path, None, None)
        elif stat.S_ISREG(status.st_mode):
            self.listing.audio[path] = FoundAudio(path, status.st_size, status.st_mtime_ns)
        elif not stat.S_ISDIR(status.st_mode):
            self.listing.unusable[path] = "it is not a regular file. Remove or rename it"

    def _take_without_content(self, entry: os.DirEntry[str], path: str, error: OSError) -> None:
        """Takes an annexed link, whose content is elsewhere; a file that has just gone is none."""
        if isinstance(error, PermissionError):
            self.listing.audio[path] = FoundAudio(path, None, None)
        elif entry.is_symlink():
            if "/annex/objects/" in os.path.realpath(entry.path):
                self.listing.audio[path] = FoundAudio(path, None, None)
            else:
                self.listing.unusable[path] = f"the link leads nowhere ({error.strerror})"

    def _pass_over(self, entry: os.DirEntry[str], path: str) -> None:
        name = entry.name
        ending = name.rpartition(".")[2].lower() if "." in name else ""
        if not ending and entry.is_symlink() and not os.path.exists(entry.path):  # noqa: PTH110
            self.listing.closed[path] = "the link leads nowhere. Is its disk there?"
        if ending.isascii() and ending.isalnum() and ending not in _SIDECARS:
            self.listing.passed_over[ending] += 1


def _is_folder(entry: os.DirEntry[str], *, follow: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow)
    except OSError:
        return False  # such as a link to itself


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
