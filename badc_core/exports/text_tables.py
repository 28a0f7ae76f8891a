"""Tables and lines of text as other programs read them.

CSV that people open in spreadsheets is written by `badc_core/csv_tables.py`, where cells that begin
as a formula get an apostrophe. Programs that look names up would not find these, so tables for
them are written here as they are.
"""

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from badc_core.atomic import writing_text

_SEPARATORS = re.compile(r"[\t\r\n]+")


def write_tabs(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Writes a table whose cells are separated by tabs; None is an empty cell."""
    with writing_text(path) as file:
        file.writelines("\t".join(map(_plain, row)) + "\n" for row in rows)


def write_plain_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """Writes a CSV table with its cells as they are; None is an empty cell."""
    with writing_text(path) as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _plain(cell: Any) -> str:
    """Returns a cell on one line and in one column; spaces stay, since paths may have several."""
    return "" if cell is None else _SEPARATORS.sub(" ", str(cell))
