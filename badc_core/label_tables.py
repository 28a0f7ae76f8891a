"""Tables that give numbers to labels, and other text as people and spreadsheets save it."""

import codecs
import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from badc_core.annexed_files import require_fetched
from badc_core.csv_tables import as_written
from badc_core.errors import ConfigInvalid

DELIMITERS = ",;\t"
NAME_COLUMNS = (
    *("label", "name", "species", "common_name", "english_name", "scientific_name", "code"),
)
"""Columns that say which label or species a row is about."""

_OF_EXCEL = "cp1252"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_USABLE = "usable"
_NO = ("no", "false", "0")


def read_saved_text(path: Path, kind: str) -> str:
    """Returns a file's text, in UTF-8 or UTF-16 or as Excel saves it.

    Args:
        path: the file.
        kind: what it should be, as errors call it.

    Raises:
        ConfigInvalid: it is not there, cannot be read, or is not text.
        ContentMissing: it is annexed, and its content is not here.
    """
    require_fetched(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigInvalid(f"there is no such {kind}", path, "Correct its path") from error
    except OSError as error:
        raise ConfigInvalid(f"cannot be read ({error.strerror})", path) from error
    try:
        return content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return content.decode(_OF_EXCEL)
    except UnicodeDecodeError as error:
        raise ConfigInvalid("not a text file", path, "Save it as text in UTF-8") from error


def find_delimiter(line: str) -> str:
    """Returns what separates the cells of a line."""
    return max(DELIMITERS, key=line.count)


def column_names(cells: Sequence[str]) -> list[str]:
    """Returns the names of columns in small letters, with underscores: `Common Name`."""
    return ["_".join(cell.split()).lower() for cell in cells]


def read_label_table(path: Path, kind: str, columns: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Returns label -> the numbers in some columns; rows without any of them do not count.

    Nor do rows whose column `usable` says no, if there is one.

    Args:
        path: a CSV file whose first row names its columns.
        kind: what it should be, as errors call it.
        columns: with the numbers.

    Raises:
        ConfigInvalid: it cannot be read, has no rows, lacks a column, names a label twice, or a
            cell is no number; the line is named.
    """
    text = read_saved_text(path, kind)
    delimiter = find_delimiter(text.partition("\n")[0])
    found: dict[str, tuple[float, ...]] = {}
    folded: set[str] = set()
    rows = list(_rows(text, delimiter, path))
    if not rows:
        remedy = "Give each label a line, or take the setting that names this file away"
        raise ConfigInvalid("it names no label", path, remedy)
    for line, row in rows:
        label = _label(row)
        missing = [one for one in columns if one not in row]
        if label is None or missing:
            wanted = missing[0] if missing else "label"
            raise ConfigInvalid(f"it has no column {wanted}", path, "Name it in the first row")
        cells = [row[one] for one in columns]
        if not any(cells) or row.get(_USABLE, "").lower() in _NO:
            continue
        if not label or label.casefold() in folded:
            what = f"names {label} again" if label else "names no label"
            raise ConfigInvalid(f"line {line} {what}", path, "Give each label one line")
        folded.add(label.casefold())
        found[label] = tuple(
            _number(cell, f"line {line}, {one}", delimiter, path)
            for one, cell in zip(columns, cells, strict=True)
        )
    return found


def find_line(path: Path, label: str) -> int:
    """Returns the number of the first line about a label in a table that was read; 0 for none."""
    text = read_saved_text(path, "table")
    rows = _rows(text, find_delimiter(text.partition("\n")[0]), path)
    return next((line for line, row in rows if _label(row) == label), 0)


def _rows(text: str, delimiter: str, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    rows = csv.reader(text.splitlines(), delimiter=delimiter, strict=True)
    header: list[str] = []
    try:
        for row in rows:
            cells = as_written(cell.strip() for cell in row)
            if not header:
                header = column_names(cells)
            elif any(cells):
                filled = [*cells, *[""] * (len(header) - len(cells))]
                yield rows.line_num, dict(zip(header, filled, strict=False))
    except csv.Error as error:
        raise ConfigInvalid(f"not a CSV table ({error})", path, "Save it as CSV") from error


def _label(row: dict[str, str]) -> str | None:
    """Returns what a row is about; None where no column says it."""
    return next((row[one] for one in NAME_COLUMNS if one in row), None)


def _number(cell: str, place: str, delimiter: str, path: Path) -> float:
    plain = cell if delimiter == "," else cell.replace(",", ".")
    try:
        number = float(plain)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigInvalid(f"{place}: {cell!r} is not a number", path, "Correct the cell")
    return number
