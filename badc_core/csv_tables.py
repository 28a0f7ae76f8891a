"""Reading CSV tables that people and other programs wrote.

What rows must say is decided where each table is read, mostly by a pydantic model.
"""

import csv
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class TableInvalid(Exception):
    """A file is not the CSV table it should be; the text says why, and names neither file nor fix.

    Readers turn it into their own error, which does.
    """


def for_spreadsheets(cell: Any) -> Any:
    """Returns a cell of a table for people, such that no spreadsheet evaluates it.

    Text that begins as a formula does gets an apostrophe in front; numbers stay numbers.
    """
    if not isinstance(cell, str) or not cell.startswith(_FORMULA_STARTS):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


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
        TableInvalid: it cannot be read, is not CSV, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, strict=True)
            missing = [name for name in required if name not in (rows.fieldnames or ())]
            if missing:
                raise TableInvalid(f"it has no column {', '.join(missing)}")
            if one_of and not {*one_of} & {*(rows.fieldnames or ())}:
                raise TableInvalid(f"it has no column {' or '.join(one_of)}")
            for row in rows:
                yield (
                    rows.line_num,
                    {name: (cell or "").strip() for name, cell in row.items() if name is not None},
                )
    except FileNotFoundError:
        raise
    except OSError as error:
        raise TableInvalid(f"cannot be read ({error.strerror})") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise TableInvalid(f"not a CSV table ({error})") from error
