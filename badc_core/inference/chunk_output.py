"""Reading a chunk's JSON file, BADC's or the original BADC's, or HawkEars' table beside it.

Such files are written in `chunk_json.py` and become one table in `aggregation.py`.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from badc_core.annexed_files import require_fetched
from badc_core.audio.channel import MEAN
from badc_core.chunks.plan import parse_times
from badc_core.datasets.dataset import HAWKEARS_ENDING
from badc_core.errors import DetectionsInvalid
from badc_core.inference.chunk_json import ChunkOrigin
from badc_core.json_texts import parse_object
from badc_core.validation import explain_invalid

_HAWKEARS_TABLE = "HawkEars_labels.csv"
_REMEDY = "Delete it and run: badc infer run MANIFEST"


def _rounded(value: Any) -> Any:
    """Returns a number as a whole one; others are left for pydantic to refuse."""
    return round(value) if isinstance(value, float) and isfinite(value) else value


_Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
_Ms = Annotated[int, BeforeValidator(_rounded)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)


class FoundInChunk(_Part):
    """A detection in a file.

    Attributes:
        timestamp_ms, end_ms: half-open, from the chunk's start; no end where the file has none.
        label: code, else name, else `unknown`.
        label_code, label_name, scientific_name: empty where there is none.
        confidence: 0 to 1.
        is_expected, occurrence: None where the file has no marks.
    """

    timestamp_ms: _Ms
    end_ms: _Ms | None = None
    label: str
    label_code: _Text = ""
    label_name: _Text = ""
    scientific_name: _Text = ""
    confidence: float = Field(ge=0, le=1)
    is_expected: bool | None = None
    occurrence: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_label(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        names = (given.get(key) for key in ("label", "label_code", "label_name"))
        return {**given, "label": next(filter(None, names), "unknown")}


class _Slice(_Part):
    start_ms: _Ms | None = None
    end_ms: _Ms | None = None
    overlap_ms: _Ms | None = None
    sha256: _Text = ""
    notes: _Text = ""
    channel: _Text = ""


class _ChunkFile(_Part):
    chunk_id: str = Field(min_length=1)
    recording_id: _Text = ""
    source_path: _Text = ""
    # The last two were written by the original only.
    status: Annotated[
        Literal["ok", "no_detections", "error", "no_output", "stub"],
        BeforeValidator(lambda value: value or "ok"),
    ] = "ok"
    detections: list[FoundInChunk] | None = None
    chunk: Annotated[_Slice, BeforeValidator(lambda value: value or {})] = _Slice()
    runner: _Text = ""
    model_version: _Text = ""
    model_sha256: _Text = ""
    dataset_root: _Text = ""
    config_hash: _Text = ""
    key: _Text = ""
    error: _Text = ""


@dataclass(frozen=True)
class ChunkOutput:
    """The content of a file.

    Attributes:
        path: of the file.
        origin: which chunk.
        status: `ok`, `no_detections`, `error`; of the original also `no_output`, `stub`.
        detections: in the file's order.
        runner, model_version, model_sha256: the detector; empty where the file does not say.
        error: why the chunk failed; empty if it did not.
    """

    path: Path
    origin: ChunkOrigin
    status: str
    detections: tuple[FoundInChunk, ...]
    runner: str
    model_version: str
    model_sha256: str
    error: str


def read_chunk_json(path: Path) -> ChunkOutput:
    """Returns the content of a file, BADC's or the original's.

    Only `chunk_id` and a known status must be there; of a detection `timestamp_ms` and
    `confidence`. Where the chunk's times are missing, its name may say them.

    Raises:
        DetectionsInvalid: not JSON, or a key is missing or of the wrong kind; says which.
    """
    file = _load(path)
    chunk, (named_start_ms, named_end_ms) = file.chunk, parse_times(file.chunk_id)
    origin = ChunkOrigin(
        chunk_id=file.chunk_id,
        recording_id=file.recording_id or path.parent.name,
        source_path=file.source_path,
        start_ms=_first(chunk.start_ms, named_start_ms),
        end_ms=_first(chunk.end_ms, named_end_ms),
        overlap_ms=chunk.overlap_ms,
        sha256=chunk.sha256,
        notes=chunk.notes,
        dataset_root=file.dataset_root,
        config_hash=file.config_hash,
        key=file.key,
        channel=chunk.channel or MEAN,
    )
    return ChunkOutput(
        path=path,
        origin=origin,
        status=file.status,
        detections=tuple(file.detections or ()),
        runner=file.runner,
        model_version=file.model_version,
        model_sha256=file.model_sha256,
        error=file.error,
    )


def read_hawkears_table(output: ChunkOutput) -> Iterator[FoundInChunk]:
    """Yields what HawkEars' own table says of a chunk, where its JSON file says nothing.

    Raises:
        DetectionsInvalid: there is such a table, and it cannot be read.
    """
    chunk_id = output.origin.chunk_id
    folders = output.path.with_name(f"{chunk_id}{HAWKEARS_ENDING}"), output.path.parent
    tables = (folder / _HAWKEARS_TABLE for folder in folders)
    path = next((one for one in tables if one.is_file() or one.is_symlink()), None)
    if path is None:
        return
    require_fetched(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                if Path(row["filename"]).stem == chunk_id:
                    yield FoundInChunk(
                        timestamp_ms=round(float(row["start_time"]) * 1000),
                        end_ms=round(float(row["end_time"]) * 1000),
                        label=row["class_code"] or row["class_name"] or "unknown",
                        label_code=row["class_code"] or "",
                        label_name=row["class_name"] or "",
                        confidence=float(row["score"]),
                    )
    except ValidationError as error:
        what = f"not a table of HawkEars ({explain_invalid(error)})"
        raise DetectionsInvalid(what, path, "Remove it, or run the chunk again") from error
    except (csv.Error, KeyError, ValueError, TypeError) as error:
        what = f"not a table of HawkEars ({error!r})"
        raise DetectionsInvalid(what, path, "Remove it, or run the chunk again") from error


def _load(path: Path) -> _ChunkFile:
    require_fetched(path)
    try:
        return _ChunkFile.model_validate(parse_object(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise DetectionsInvalid("there is no such file", path, _REMEDY) from error
    except OSError as error:
        raise DetectionsInvalid(f"cannot be read ({error.strerror})", path, _REMEDY) from error
    except ValidationError as error:
        raise DetectionsInvalid(explain_invalid(error), path, _REMEDY) from error
    except ValueError as error:
        raise DetectionsInvalid(f"not JSON ({error})", path, _REMEDY) from error


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)
