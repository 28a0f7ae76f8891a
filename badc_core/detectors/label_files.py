"""Reading what the classes of a model are called, in the order of its scores.

A line of a text file is `Scientific name_Common name`, as BirdNET writes it, or a plain name. A
file whose name ends in `.csv` is a table with one or more of the columns `name`, `code` and
`scientific_name`; other columns do not count.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from badc_core.annexed_files import require_fetched
from badc_core.detectors.interface import Label
from badc_core.errors import ConfigInvalid, DetectorMissing

_COLUMNS = ("name", "code", "scientific_name")
_REMEDY = "Write one class a line, in the order of the model's scores"


def read_labels(path: Path) -> tuple[Label, ...]:
    """Returns the labels in a file; empty lines at its end do not count.

    Raises:
        DetectorMissing: there is no such file, or it cannot be read.
        ConfigInvalid: it holds no labels, a line without a name or one that is there before, or a
            row that does not fit its table.
    """
    require_fetched(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DetectorMissing("there is no such file of labels", path, _REMEDY) from error
    except OSError as error:
        raise DetectorMissing(f"cannot be read ({error.strerror})", path, _REMEDY) from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid("not a text file in UTF-8", path, _REMEDY) from error
    lines = text.rstrip().splitlines()
    is_table = path.suffix.lower() == ".csv"
    seen: dict[Label, int] = {}
    for number, label in _in_table(lines, path) if is_table else enumerate(map(_in_line, lines), 1):
        if not label.name:
            raise ConfigInvalid(f"line {number} names no class", path, _REMEDY)
        if label in seen:
            what = f"line {number} names the same class as line {seen[label]}: {label.name}"
            raise ConfigInvalid(what, path, "Give each class a name of its own")
        seen[label] = number
    if not seen:
        raise ConfigInvalid("it names no classes", path, _REMEDY)
    return tuple(seen)


def _in_line(line: str) -> Label:
    """Returns the label in a line of a text file.

    Where both halves are equal the sound has no species of its own, as BirdNET's Engine, Noise,
    Dog and some crickets.
    """
    first, _, second = line.strip().partition("_")
    return Label(second or first, scientific_name=first if second not in {"", first} else "")


def _in_table(lines: list[str], path: Path) -> Iterator[tuple[int, Label]]:
    """Yields the labels in a table, each with its line."""
    rows = _rows(lines, path)
    _, header = next(rows, (1, []))
    columns = [cell.lower() for cell in header]
    if not set(columns) & set(_COLUMNS):
        what = f"its first line names none of the columns {', '.join(_COLUMNS)}"
        raise ConfigInvalid(what, path, "Begin the table with the names of its columns")
    for number, row in rows:
        if row and len(row) != len(columns):
            what = f"line {number} has {len(row)} cells, the first line {len(columns)}"
            remedy = "Give each line a cell for each column, in quotes if a comma is part of it"
            raise ConfigInvalid(what, path, remedy)
        cells = dict(zip(columns, row, strict=False))
        name, code, scientific_name = (cells.get(column, "") for column in _COLUMNS)
        yield number, Label(name or scientific_name or code, code, scientific_name)


def _rows(lines: list[str], path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields the rows of a table, each with its line."""
    rows = csv.reader(lines)
    try:
        for row in rows:
            yield rows.line_num, [cell.strip() for cell in row]
    except csv.Error as error:
        what = f"line {rows.line_num} cannot be read as a table ({error})"
        raise ConfigInvalid(what, path, "See whether a quote that opens there is closed") from error
