"""What a chunk manifest asks for, row by row, whichever version of BADC wrote it.

Only the table is read here: no audio file is opened. Turning rows into what workers are given is
in `inference/manifest_tasks.py`.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from badc_core.chunks.locate import locate
from badc_core.chunks.plan import parse_times
from badc_core.csv_tables import TableInvalid, read_rows
from badc_core.errors import ManifestMismatch
from badc_core.file_names import FileName
from badc_core.units import samples_to_ms
from badc_core.validation import explain_invalid

DRY_RUN = "DRY_RUN"
"""In place of a hash where a manifest was written to look at, and no chunk was."""

_REQUIRED = ("recording_id", "chunk_id", "source_path", "start_ms", "end_ms")
_LARGEST = 2**53
"""Further than any recording, and exact as a float."""
_SHOWN = 40
_REMEDY = "Correct it, or write one: badc chunk manifest FILE"


def _require_text(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("has a zero byte in it" if text else "is empty")
    return text


def _read_whole(cell: Any) -> int | None:
    """Returns a whole number; the original BADC also wrote `60000.0`, or nothing."""
    try:
        number = round(float(cell)) if cell else None
    except (ValueError, OverflowError) as error:
        raise ValueError(f"is {str(cell)[:_SHOWN]!r}, not a number") from error
    if number is not None and not -_LARGEST <= number <= _LARGEST:
        raise ValueError(f"is {str(cell)[:_SHOWN]!r}, out of range")
    return number


def _read_required(cell: Any) -> int:
    number = _read_whole(cell)
    if number is None:
        raise ValueError("is empty")
    return number


_Whole = Annotated[int | None, BeforeValidator(_read_whole)]
_Required = Annotated[int, BeforeValidator(_read_required)]


class ChunkRequest(BaseModel):
    """A row.

    Attributes:
        line: of the manifest, the header being the first.
        recording_id, chunk_id: as written; they name the outputs.
        source_path: as written.
        audio: the same, absolute, links kept.
        start_ms, end_ms, overlap_ms: in the recording.
        sha256: as written: hex, a word, or empty.
        notes: how the chunk is stored.
        start_frame, end_frame: in the recording, half-open; None where not given.
        sample_rate_hz: of the recording; None where not given.
        parent_sha256: of the recording's file, hex; empty where not given.
    """

    model_config = ConfigDict(frozen=True)

    line: int
    recording_id: FileName
    chunk_id: FileName
    source_path: Annotated[str, AfterValidator(_require_text)]
    audio: Path
    start_ms: _Required
    end_ms: _Required
    overlap_ms: Annotated[int, BeforeValidator(lambda cell: _read_whole(cell) or 0)] = 0
    sha256: Annotated[str, AfterValidator(lambda text: text.lower() if _is_hex(text) else text)] = (
        ""
    )
    notes: str = ""
    start_frame: _Whole = None
    end_frame: _Whole = None
    sample_rate_hz: _Whole = Field(None, validation_alias="sample_rate")
    parent_sha256: Annotated[str, AfterValidator(str.lower)] = ""

    @model_validator(mode="before")
    @classmethod
    def _complete_times(cls, cells: dict[str, Any]) -> dict[str, Any]:
        """Fills in times that are not given, from the frames or else the chunk's name."""
        rate_hz, frames = (
            cells.get("sample_rate"),
            (cells.get("start_frame"), cells.get("end_frame")),
        )
        known = parse_times(cells["chunk_id"])
        if rate_hz and all(frames):
            start, end, rate = (_read_required(cell) for cell in (*frames, rate_hz))
            if rate < 1:
                raise ValueError(f"sample_rate is {rate}")
            known = samples_to_ms(start, rate), samples_to_ms(end, rate)
        for column, time_ms in zip(("start_ms", "end_ms"), known, strict=True):
            if not cells[column] and time_ms is not None:
                cells[column] = str(time_ms)
        return cells

    @model_validator(mode="after")
    def _require_length(self) -> Self:
        if not 0 <= self.start_ms < self.end_ms:
            raise ValueError(f"end_ms is {self.end_ms}, start_ms is {self.start_ms}")
        start, end = self.start_frame, self.end_frame
        if start is not None and end is not None and not 0 <= start < end:
            raise ValueError(f"end_frame is {end}, start_frame is {start}")
        return self

    @property
    def frames(self) -> tuple[int, int] | None:
        """First sample and one past the last, in the recording; None where not given."""
        if self.start_frame is None or self.end_frame is None or not self.sample_rate_hz:
            return None
        return self.start_frame, self.end_frame

    def span(self, sample_rate_hz: int) -> tuple[int, int]:
        """Returns first sample and one past the last, as exactly as the row has them."""
        rounded = (round(ms * sample_rate_hz / 1000) for ms in (self.start_ms, self.end_ms))
        return self.frames or (next(rounded), next(rounded))

    @property
    def is_file(self) -> bool | None:
        """Whether the audio file holds this chunk alone; None where the row does not say."""
        if self.notes.startswith("file:"):
            return True
        if self.notes.startswith("virtual:") or self.frames is not None:
            return False
        return None

    @property
    def has_hash(self) -> bool:
        """Whether `sha256` is a hash."""
        return re.fullmatch("[0-9a-f]{64}", self.sha256) is not None

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return (self.end_ms - self.start_ms) / 1000


def read_requests(
    manifests: Iterable[Path], root: Path | None = None
) -> dict[str, tuple[ChunkRequest, ...]]:
    """Returns recording_id -> its rows by start, recordings in the order they appear.

    Args:
        manifests: files.
        root: where relative paths begin; see `locate` for where else they are looked for.

    Raises:
        ManifestMismatch: absent, not CSV, empty, of a dry run, or a row that cannot be used or
            names a chunk a second time; the line is named.
    """
    grouped: dict[str, list[ChunkRequest]] = {}
    seen: dict[str, str] = {}
    for manifest in manifests:
        for request in _read(manifest, root):
            place = f"{manifest}, line {request.line}"
            if seen.setdefault(request.chunk_id, place) != place:
                what = f"chunk_id {request.chunk_id} is there already ({seen[request.chunk_id]})"
                raise _mismatch(manifest, f"line {request.line}: {what}")
            grouped.setdefault(request.recording_id, []).append(request)
    return {
        recording_id: tuple(sorted(requests, key=lambda one: (one.start_ms, one.end_ms)))
        for recording_id, requests in grouped.items()
    }


def _read(manifest: Path, root: Path | None) -> list[ChunkRequest]:
    try:
        requests = list(_read_requests(manifest, root))
    except FileNotFoundError as error:
        raise _mismatch(manifest, "there is no such file") from error
    except TableInvalid as error:
        raise _mismatch(manifest, str(error)) from error
    if not requests:
        raise _mismatch(manifest, "it has no rows")
    return requests


def _read_requests(manifest: Path, root: Path | None) -> Iterator[ChunkRequest]:
    roots = [manifest.parent] if root is None else [root, manifest.parent]
    for line, cells in read_rows(manifest, _REQUIRED):
        if cells.get("sha256") == DRY_RUN:
            raise ManifestMismatch(
                f"line {line}: sha256 is DRY_RUN: no chunk was written",
                manifest,
                "Run: badc chunk run FILE",
            )
        try:
            audio = locate(cells["source_path"], roots)
            yield ChunkRequest.model_validate({**cells, "line": line, "audio": audio})
        except ValidationError as error:
            raise _mismatch(manifest, f"line {line}: {explain_invalid(error)}") from error


def _is_hex(text: str) -> bool:
    return re.fullmatch("[0-9a-fA-F]+", text) is not None


def _mismatch(path: Path, what: str) -> ManifestMismatch:
    return ManifestMismatch(what, path, _REMEDY)
