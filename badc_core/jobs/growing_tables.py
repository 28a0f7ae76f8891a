"""CSV tables that only grow, a few rows at a time, while others read them or add rows too.

A killed process loses at most the row that it was writing. Every row is one line: line breaks in
cells are escaped, so that damage to a row ends with its line.
"""

import csv
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from io import StringIO
from pathlib import Path

from badc_core import csv_tables
from badc_core.atomic import naming_storage_trouble
from badc_core.locks import locked_descriptor

_BREAKS = re.compile(r"[\\\n\r]")
_ESCAPED = re.compile(r"\\[\\nr]")
_ESCAPES = {"\\": r"\\", "\n": r"\n", "\r": r"\r"}
_UNESCAPES = {escaped: text for text, escaped in _ESCAPES.items()}


class GrowingTable:
    """A table to add rows to; its file is opened at the first row, and stays open until `close`.

    Args:
        path: of the table.
        columns: with which it begins.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path = path
        self._columns = columns
        self._descriptor = -1

    def append(self, rows: Iterable[Sequence[object]]) -> None:
        """Adds rows, which are in the file when this returns.

        Raises:
            StorageFull, OutputUnwritable: they cannot be written; the table has none of them then.
        """
        text = StringIO()
        csv_tables.append_rows(text, map(on_one_line, rows))
        try:
            with naming_storage_trouble(self._path):
                self._open()
                with locked_descriptor(self._descriptor, self._path):
                    size = _drop_torn_row(self._descriptor)
                    head = "" if size else ",".join(self._columns) + "\n"
                    _write_whole(self._descriptor, size, head + text.getvalue())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the file; another row would open it again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        if self._descriptor < 0:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o666)


def append_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Adds rows to a table once; arguments and errors as of `GrowingTable`."""
    with closing(GrowingTable(path, columns)) as table:
        table.append(rows)


def read_complete_rows(table: Path, columns: Sequence[str]) -> Iterator[list[str]]:
    """Yields the rows of a table that only grows, without those that were not written to the end.

    Nothing where there is no table.
    """
    try:
        with table.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            for line in file:
                row = _read_row(line)
                if len(row) == len(columns) and row != list(columns):
                    yield row
    except FileNotFoundError:
        return


def on_one_line(row: Sequence[object]) -> list[object]:
    """Returns a row without line breaks, as `read_complete_rows` reads it."""
    return [
        _BREAKS.sub(lambda found: _ESCAPES[found[0]], one) if isinstance(one, str) else one
        for one in row
    ]


def _drop_torn_row(descriptor: int) -> int:
    """Removes the beginning of a row that a killed process left; returns the size of the rest."""
    size = whole = os.fstat(descriptor).st_size
    while whole and os.pread(descriptor, 1, whole - 1) != b"\n":
        whole -= 1
    if whole < size:
        os.ftruncate(descriptor, whole)
    return whole


def _write_whole(descriptor: int, size: int, text: str) -> None:
    """Writes all of a text behind what is there, or nothing."""
    content = text.encode("utf-8", "surrogateescape")
    try:
        while content:  # a disk that is nearly full takes only a part
            content = content[os.write(descriptor, content) :]
    except BaseException:
        os.ftruncate(descriptor, size)
        raise


def _read_row(line: str) -> list[str]:
    """Returns the cells of a line; none if it is not a whole row."""
    try:
        cells = csv_tables.as_written(next(csv.reader([line], strict=True), []))
    except csv.Error:
        return []
    if not line.endswith("\n"):
        return []
    return [_ESCAPED.sub(lambda found: _UNESCAPES[found[0]], one) for one in cells]
