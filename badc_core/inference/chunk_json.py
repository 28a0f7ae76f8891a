"""A chunk's detections as a JSON file of its own, in the layout of the original BADC.

Written for those who read such files, and read back, the original's too, by `detections/gather.py`.
Times inside are milliseconds from the chunk's start. Nothing in a file depends on when or by which
worker it was made: equal results give equal bytes.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from badc_core.atomic import write_text
from badc_core.dataset import InferencePaths
from badc_core.detectors.interface import Detection, DetectorIdentity
from badc_core.errors import DetectionsInvalid
from badc_core.inference.protocol import ChunkResult
from badc_core.units import samples_to_ms

STATUSES = ("ok", "no_detections", "error", "no_output", "stub")
"""The last two were written by the original only."""

_REMEDY = "Delete it and run: badc infer run MANIFEST"


@dataclass(frozen=True)
class ChunkOrigin:
    """What a file says of its chunk beside what was found.

    Attributes:
        chunk_id: also the file's name.
        recording_id: whose slice.
        source_path: audio file, as its manifest names it.
        start_ms, end_ms: from the recording's start; None where nobody knows.
        overlap_ms: shared with the chunk before.
        sha256: identity of the chunk's sound; empty where it has none.
        notes: of its manifest row.
        dataset_root: folder that `source_path` starts from; empty if it is not in a dataset.
        config_hash: fingerprint of the detector's settings; empty where unknown.
    """

    chunk_id: str
    recording_id: str
    source_path: str
    start_ms: int | None
    end_ms: int | None
    overlap_ms: int | None = 0
    sha256: str = ""
    notes: str = ""
    dataset_root: str = ""
    config_hash: str = ""

    @classmethod
    def of(cls, result: ChunkResult) -> Self:
        """Returns what a result alone tells."""
        chunk = result.chunk
        return cls(
            chunk.chunk_id,
            chunk.recording_id,
            str(result.task.audio),
            chunk.start_ms,
            chunk.end_ms,
            chunk.overlap_ms,
        )


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


def write_chunk_json(
    paths: InferencePaths,
    result: ChunkResult,
    identity: DetectorIdentity,
    origin: ChunkOrigin | None = None,
) -> Path:
    """Writes what came of a chunk, replacing what was there; returns where.

    A file that says the same already is left alone. A chunk that failed gets a file too, with the
    reason, so that what was found under other settings does not stay in its place.

    Args:
        paths: where files of chunks are.
        result: what came of it.
        identity: what found it.
        origin: which chunk; as the result says if left out.

    Raises:
        StorageFull: the disk or a quota is full.
    """
    origin = origin or ChunkOrigin.of(result)
    content: dict[str, Any] = {
        "chunk_id": origin.chunk_id,
        "recording_id": origin.recording_id,
        "source_path": origin.source_path,
        "status": result.status,
        "detections": [_detection(result, one) for one in result.detections],
        "chunk": {
            "start_ms": origin.start_ms,
            "end_ms": origin.end_ms,
            "overlap_ms": origin.overlap_ms,
            "sha256": origin.sha256,
            "notes": origin.notes,
        },
        "runner": identity.name,
        "model_version": identity.version,
        "model_sha256": identity.model_sha256,
        "dataset_root": origin.dataset_root or None,
        "config_hash": origin.config_hash or None,
        "error": str(result.error) if result.error else None,
    }
    path = paths.chunk_json(origin.recording_id, origin.chunk_id)
    present = {key: value for key, value in content.items() if value is not None}
    text = json.dumps(present, indent=2, ensure_ascii=False) + "\n"
    if not _says(path, text):
        write_text(path, text)
    return path


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
    named_start_ms, named_end_ms = times_in_name(chunk_id)
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


def times_in_name(chunk_id: str) -> tuple[int | None, int | None]:
    """Returns start and end in ms as a chunk_id such as `REC_chunk_0_60000` ends with them."""
    words = chunk_id.rsplit("_", 2)
    if len(words) == 3 and words[1].isdecimal() and words[2].isdecimal():  # noqa: PLR2004
        start_ms, end_ms = int(words[1]), int(words[2])
        if start_ms < end_ms:
            return start_ms, end_ms
    return None, None


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


def _detection(result: ChunkResult, one: Detection) -> dict[str, Any]:
    chunk, label = result.chunk, one.label
    content = {
        "timestamp_ms": samples_to_ms(one.start_sample, chunk.sample_rate_hz) - chunk.start_ms,
        "end_ms": samples_to_ms(one.end_sample, chunk.sample_rate_hz) - chunk.start_ms,
        "label": label.code or label.name or "unknown",
        "label_code": label.code or None,
        "label_name": label.name or None,
        "scientific_name": label.scientific_name or None,
        "confidence": one.confidence,
        "is_expected": one.is_expected,
        "occurrence": one.occurrence,
    }
    return {key: value for key, value in content.items() if value is not None}


def _says(path: Path, text: str) -> bool:
    """Tells whether a file has this content."""
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False


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
