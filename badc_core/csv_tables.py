"""CSV tables: reading those of people and other programs, and writing what spreadsheets may open.

What rows must say is decided where each table is read, mostly by a pydantic model.
"""

import csv
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from badc_core.annexed_files import require_fetched

QUOTED = r"^'('*[=+\-@\t\r\n])"
"""How a cell begins that `for_spreadsheets` put an apostrophe before; the rest is the group."""

_QUOTED = re.compile(QUOTED)
_FORMULA = re.compile(QUOTED.replace("'", "", 1))
_SPECIAL = frozenset("'=+-@\t\r\n")
"""What a cell must begin with to be changed; mostly none does, which is quickly seen."""

_ROWS_AT_ONCE = 10_000


class TableInvalid(Exception):
    """A file is not the CSV table it should be; the text says why, and names neither file nor fix.

    Readers turn it into their own error, which does.
    """


def for_spreadsheets(cell: Any) -> Any:
    """Returns a cell such that no spreadsheet evaluates it; `as_written` gives the text back.

    Text that begins as a formula does gets an apostrophe in front; numbers stay numbers.
    """
    if not isinstance(cell, str) or not _FORMULA.match(cell):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def as_written(cells: Iterable[str]) -> list[str]:
    """Returns cells as they were before `for_spreadsheets`."""
    return [_QUOTED.sub(r"\1", cell) if cell.startswith("'") else cell for cell in cells]


def write_rows(file: TextIO, columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Writes a CSV table that a spreadsheet may open, with only the header if there are no rows."""
    append_rows(file, [columns])
    append_rows(file, rows)


def append_rows(file: TextIO, rows: Iterable[Iterable[Any]]) -> None:
    """Writes further rows of a table that `write_rows` began."""
    left = iter(rows)
    while some := [tuple(row) for row in islice(left, _ROWS_AT_ONCE)]:
        texts = [cell for row in some for cell in row if isinstance(cell, str)]
        if _SPECIAL.isdisjoint(cell[:1] for cell in texts) and "\r" not in "".join(texts):
            csv.writer(file, lineterminator="\n").writerows(some)
        else:
            csv.writer(_EndingLines(file)).writerows(map(for_spreadsheets, row) for row in some)


@dataclass(frozen=True)
class _EndingLines:
    r"""Ends rows with `\n`; Python before 3.13 quotes `\r` only where it is in the writer's own."""

    file: TextIO

    def write(self, row: str) -> int:
        return self.file.write(row.removesuffix("\r\n") + "\n")


def read_rows(
    path: Path, required: Collection[str] = (), one_of: Collection[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields each row with its line, as column -> text without spaces around it.

    A cell that is not there is empty text; a cell beyond the last column is left out.

    Args:
        path: UTF-8, with or without a byte order mark; the first row names the columns.
        required: columns that must be there.
        one_of: columns of which one must be there.

    Raises:
        FileNotFoundError: there is no such file.
        ContentMissing: it is annexed, and its content is not here.
        TableInvalid: it cannot be read, is not CSV, or lacks a column.
    """
    require_fetched(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, strict=True)
            missing = [name for name in required if name not in (rows.fieldnames or ())]
            if missing:
                raise TableInvalid(f"it has no column {', '.join(missing)}")
            if one_of and not {*one_of} & {*(rows.fieldnames or ())}:
                raise TableInvalid(f"it has no column {' or '.join(one_of)}")
            for row in rows:
                row.pop(None, None)  # cells beyond the last column
                cells = as_written((cell or "").strip() for cell in row.values())
                yield rows.line_num, dict(zip(row, cells, strict=True))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise TableInvalid(f"cannot be read ({error.strerror})") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise TableInvalid(f"not a CSV table ({error})") from error
