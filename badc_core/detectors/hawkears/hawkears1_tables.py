"""The tables HawkEars 1 writes about one chunk file, read strictly.

`HawkEars_labels.csv` is always there, `HawkEars_rarities.csv` only where species turned up that
are not reported at that place and date. Neither repeats the other's rows.
"""

import csv
from pathlib import Path

from badc_core.chunks.plan import Chunk
from badc_core.detectors.chunk_files import FoundInFile
from badc_core.detectors.interface import Label
from badc_core.errors import DetectorFailed

LABELS_FILE = "HawkEars_labels.csv"
RARITIES_FILE = "HawkEars_rarities.csv"

_COLUMNS = {"filename", "start_time", "end_time", "class_name", "class_code", "score"}


def read_tables(folder: Path, chunk: Chunk, *, has_place: bool) -> list[FoundInFile]:
    """Returns the rows of both tables.

    Args:
        folder: where HawkEars wrote them.
        chunk: what it was given.
        has_place: whether it was told where; then rows say whether they are expected there.

    Raises:
        DetectorFailed: a table has other columns, or a value outside its limits.
    """
    found = _read(folder / LABELS_FILE, chunk, is_expected=True if has_place else None)
    if (folder / RARITIES_FILE).is_file():
        found += _read(folder / RARITIES_FILE, chunk, is_expected=False)
    return found


def _read(path: Path, chunk: Chunk, *, is_expected: bool | None) -> list[FoundInFile]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file, strict=True)
            missing = _COLUMNS - set(rows.fieldnames or ())
            if missing:
                raise _unusable(path, chunk, f"lacks the column {', '.join(sorted(missing))}")
            return [
                _read_row(row, f"line {rows.line_num}", path, chunk, is_expected) for row in rows
            ]
    except (csv.Error, UnicodeDecodeError) as error:
        raise _unusable(path, chunk, f"is not a CSV table ({error})") from error


def _read_row(
    row: dict[str, str], place: str, path: Path, chunk: Chunk, is_expected: bool | None
) -> FoundInFile:
    try:
        start_s, end_s = float(row["start_time"]), float(row["end_time"])
        score = float(row["score"])
    except (TypeError, ValueError) as error:
        raise _unusable(path, chunk, f"has no number where one belongs, {place}") from error
    # An end past the file's is a padded window's.
    if not 0 <= start_s <= chunk.duration_s or not start_s <= end_s < float("inf"):
        raise _unusable(path, chunk, f"has a detection outside the chunk, {place}")
    if not 0 <= score <= 1:
        raise _unusable(path, chunk, f"has a score of {score:g}, {place}")
    if not row["class_name"]:
        raise _unusable(path, chunk, f"has a detection without a name, {place}")
    label = Label(row["class_name"], row["class_code"] or "")
    return FoundInFile(start_s, end_s, label, score, is_expected)


def _unusable(path: Path, chunk: Chunk, what: str) -> DetectorFailed:
    return DetectorFailed(
        f"{path.name} {what}", chunk.chunk_id, "Is detector.runtime really HawkEars 1?"
    )
