"""Where the paths lead that are written in manifests, plans and run-config files.

The original BADC wrote them from the folder that it was started in (`data/datalad/bogus/...`).
Datasets have been moved and cloned under other names since.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from badc_core.file_names import absolute

_IN_DATASETS = ("audio", "manifests", "artifacts")
"""Folders that every dataset of the original has at its root."""


def locate(path: str | Path, roots: Sequence[Path]) -> Path:
    """Returns an absolute path; a link whose content is elsewhere exists too.

    A relative path begins at the first of these below which it exists: the roots; the current
    folder, as in the original BADC; a root, or a folder around the last of them, whose name is in
    the path, which then begins behind that name; a root, where the path goes on with a folder that
    every dataset has. Where it exists nowhere it begins at the first root.

    Args:
        path: as written.
        roots: where such paths begin, the best first.
    """
    found = next(filter(_exists, _candidates(Path(path), roots)), roots[0] / path)
    return absolute(found)


@dataclass(frozen=True)
class Anchor:
    """Where the relative paths of one file begin, all of them alike.

    Attributes:
        folder: there.
        prefix: folders that paths begin with and that are left out.
    """

    folder: Path
    prefix: tuple[str, ...] = ()

    @classmethod
    def find(cls, example: Path, folder: Path) -> Self:
        """Returns the anchor under which a path exists; `folder` alone if there is none.

        Args:
            example: a path of the file, of something that should be there.
            folder: the file's, absolute; paths begin there, or else at the current one, or behind
                the name of a folder around one of them.
        """
        here = Path.cwd()
        anchors = [cls(folder), cls(here)]
        for one in (folder, *folder.parents, here, *here.parents):
            if one.name in example.parts:
                prefix = example.parts[: example.parts.index(one.name) + 1]
                anchors.append(cls(one, prefix))
        return next((one for one in anchors if _exists(one.place(example))), cls(folder))

    def place(self, path: Path) -> Path:
        """Returns a path of the file, absolute."""
        n_before = len(self.prefix)
        if self.prefix and path.parts[:n_before] == self.prefix:
            path = Path(*path.parts[n_before:])
        return absolute(self.folder / path)


def _candidates(path: Path, roots: Sequence[Path]) -> Iterator[Path]:
    yield from (root / path for root in (*roots, Path()))
    parts = path.parts
    for folder in (*roots, *roots[-1].absolute().parents):
        if folder.name in parts:
            yield folder.joinpath(*parts[parts.index(folder.name) + 1 :])
    for number, name in enumerate(parts):
        if number and name in _IN_DATASETS:
            yield from (root.joinpath(*parts[number:]) for root in roots)


def _exists(path: Path) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:  # a zero byte, which the row is refused for
        return False
