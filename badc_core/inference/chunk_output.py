"""Reading a chunk's JSON file, ours or one of the original BADC's, or HawkEars' table beside it.

Such files are written in `chunk_json.py` and made into one table in `manifest_runs/gather.py`.
"""

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from badc_core.chunks.plan import parse_times
from badc_core.datasets.dataset import HAWKEARS_ENDING
from badc_core.errors import DetectionsInvalid
from badc_core.inference.chunk_json import ChunkOrigin

STATUSES = ("ok", "no_detections", "error", "no_output", "stub")
"""The last two were written by the original only."""

_HAWKEARS_TABLE = "HawkEars_labels.csv"
_REMEDY = "Delete it and run: badc infer run MANIFEST"


@dataclass(frozen=True)
class FoundInChunk:
    """A detection in a file.

    Attributes:
        timestamp_ms, end_ms: half-open, from the chunk's start; no end where the file has none.
        label: code, else name, else `unknown`.
        label_code, label_name, scientific_name: empty where there is none.
        confidence: 0 to 1.
        is_expected, occurrence: None where nobody asked.
    """

    timestamp_ms: int
    end_ms: int | None
    label: str
    label_code: str
    label_name: str
    scientific_name: str
    confidence: float
    is_expected: bool | None = None
    occurrence: float | None = None


@dataclass(frozen=True)
class ChunkOutput:
    """The content of a file.

    Attributes:
        path: of the file.
        origin: which chunk.
        status: one of `STATUSES`.
        detections: in the file's order.
        runner, model_version, model_sha256: the detector; empty where the file does not say.
        error: why the chunk failed; empty if it did not.
        has_detections_key: False in files that leave it to the runner's raw output.
    """

    path: Path
    origin: ChunkOrigin
    status: str
    detections: tuple[FoundInChunk, ...]
    runner: str
    model_version: str
    model_sha256: str
    error: str
    has_detections_key: bool


def read_chunk_json(path: Path) -> ChunkOutput:
    """Returns the content of a file, ours or the original's.

    Only `chunk_id` and a known status must be there; of a detection `timestamp_ms` and
    `confidence`. Where the chunk's times are missing, its name may tell them.

    Raises:
        DetectionsInvalid: not JSON, or a key is missing or of the wrong kind; says which.
    """
    content = _Fields(path, "", _load(path))
    chunk = content.fields("chunk")
    chunk_id = content.text("chunk_id")
    if not chunk_id:
        raise content.wrong("chunk_id", "is missing")
    status = content.text("status") or "ok"
    if status not in STATUSES:
        raise content.wrong("status", f"is {status!r}, not one of {', '.join(STATUSES)}")
    named_start_ms, named_end_ms = parse_times(chunk_id)
    origin = ChunkOrigin(
        chunk_id=chunk_id,
        recording_id=content.text("recording_id") or path.parent.name,
        source_path=content.text("source_path"),
        start_ms=_first(chunk.integer("start_ms"), named_start_ms),
        end_ms=_first(chunk.integer("end_ms"), named_end_ms),
        overlap_ms=chunk.integer("overlap_ms"),
        sha256=chunk.text("sha256"),
        notes=chunk.text("notes"),
        dataset_root=content.text("dataset_root"),
        config_hash=content.text("config_hash"),
        key=content.text("key"),
    )
    return ChunkOutput(
        path=path,
        origin=origin,
        status=status,
        detections=tuple(_read_detection(one) for one in content.each("detections")),
        runner=content.text("runner"),
        model_version=content.text("model_version"),
        model_sha256=content.text("model_sha256"),
        error=content.text("error"),
        has_detections_key=content.has("detections"),
    )


def read_hawkears_table(output: ChunkOutput) -> Iterator[FoundInChunk]:
    """Yields what HawkEars' own table says of a chunk, where its JSON file says nothing.

    Raises:
        DetectionsInvalid: there is such a table, and it cannot be read.
    """
    folders = (
        output.path.with_name(f"{output.origin.chunk_id}{HAWKEARS_ENDING}"),
        output.path.parent,
    )
    path = next(
        (one / _HAWKEARS_TABLE for one in folders if (one / _HAWKEARS_TABLE).is_file()), None
    )
    if path is None:
        return
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                if Path(row["filename"]).stem == output.origin.chunk_id:
                    yield FoundInChunk(
                        timestamp_ms=round(float(row["start_time"]) * 1000),
                        end_ms=round(float(row["end_time"]) * 1000),
                        label=row["class_code"] or row["class_name"] or "unknown",
                        label_code=row["class_code"] or "",
                        label_name=row["class_name"] or "",
                        scientific_name="",
                        confidence=float(row["score"]),
                    )
    except (csv.Error, KeyError, ValueError, TypeError) as error:
        what = f"not a table of HawkEars ({error!r})"
        raise DetectionsInvalid(what, path, "Remove it, or run the chunk again") from error


class _Fields:
    """The keys of an object in a file, each read with a complaint that names it."""

    def __init__(self, path: Path, place: str, content: Any) -> None:
        self._path = path
        self._place = place
        if not isinstance(content, dict):
            raise self.wrong("", f"is {_kind(content)}, not an object")
        self._content: dict[str, Any] = content

    def has(self, key: str) -> bool:
        return self._content.get(key) is not None

    def text(self, key: str) -> str:
        """Returns a text, empty where there is none."""
        value = self._content.get(key)
        if value is not None and not isinstance(value, str):
            raise self.wrong(key, f"is {_kind(value)}, not a text")
        return value or ""

    def flag(self, key: str) -> bool | None:
        """Returns true, false, or None where there is neither."""
        value = self._content.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(key, f"is {_kind(value)}, neither true nor false")
        return value

    def number(self, key: str) -> float | None:
        """Returns a finite number; None where there is none."""
        value = self._content.get(key)
        if value is None:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value):
            raise self.wrong(key, f"is {_kind(value)}, not a number")
        return float(value)

    def integer(self, key: str) -> int | None:
        """Returns a whole number, rounded where the file has a fraction."""
        value = self.number(key)
        return None if value is None else round(value)

    def required(self, key: str) -> float:
        """Returns a number that must be there."""
        value = self.number(key)
        if value is None:
            raise self.wrong(key, "is missing")
        return value

    def fields(self, key: str) -> "_Fields":
        """Returns an object's keys; none where it is missing."""
        return _Fields(self._path, self._name(key), self._content.get(key) or {})

    def each(self, key: str) -> list["_Fields"]:
        """Returns the objects in a list; none where it is missing."""
        value = self._content.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.wrong(key, f"is {_kind(value)}, not a list")
        name = self._name(key)
        return [_Fields(self._path, f"{name}[{i}]", one) for i, one in enumerate(value)]

    def wrong(self, key: str, what: str) -> DetectionsInvalid:
        """Returns the complaint about a key."""
        return DetectionsInvalid(f"{self._name(key) or 'its content'} {what}", self._path, _REMEDY)

    def _name(self, key: str) -> str:
        return ".".join(filter(None, (self._place, key)))


def _read_detection(fields: _Fields) -> FoundInChunk:
    confidence = fields.required("confidence")
    if not 0 <= confidence <= 1:
        raise fields.wrong("confidence", f"is {confidence:g}, not between 0 and 1")
    code, name = fields.text("label_code"), fields.text("label_name")
    return FoundInChunk(
        timestamp_ms=round(fields.required("timestamp_ms")),
        end_ms=fields.integer("end_ms"),
        label=fields.text("label") or code or name or "unknown",
        label_code=code,
        label_name=name,
        scientific_name=fields.text("scientific_name"),
        confidence=confidence,
        is_expected=fields.flag("is_expected"),
        occurrence=fields.number("occurrence"),
    )


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DetectionsInvalid("there is no such file", path, _REMEDY) from error
    except (ValueError, RecursionError) as error:
        raise DetectionsInvalid(f"not JSON ({error})", path, _REMEDY) from error
    except OSError as error:
        raise DetectionsInvalid(f"cannot be read ({error.strerror})", path, _REMEDY) from error


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _kind(value: Any) -> str:
    """Returns a value as JSON would show it, shortened."""
    shown = json.dumps(value)
    limit = 40
    return shown if len(shown) <= limit else f"{shown[:limit]}..."
