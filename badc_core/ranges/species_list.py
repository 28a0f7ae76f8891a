"""A list of the species that can be there, in the formats that people have.

Lines of a text file: `Scientific name_Common name` as BirdNET has it, or one name each, common or
scientific. A table with a header, such as a checklist from eBird: its columns of names and codes.
Lines that begin with `#` do not count.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from badc_core.annexed_files import require_fetched
from badc_core.detectors.interface import Label
from badc_core.errors import ConfigInvalid
from badc_core.label_tables import (
    NAME_COLUMNS,
    column_names,
    find_delimiter,
    read_saved_text,
)

_GROUP = re.compile(r"\s*\([^)]*\)$")
"""As eBird adds to a name: `Yellow-rumped Warbler (Myrtle)`."""

_KIND = "list of species"
_SHOWN = 3
_REMEDY = "Write one species a line, by its common or scientific name, or both as Name_Name"


def require_list(path: Path) -> Path:
    """Returns the path of a list of species that is there; raises ConfigInvalid."""
    require_fetched(path)
    if not path.is_file():
        raise ConfigInvalid(f"there is no such {_KIND}", path, "Correct its path")
    return path


class ListedSpecies:
    """Names of species.

    Args:
        path: of the file.
        entries: what each entry is called, in one or more ways.
    """

    def __init__(self, path: Path, entries: Sequence[tuple[str, ...]]) -> None:
        self._path = path
        self._entries = entries
        self._names = {_folded(name) for names in entries for name in names}

    @classmethod
    def read(cls, path: Path) -> Self:
        """Returns the list in a file.

        Raises:
            ConfigInvalid: it is not there, is not text, or names nothing.
            ContentMissing: it is annexed, and its content is not here.
        """
        lines = [one for one in read_saved_text(path, _KIND).splitlines() if _counts(one)]
        entries = [one for one in _entries(lines) if one]
        if not entries:
            raise ConfigInvalid("it names no species", path, _REMEDY)
        return cls(path, entries)

    def expects(self, label: Label) -> bool | None:
        """Returns whether a label is in the list; None for a sound of no species that is not."""
        if any(_folded(name) in self._names for name in label.names):
            return True
        return False if label.scientific_name else None

    def compare(self, labels: Sequence[Label], detector: str) -> str:
        """Returns in words which of the species a detector does not know; empty: it knows all.

        Raises:
            ConfigInvalid: it names none of them.
        """
        known = {_folded(name) for label in labels for name in label.names}
        unknown = [one for one in self._entries if not known.intersection(map(_folded, one))]
        if not unknown:
            return ""
        examples = ", ".join(one[0] for one in unknown[:_SHOWN])
        if len(unknown) == len(self._entries):
            what = f"{detector} knows none of its species, such as {examples}"
            raise ConfigInvalid(what, self._path, _REMEDY)
        n_unknown = f"{len(unknown)} of its {len(self._entries)} species"
        return f"{self._path}: {detector} does not know {n_unknown}, such as {examples}"


def _counts(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _entries(lines: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yields what each line calls its species."""
    delimiter = find_delimiter(lines[0]) if lines else ","
    rows = list(csv.reader(lines, delimiter=delimiter))
    header = column_names(rows[0]) if rows else []
    wanted = [number for number, name in enumerate(header) if name in NAME_COLUMNS]
    if wanted:
        for row in rows[1:]:
            yield _names(row[number] for number in wanted if number < len(row))
        return
    for row in rows:
        yield _names(part for cell in row for part in cell.split("_"))


def _names(cells: Iterator[str]) -> tuple[str, ...]:
    """Returns different names of one species, those with an addition without it too."""
    found: dict[str, None] = {}
    for cell in cells:
        name = cell.strip()
        found.update(dict.fromkeys(one for one in (name, _GROUP.sub("", name)) if one))
    return tuple(found)


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()
