"""The rows of the table of recordings, and their file.

What is entered there is decided in `registry.py`.
"""

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Self, TextIO, TypeVar

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from badc_core.annexed_files import require_fetched
from badc_core.atomic import replacing, writing_text
from badc_core.csv_tables import as_written, write_rows
from badc_core.errors import DatasetInvalid
from badc_core.file_names import FileName, PathInside, are_inside, are_names
from badc_core.validation import explain_invalid

_COLUMNS = ("recording_id", "path", "size_bytes", "modified_ns", "fingerprint", "first_path")
_WITHOUT_RENAMES = _COLUMNS[:-1]
"""Of tables in which no recording has been renamed."""
_REMEDY = "Restore recordings.csv from version control, or correct that line"
_MOST_DIGITS = 19
"""Of a time in ns since 1970, until the year 2286."""
_ROWS_AT_ONCE = 2000
_QUOTING = "\"'\r"
"""Without these in a table its cells are what is between commas and ends of lines."""

_T = TypeVar("_T")
_OrEmpty = Annotated[_T | None, BeforeValidator(lambda cell: cell or None)]


@dataclass(frozen=True, slots=True)
class RegisteredRecording:
    """A row.

    Attributes:
        path: relative to the dataset's root, with forward slashes.
        size_bytes, modified_ns: of the content when it was first seen; None if it never was. The
            same content may have another time here (`seen_times.py`).
        fingerprint: of that content; None if it could not be read.
        first_path: under which it got its name, if it was renamed since.
    """

    recording_id: FileName
    path: PathInside
    size_bytes: _OrEmpty[int] = None
    modified_ns: _OrEmpty[int] = None
    fingerprint: _OrEmpty[str] = None
    first_path: _OrEmpty[PathInside] = None

    @property
    def is_renamed(self) -> bool:
        """Whether it has another path than when it got its name."""
        return self.first_path is not None

    def moved_to(self, now: Self) -> Self:
        """Returns the recording under the path at which its content was found."""
        first = self.first_path or self.path
        return replace(
            self,
            path=now.path,
            size_bytes=now.size_bytes,
            modified_ns=now.modified_ns,
            first_path=None if first == now.path else first,
        )


_ROW = TypeAdapter(RegisteredRecording)


def read_table(path: Path, wanted: set[str] | None) -> list[RegisteredRecording]:
    """Returns the rows of some recordings, of all for None; none where there is no file.

    Raises:
        DatasetInvalid: not such a table; the line is named.
        ContentMissing: it is annexed, and its content is not here.
    """
    require_fetched(path)
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if wanted is None and (rows := _parse_sound(file)) is not None:
                return rows
            file.seek(0)
            return list(_parse_rows(csv.reader(file, strict=True), path, wanted))
    except OSError as error:
        raise DatasetInvalid(f"cannot be read ({error.strerror})", path, _REMEDY) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DatasetInvalid(f"not a readable CSV table ({error})", path, _REMEDY) from error


def write_table(path: Path, rows: Collection[RegisteredRecording]) -> None:
    """Writes the table as CSV, replacing what was there."""
    has_renamed = any(one.is_renamed for one in rows)
    columns = _COLUMNS if has_renamed else _WITHOUT_RENAMES
    with replacing(path) as aside, writing_text(aside) as file:
        write_rows(file, columns, ([getattr(one, name) for name in columns] for one in rows))


def _parse_sound(file: TextIO) -> list[RegisteredRecording] | None:
    """Returns all rows, looked at by columns, in a fifth of the time; None if one may be wrong."""
    try:
        names, columns = _read_columns(file.read())
    except (csv.Error, ValueError):  # not text, or a row of another length
        return None
    if names not in {_COLUMNS, _WITHOUT_RENAMES}:
        return None
    ids, paths, sizes, times, fingerprints, *first_paths = columns
    numbers = [_parse_numbers(sizes), _parse_numbers(times)]
    earlier = [one for column in first_paths for one in column if one]
    is_sound = are_names(ids) and are_inside(paths) and are_inside(earlier) and None not in numbers
    if not is_sound or not len({*ids}) == len({*paths}) == len(ids):
        return None
    texts = [[cell or None for cell in column] for column in (fingerprints, *first_paths)]
    return list(map(RegisteredRecording, ids, paths, *numbers, *texts))


def _read_columns(text: str) -> tuple[tuple[str, ...], list[list[str]]]:
    """Returns the names and cells of columns; raises ValueError if a row has another length."""
    if not any(one in text for one in _QUOTING):
        head, *lines = text.removesuffix("\n").split("\n")
        names = tuple(head.split(","))
        if {one.count(",") + 1 for one in lines} - {len(names)}:
            raise ValueError
        cells = ",".join(lines).split(",") if lines else []
        return names, [cells[at :: len(names)] for at in range(len(names))]
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    names = tuple(next(reader, ()))
    columns: list[list[str]] = [[] for _ in names]
    # All rows as lists at once would keep the garbage collector busy.
    while some := list(islice(reader, _ROWS_AT_ONCE)):
        for column, row in zip(columns, zip(*some, strict=True), strict=True):
            column.extend(as_written(row))
    return names, columns


def _parse_numbers(cells: Sequence[str]) -> list[int | None] | None:
    """Returns whole numbers; None if a cell may not be one, or none at all."""
    digits = "".join(cells)
    if digits and not (digits.isascii() and digits.isdigit()):
        return None
    if max(map(len, cells), default=0) > _MOST_DIGITS:
        return None
    return [int(cell) if cell else None for cell in cells]


def _parse_rows(reader: Any, path: Path, wanted: set[str] | None) -> Iterator[RegisteredRecording]:
    """Yields the rows of some recordings; of all for None."""
    columns = tuple(next(reader, ()))
    if columns not in {_COLUMNS, _WITHOUT_RENAMES}:
        raise DatasetInvalid(f"line 1 is not {','.join(_COLUMNS)}", path, _REMEDY)
    seen: set[tuple[str, str]] = set()
    for cells in map(as_written, reader):
        if wanted is not None and (not cells or cells[0] not in wanted):
            continue
        place = f"line {reader.line_num}"
        if len(cells) != len(columns):
            what = f"{place} has {len(cells)} cells, expected {len(columns)}"
            raise DatasetInvalid(what, path, _REMEDY)
        try:
            recording = _ROW.validate_python(dict(zip(columns, cells, strict=True)))
        except ValidationError as error:
            raise DatasetInvalid(f"{place}: {explain_invalid(error)}", path, _REMEDY) from error
        own = {("recording_id", recording.recording_id), ("path", recording.path)}
        if own & seen:
            raise DatasetInvalid(f"{place} repeats a recording or path", path, _REMEDY)
        seen |= own
        yield recording
