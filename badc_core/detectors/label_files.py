"""Reading what the classes of a model are called, in the order of its scores.

A line of a text file is `Scientific name_Common name`, as BirdNET writes it, or a plain name. A
file whose name ends in `.csv` is a table with some of the columns `name`, `code` and
`scientific_name`; other columns do not count.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from badc_core.detectors.interface import Label
from badc_core.errors import ConfigInvalid, DetectorMissing

_COLUMNS = ("name", "code", "scientific_name")
_REMEDY = "Write one class a line, in the order of the model's scores"


def read_labels(path: Path) -> tuple[Label, ...]:
    """Returns the labels in a file; empty lines at its end do not count.

    Raises:
        DetectorMissing: there is no such file, or it cannot be read.
        ConfigInvalid: it holds no labels, a line without a name, or one that is there before.
    """
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
    rows = csv.reader(lines)
    columns = [cell.strip().lower() for cell in next(rows, [])]
    if not set(columns) & set(_COLUMNS):
        what = f"its first line names none of the columns {', '.join(_COLUMNS)}"
        raise ConfigInvalid(what, path, "Begin the table with the names of its columns")
    for row in rows:
        cells = dict(zip(columns, map(str.strip, row), strict=False))
        name, code, scientific_name = (cells.get(column, "") for column in _COLUMNS)
        yield rows.line_num, Label(name or scientific_name or code, code, scientific_name)
