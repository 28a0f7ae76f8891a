"""Tables as typed on a command line, `PATH` or `NAME=PATH`, and their names.

Tables are read in `compared_tables.py`.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from badc_core.comparison.compared_tables import (
    ComparedTable,
    dataset_of,
    read_table,
)
from badc_core.errors import OptionInvalid
from badc_core.file_names import absolute


@dataclass(frozen=True)
class TableArgument:
    """A table as typed; the name is empty if none was given."""

    name: str
    path: Path


def parse_tables(arguments: Sequence[str]) -> list[TableArgument]:
    """Returns the name and path in each argument.

    Args:
        arguments: `PATH` or `NAME=PATH`; an existing path may have an equals sign in it.

    Raises:
        OptionInvalid: one has no path, or two have one name.
    """
    given = []
    for argument in arguments:
        name, sign, path = argument.partition("=")
        if not sign or Path(argument).exists():
            name, path = "", argument
        if not path.strip():
            raise OptionInvalid(f"{argument!r} has no path; use NAME=TABLE or TABLE", "TABLE")
        given.append(TableArgument(name, Path(path)))
    for name, count in Counter(one.name for one in given).items():
        if name and count > 1:
            raise OptionInvalid(
                f"{count} tables have the name {name!r}; give each its own", "TABLE"
            )
    return given


def require_apart(output: Path, given: Iterable[TableArgument]) -> None:
    """Raises OptionInvalid if an output would replace a table, or be among a dataset's results."""
    for one in given:
        if output.resolve() == one.path.resolve() or _is_same_file(output, one.path):
            raise OptionInvalid(
                f"{output} is a table in the comparison; choose another", "--output"
            )
        dataset = dataset_of(one.path)
        # `badc infer aggregate` puts its CSV there by default; it is not a result of the dataset.
        if dataset is None or one.path.suffix.lower() == ".csv":
            continue
        for folder in (dataset.aggregate, dataset.effort("x").parent):
            if output.resolve().is_relative_to(folder.resolve()):
                raise OptionInvalid(
                    f"{output} is among the results of {dataset.root}, which are in the "
                    "comparison; choose another place",
                    "--output",
                )


def read_tables(given: Sequence[TableArgument]) -> list[ComparedTable]:
    """Returns tables with different names.

    A table without a name gets its detector's. If several would have the same, they get the
    detector's version too, else the name of their file or folder, else their path, else a number.

    Raises:
        ContentMissing: there is no such file or folder, or its content is not on this machine.
        DetectionsInvalid: it is not a table, or cannot be read.
    """
    tables = [replace(read_table(one.path), name=one.name) for one in given]
    names = [one.name or _runner(one) for one in tables]
    for other in (_runner_and_version, _file_name, _whole_path):
        names = [
            other(one) if count > 1 and not one.name else name
            for one, name, count in zip(tables, names, _counts(names), strict=True)
        ]
    unique: list[str] = []
    for name, count in zip(names, _counts(names), strict=True):
        numbered = (f"{name} #{number}" for number in itertools.count(1))
        free = (one for one in numbered if one not in (*names, *unique))
        unique.append(next(free) if count > 1 else name)
    return [replace(one, name=name) for one, name in zip(tables, unique, strict=True)]


def _counts(names: Sequence[str]) -> list[int]:
    counts = Counter(names)
    return [counts[name] for name in names]


def _runner(table: ComparedTable) -> str:
    runner = table.detectors[0].runner if len(table.detectors) == 1 else ""
    return runner or _file_name(table)


def _runner_and_version(table: ComparedTable) -> str:
    return str(table.detectors[0]) if len(table.detectors) == 1 else _file_name(table)


def _file_name(table: ComparedTable) -> str:
    return table.path.stem if table.path.is_file() else absolute(table.path).name


def _whole_path(table: ComparedTable) -> str:
    return str(table.path)


def _is_same_file(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)
