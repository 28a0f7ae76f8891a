"""The tables HawkEars 1 writes about one chunk file, read strictly.

`HawkEars_labels.csv` is always there, `HawkEars_rarities.csv` only where species turned up that
are not reported at that place and date. Neither repeats the other's rows.
"""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from badc_core.chunks.plan import Chunk
from badc_core.csv_tables import TableInvalid, read_rows
from badc_core.detectors.chunk_files import FoundInFile
from badc_core.detectors.interface import Label
from badc_core.errors import DetectorFailed
from badc_core.validation import explain_invalid

LABELS_FILE = "HawkEars_labels.csv"
RARITIES_FILE = "HawkEars_rarities.csv"


class _Row(BaseModel):
    """A detection; an end past the file's is a padded window's."""

    model_config = ConfigDict(allow_inf_nan=False)

    start_time: Annotated[float, Field(ge=0)]
    end_time: Annotated[float, Field(ge=0)]
    class_name: Annotated[str, Field(min_length=1)]
    class_code: str
    score: Annotated[float, Field(ge=0, le=1)]


def read_tables(folder: Path, chunk: Chunk, *, has_place: bool) -> list[FoundInFile]:
    """Returns the rows of both tables.

    Args:
        folder: where HawkEars wrote them.
        chunk: what it was given.
        has_place: whether it was given a place; then rows say whether they are expected there.

    Raises:
        DetectorFailed: a table has other columns, or a value outside its limits.
    """
    found = _read(folder / LABELS_FILE, chunk, is_expected=True if has_place else None)
    if (folder / RARITIES_FILE).is_file():
        found += _read(folder / RARITIES_FILE, chunk, is_expected=False)
    return found


def _read(path: Path, chunk: Chunk, *, is_expected: bool | None) -> list[FoundInFile]:
    found = []
    try:
        for line, cells in read_rows(path, ("filename", *_Row.model_fields)):
            try:
                row = _Row.model_validate(cells)
            except ValidationError as error:
                raise _unusable(path, chunk, f"line {line}: {explain_invalid(error)}") from error
            if row.start_time > chunk.duration_s or row.end_time < row.start_time:
                raise _unusable(path, chunk, f"line {line}: a detection outside the chunk")
            label = Label(row.class_name, row.class_code)
            found.append(FoundInFile(row.start_time, row.end_time, label, row.score, is_expected))
    except TableInvalid as error:
        raise _unusable(path, chunk, str(error)) from error
    return found


def _unusable(path: Path, chunk: Chunk, what: str) -> DetectorFailed:
    return DetectorFailed(
        f"{path.name}: {what}", chunk.chunk_id, "Is detector.runtime really HawkEars 1?"
    )
