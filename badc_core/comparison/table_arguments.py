"""Tables as they are named on a command line: `PATH` or `NAME=PATH`.

How a table is read is in `compared_tables.py`.
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from badc_core.comparison.compared_tables import ComparedTable, absolute_path, read_table


def read_tables(arguments: Sequence[str]) -> list[ComparedTable]:
    """Returns tables, each with a name of its own.

    Without a name a table is called after its detector; of several that would be called alike,
    after its file or folder, then by its whole path, and at last by a number.

    Args:
        arguments: `PATH` or `NAME=PATH`.

    Raises:
        ContentMissing: there is no such file or folder, or its content is not on this machine.
        DetectionsInvalid: it is no table, or cannot be read.
    """
    given = [_split(argument) for argument in arguments]
    tables = [replace(read_table(path), name=name) for name, path in given]
    names = [one.name or _detector_name(one) for one in tables]
    for other in (_file_name, str):
        names = [
            other(one.path) if count > 1 and not one.name else name
            for one, name, count in zip(tables, names, _counts(names), strict=True)
        ]
    unique: list[str] = []
    for name, count in zip(names, _counts(names), strict=True):
        numbered = (f"{name} #{number}" for number in itertools.count(1))
        free = (one for one in numbered if one not in (*names, *unique))
        unique.append(next(free) if count > 1 else name)
    return [replace(one, name=name) for one, name in zip(tables, unique, strict=True)]


def _split(argument: str) -> tuple[str, Path]:
    """Returns name and path; a path that is there may have an equals sign in it."""
    name, sign, path = argument.partition("=")
    return (name, Path(path)) if sign and not Path(argument).exists() else ("", Path(argument))


def _counts(names: Sequence[str]) -> list[int]:
    counts = Counter(names)
    return [counts[name] for name in names]


def _detector_name(table: ComparedTable) -> str:
    return table.detectors[0] if len(table.detectors) == 1 else _file_name(table.path)


def _file_name(path: Path) -> str:
    return path.stem if path.is_file() else absolute_path(path).name
