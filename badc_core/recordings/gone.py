"""Paths at which there is nothing any more, as against what is only out of reach.

Which recordings these are is said in `missing.py`.
"""

import os
import unicodedata
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.recordings.scan import find_audio


def find_gone(dataset: Dataset, paths: Iterable[str], listed: Collection[str] = ()) -> set[str]:
    """Returns the paths at which there is nothing any more, neither a file nor a link.

    What cannot be looked for, in a folder without permission or behind a link to a disk that is
    not mounted, is not gone.

    Args:
        dataset: that they are in.
        paths: relative to its root.
        listed: other paths, as their folders spell them. Where upper and lower case are one, a
            path that leads to one of these is an older spelling, and gone.
    """
    lost = _LostFolders(dataset.root)
    gone: set[str] = set()
    there: list[str] = []
    for path in paths:
        if not _is_nothing(f"{dataset.root}/{path}"):
            there.append(path)
        elif not lost.hide(path):
            gone.add(path)
    return gone | _respelled(dataset.root, there, listed)


def _respelled(root: Path, paths: Collection[str], listed: Collection[str]) -> set[str]:
    """Returns the paths that lead to a listed file that is spelt in another way."""
    spelt = {_without_case(path): path for path in listed} if paths else {}
    found: set[str] = set()
    for path in paths:
        other = spelt.get(_without_case(path))
        if other is not None:
            with suppress(OSError):
                if os.path.samestat(os.lstat(root / path), os.lstat(root / other)):
                    found.add(path)
    return found


def _without_case(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def require_some_left(dataset: Dataset, known: Collection[str], gone: set[str]) -> None:
    """Returns if no recordings folder is empty that was not, as that of an unmounted disk is.

    Raises:
        DatasetInvalid: one is.
    """
    here = [audio.path for audio in find_audio(dataset)] if gone else []
    for root in dataset.settings.recordings.roots:
        start = f"{PurePosixPath(root).as_posix()}/"
        own = [path for path in known if path.startswith(start)]
        if own and gone.issuperset(own) and not any(path.startswith(start) for path in here):
            raise DatasetInvalid(
                f"all of its {len(own)} recordings are missing, so none is forgotten",
                dataset.root / root,
                "If they are on a disk, mount it",
            )


class _LostFolders:
    """Which folders are links that lead nowhere; each is looked at once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, bool] = {"": False}

    def hide(self, path: str) -> bool:
        """Whether a path is behind such a link."""
        folder = path.rpartition("/")[0]
        if folder not in self._known:
            place = self._root / folder
            leads_nowhere = place.is_symlink() and not place.exists()
            self._known[folder] = leads_nowhere or self.hide(folder)
        return self._known[folder]


def _is_nothing(place: str) -> bool:
    try:
        os.lstat(place)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
