"""Manifests and other CSV files, read and written without the code that is tested."""

import csv
from collections.abc import Sequence
from pathlib import Path

ORIGINAL_COLUMNS = (
    *("recording_id", "chunk_id", "source_path", "start_ms", "end_ms", "overlap_ms"),
    *("sha256", "notes"),
)
"""Those of the original BADC's manifests."""


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


def write_rows(
    path: Path, *rows: Sequence[object], columns: Sequence[str] = ORIGINAL_COLUMNS
) -> Path:
    """Returns a new file of column names and rows, in a folder that is made for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path
