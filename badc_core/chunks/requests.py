"""What a chunk manifest asks for, row by row, whichever version of BADC wrote it.

Only the table is read here: no audio file is opened. Turning rows into what workers are given is
in `manifest_runs/manifest_tasks.py`.
"""

import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from badc_core.chunks.plan import times_in_name
from badc_core.errors import ManifestMismatch
from badc_core.units import samples_to_ms

DRY_RUN = "DRY_RUN"
"""Stands in place of a hash where a manifest was made to look at, and no chunk was."""

_REQUIRED = ("recording_id", "chunk_id", "source_path", "start_ms", "end_ms")
_SHA256_LENGTH = 64
_LONGEST_NAME_BYTES = 240
_REMEDY = "Correct it, or make one: badc chunk manifest FILE"


@dataclass(frozen=True)
class ChunkRequest:
    """A row.

    Attributes:
        line: of the manifest, the header being the first.
        recording_id, chunk_id: as they stand there; they name the outputs.
        source_path: as it stands there.
        audio: the same, absolute, links kept.
        start_ms, end_ms, overlap_ms: in the recording.
        sha256: as it stands there: hex, a word, or empty.
        notes: how the chunk is stored.
        frames: first sample and one past the last, in the recording; None where not told.
        sample_rate_hz: of the recording; None where not told.
        parent_sha256: of the recording's file, hex; empty where not told.
    """

    line: int
    recording_id: str
    chunk_id: str
    source_path: str
    audio: Path
    start_ms: int
    end_ms: int
    overlap_ms: int
    sha256: str
    notes: str
    frames: tuple[int, int] | None = None
    sample_rate_hz: int | None = None
    parent_sha256: str = ""

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
        return len(self.sha256) == _SHA256_LENGTH and _is_hex(self.sha256)

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
        root: where relative paths begin; what is not there is looked for beside its manifest.

    Raises:
        ManifestMismatch: absent, not CSV, empty, made by a dry run, or a row that cannot be used
            or names a chunk a second time; the line is named.
    """
    grouped: dict[str, list[ChunkRequest]] = {}
    seen: dict[str, str] = {}
    for manifest in manifests:
        for request in _read(manifest, root):
            _require_distinct(seen, manifest, request)
            grouped.setdefault(request.recording_id, []).append(request)
    for requests in grouped.values():
        requests.sort(key=lambda one: (one.start_ms, one.end_ms))
    return {recording_id: tuple(requests) for recording_id, requests in grouped.items()}


def _read(manifest: Path, root: Path | None) -> list[ChunkRequest]:
    roots = [manifest.parent] if root is None else [root, manifest.parent]
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in _REQUIRED if name not in (reader.fieldnames or ())]
            if missing:
                raise _mismatch(manifest, f"it has no column {', '.join(missing)}")
            requests = [_Cells(manifest, reader.line_num, cells).request(roots) for cells in reader]
    except FileNotFoundError as error:
        raise _mismatch(manifest, "there is no such file") from error
    except OSError as error:
        raise _mismatch(manifest, f"cannot be read ({error.strerror})") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise _mismatch(manifest, f"not a CSV table ({error})") from error
    if not requests:
        raise _mismatch(manifest, "it has no rows")
    return requests


class _Cells:
    """The cells of a row, each read with a complaint that names the line and the column."""

    def __init__(self, manifest: Path, line: int, cells: dict[str, str | None]) -> None:
        self._manifest = manifest
        self._line = line
        self._cells = cells

    def request(self, roots: list[Path]) -> ChunkRequest:
        """Returns the row.

        Args:
            roots: where a relative path may begin; the first below which it exists counts.
        """
        recording_id, chunk_id = self._name("recording_id"), self._name("chunk_id")
        source_path = self._required("source_path")
        sha256 = self._text("sha256")
        if sha256 == DRY_RUN:
            raise ManifestMismatch(
                f"line {self._line}: sha256 is DRY_RUN: no chunk was made",
                self._manifest,
                "Run: badc chunk run FILE",
            )
        rate_hz, frames = self._integer("sample_rate"), self._frames()
        named = times_in_name(chunk_id)
        times_ms = [self._integer("start_ms"), self._integer("end_ms")]
        if frames is not None and rate_hz:
            named = samples_to_ms(frames[0], rate_hz), samples_to_ms(frames[1], rate_hz)
        start_ms, end_ms = (
            other if one is None else one for one, other in zip(times_ms, named, strict=True)
        )
        if start_ms is None or end_ms is None:
            raise self._wrong("start_ms" if start_ms is None else "end_ms", "is empty")
        if not 0 <= start_ms < end_ms:
            raise self._wrong("end_ms", f"is {end_ms}, start_ms is {start_ms}")
        return ChunkRequest(
            line=self._line,
            recording_id=recording_id,
            chunk_id=chunk_id,
            source_path=source_path,
            audio=_locate(source_path, roots),
            start_ms=start_ms,
            end_ms=end_ms,
            overlap_ms=self._integer("overlap_ms") or 0,
            sha256=sha256.lower() if _is_hex(sha256) else sha256,
            notes=self._text("notes"),
            frames=frames if rate_hz else None,
            sample_rate_hz=rate_hz,
            parent_sha256=self._text("parent_sha256").lower(),
        )

    def _text(self, column: str) -> str:
        return (self._cells.get(column) or "").strip()

    def _required(self, column: str) -> str:
        text = self._text(column)
        if not text or "\0" in text:
            raise self._wrong(column, "is empty" if not text else "has a zero byte in it")
        return text

    def _name(self, column: str) -> str:
        """Returns what a file or folder can be called."""
        text = self._required(column)
        if "/" in text or text in {".", ".."} or len(os.fsencode(text)) > _LONGEST_NAME_BYTES:
            raise self._wrong(column, f"cannot name a file: {text[:80]!r}")
        return text

    def _integer(self, column: str) -> int | None:
        """Returns a whole number; the original BADC also wrote `60000.0`, or nothing."""
        text = self._text(column)
        try:
            return round(float(text)) if text else None
        except (ValueError, OverflowError) as error:
            raise self._wrong(column, f"is {text!r}, not a number") from error

    def _frames(self) -> tuple[int, int] | None:
        start, end = self._integer("start_frame"), self._integer("end_frame")
        if start is None or end is None:
            return None
        if not 0 <= start < end:
            raise self._wrong("end_frame", f"is {end}, start_frame is {start}")
        return start, end

    def _wrong(self, column: str, what: str) -> ManifestMismatch:
        return _mismatch(self._manifest, f"line {self._line}: {column} {what}")


def _locate(source_path: str, roots: list[Path]) -> Path:
    """Returns an absolute path; a link whose content is elsewhere exists too."""
    candidates = [root / source_path for root in roots]
    found = next((one for one in candidates if os.path.lexists(one)), candidates[0])
    return Path(os.path.abspath(found))  # noqa: PTH100  (resolve() would follow links)


def _require_distinct(seen: dict[str, str], manifest: Path, request: ChunkRequest) -> None:
    """Raises where a chunk_id was seen before: it names outputs, telemetry and summaries."""
    before = seen.setdefault(request.chunk_id, f"{manifest}, line {request.line}")
    if before != f"{manifest}, line {request.line}":
        what = f"line {request.line}: chunk_id {request.chunk_id} is there already ({before})"
        raise _mismatch(manifest, what)


def _is_hex(text: str) -> bool:
    return bool(text) and all(one in "0123456789abcdefABCDEF" for one in text)


def _mismatch(path: Path, what: str) -> ManifestMismatch:
    return ManifestMismatch(what, path, _REMEDY)
