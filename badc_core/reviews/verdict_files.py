"""Reading people's verdicts: what the gallery saved, or a queue's table filled in by hand.

What several verdicts say together is in `verdicts.py`.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from badc_core.csv_tables import as_written
from badc_core.errors import ConfigInvalid
from badc_core.label_tables import find_delimiter, read_saved_text
from badc_core.reviews.columns import REVIEW_NAMES, VERDICT_COLUMNS
from badc_core.reviews.judged import VERDICTS
from badc_core.validation import explain_invalid

_WORDS = {one[0]: one for one in VERDICTS} | {one: one for one in VERDICTS}
_NUMBERS = ("start_s", "end_s", "score", "sampling_weight")
_REMEDY = "Correct it, or save the verdicts again from the gallery"


def _word(text: str) -> str:
    word = _WORDS.get(text.strip().lower())
    if word is None:
        raise ValueError(f"must be {', '.join(VERDICTS)} or empty, not {text!r}")
    return word


def _moment(text: str) -> str:
    if not text:
        return ""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"must be a time such as 2026-05-14T05:30:00Z, not {text!r}") from error
    known = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return known.astimezone(UTC).isoformat()


_Seconds = Annotated[float, Field(ge=0, le=1e9)]


@dataclass(frozen=True)
class Verdict:
    """What one person says of one detection.

    Attributes:
        start_s, end_s: from the recording's start.
        score: the detector's.
        verdict: correct, incorrect or uncertain.
        sampling_weight: how many detections it was drawn to represent; None: only itself.
        reviewer: who; empty where that is not said.
        reviewed_at: ISO 8601 in UTC; empty where it is not known.
    """

    recording_id: Annotated[str, Field(min_length=1)]
    label: Annotated[str, Field(min_length=1)]
    start_s: _Seconds
    end_s: _Seconds
    score: Annotated[float, Field(ge=0, le=1)]
    verdict: Annotated[str, BeforeValidator(_word)]
    detection_id: str = ""
    sampling_weight: Annotated[float, Field(gt=0, le=1e12)] | None = None
    corrected_label: str = ""
    reviewer: str = ""
    reviewed_at: Annotated[str, BeforeValidator(_moment)] = ""
    runner: str = ""
    model_version: str = ""

    def __post_init__(self) -> None:
        if self.end_s < self.start_s:
            raise ValueError("it ends before it begins")


_ROW = TypeAdapter(Verdict)
_COLUMNS = tuple(one.name for one in fields(Verdict))
_REQUIRED = ("recording_id", "label", "start_s", "end_s", "score", "verdict")


def read_verdicts(path: Path) -> list[Verdict]:
    """Returns the verdicts in a file; rows without one are left out.

    Commas, semicolons or tabs between cells, decimal commas, and the encodings of spreadsheets are
    understood.

    Args:
        path: CSV with the columns of a queue.

    Raises:
        ConfigInvalid: not such a table; the line and the cell are named.
        ContentMissing: it is annexed, and its content is not here.
    """
    text = read_saved_text(path, "file of verdicts")
    try:
        return list(_rows(text, path))
    except csv.Error as error:
        raise ConfigInvalid(f"not a readable CSV table ({error})", path, _REMEDY) from error


def _rows(text: str, path: Path) -> Iterator[Verdict]:
    separator = find_delimiter(text.partition("\n")[0])
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    names = [_column(name) for name in reader.fieldnames or ()]
    _require_columns(names, path)
    reader.fieldnames = names
    for cells in reader:
        if None in cells or None in cells.values():
            what = f"line {reader.line_num} has more or fewer cells than the first line"
            raise ConfigInvalid(what, path, _REMEDY)
        row = _typed(cells)
        if row.get("verdict"):
            try:
                yield _ROW.validate_python(row)
            except ValidationError as error:
                what = f"line {reader.line_num}: {explain_invalid(error)}"
                raise ConfigInvalid(what, path, _REMEDY) from error


def _column(name: str) -> str:
    stripped = name.strip()
    return stripped.lower() if stripped.lower() in REVIEW_NAMES else stripped


def _require_columns(names: list[str], path: Path) -> None:
    repeated = [one for one in names if one and names.count(one) > 1]
    if repeated:
        raise ConfigInvalid(f"column {repeated[0]!r} is there twice", path, "Remove one")
    missing = [one for one in _REQUIRED if one not in names]
    if missing:
        what = f"has no column {', '.join(missing)}, so it is not a table of verdicts"
        raise ConfigInvalid(what, path, "Give a queue.csv, or what a gallery saved")
    written = [one.name for one in VERDICT_COLUMNS]
    for one in names:
        close = get_close_matches(one.lower(), written, 1, 0.8)
        if one not in REVIEW_NAMES and close:
            raise ConfigInvalid(f"unknown column {one!r}", path, f"Call it {close[0]}")


def _typed(cells: Mapping[str | None, Any]) -> dict[str, Any]:
    """Returns the cells that are known and not empty, with points for decimal commas."""
    known = [one for one in _COLUMNS if isinstance(cells.get(one), str)]
    texts = as_written(cells[one].strip() for one in known)
    row: dict[str, Any] = {one: text for one, text in zip(known, texts, strict=True) if text}
    return row | {one: row[one].replace(",", ".") for one in _NUMBERS if one in row}
