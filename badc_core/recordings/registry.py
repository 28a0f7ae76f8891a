"""The table of every recording a dataset ever had: its name, path and fingerprint.

A scan only adds: a missing file keeps its row and its name until `forget_missing`. A recording's
description is made in `describe.py`.
"""

import csv
import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, TypeAdapter, ValidationError

from badc_core.atomic import replacing, writing_text
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid, RecordingUnknown
from badc_core.hashing import fingerprint_file
from badc_core.locks import locked
from badc_core.recordings.identity import assign_ids
from badc_core.recordings.scan import FoundAudio, find_audio, list_folders
from badc_core.validation import explain_invalid

_COLUMNS = ("recording_id", "path", "size_bytes", "modified_ns", "fingerprint")
_REMEDY = "Restore recordings.csv from version control, or correct that line"
_T = TypeVar("_T")
_OrEmpty = Annotated[_T | None, BeforeValidator(lambda cell: cell or None)]
_LONGEST_ID_BYTES = 200


def _require_id(text: str) -> str:
    """Returns a name that names files and partitions; raises ValueError for any other."""
    is_safe = text.isprintable() and not text.startswith(".") and not {*"/\\"} & {*text}
    if not (text and is_safe and len(text.encode()) <= _LONGEST_ID_BYTES):
        raise ValueError(f"cannot name files: {text[:80]!r}")
    return text


def _require_inside(text: str) -> str:
    """Returns a path that stays below the folder it starts in; raises ValueError for any other."""
    path = PurePosixPath(text)
    if not text or "\0" in text or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"is not a path inside the dataset: {text[:80]!r}")
    return text


@dataclass(frozen=True, slots=True)
class RegisteredRecording:
    """A row.

    Attributes:
        path: relative to the dataset's root, with forward slashes.
        size_bytes, modified_ns: of the content when it was last seen; None if it never was.
        fingerprint: of that content; None if it could not be read.
    """

    recording_id: Annotated[str, AfterValidator(_require_id)]
    path: Annotated[str, AfterValidator(_require_inside)]
    size_bytes: _OrEmpty[int] = None
    modified_ns: _OrEmpty[int] = None
    fingerprint: _OrEmpty[str] = None


_ROW = TypeAdapter(RegisteredRecording)


class Registry:
    """The recordings, ordered by recording_id."""

    def __init__(self, recordings: Iterable[RegisteredRecording] = ()) -> None:
        ordered = sorted(recordings, key=lambda recording: recording.recording_id)
        self.by_id = {recording.recording_id: recording for recording in ordered}
        self.by_path = {recording.path: recording for recording in ordered}

    def __len__(self) -> int:
        return len(self.by_id)

    def __iter__(self) -> Iterator[RegisteredRecording]:
        return iter(self.by_id.values())

    def __contains__(self, recording_id: str) -> bool:
        return recording_id in self.by_id

    @property
    def ids(self) -> tuple[str, ...]:
        """All recording_ids in order."""
        return tuple(self.by_id)

    def require(self, recording_id: str) -> RegisteredRecording:
        """Returns a recording.

        Raises:
            RecordingUnknown: there is none of that name; the message lists similar names.
        """
        if recording_id in self.by_id:
            return self.by_id[recording_id]
        close = difflib.get_close_matches(recording_id, self.by_id, n=3)
        remedy = f"Did you mean {', '.join(close)}?" if close else "Run: badc scan DATASET"
        raise RecordingUnknown("no recording of this name in the dataset", recording_id, remedy)

    def write(self, path: Path) -> None:
        """Writes the table as CSV, replacing what was there."""
        with replacing(path) as aside, writing_text(aside) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_COLUMNS)
            for recording in self:
                writer.writerow([getattr(recording, column) for column in _COLUMNS])


@dataclass(frozen=True)
class ScanOutcome:
    """The result of a scan.

    Attributes:
        registry: the table as it is now.
        added: recording_ids assigned by this scan.
        changed: known recordings whose content has changed.
        missing: known recordings without a file or link.
        total: rows of the registry.
    """

    registry: Registry
    added: tuple[str, ...]
    changed: tuple[str, ...]
    missing: tuple[str, ...]
    total: int


def read_registry(path: Path) -> Registry:
    """Returns the registry in a file; an empty one where there is no file.

    Raises:
        DatasetInvalid: not such a table; the line is named.
    """
    return Registry(_read(path, None))


def read_rows(path: Path, recording_ids: Iterable[str]) -> dict[str, RegisteredRecording]:
    """Returns the rows of some recordings, as far as there are any; the others are not checked.

    Raises:
        DatasetInvalid: not such a table, or one of these rows is malformed.
    """
    return {row.recording_id: row for row in _read(path, set(recording_ids))}


def _read(path: Path, wanted: set[str] | None) -> list[RegisteredRecording]:
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(_parse_rows(csv.reader(file, strict=True), path, wanted))
    except OSError as error:
        raise DatasetInvalid(f"cannot be read ({error.strerror})", path, _REMEDY) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DatasetInvalid(f"not a readable CSV table ({error})", path, _REMEDY) from error


def register_recordings(dataset: Dataset, found: list[FoundAudio] | None = None) -> ScanOutcome:
    """Brings the registry up to date with the files, and returns what is new.

    Processes that register at the same time take turns. A file whose size and time have not
    changed is not read.

    Args:
        dataset: the dataset to scan.
        found: its audio files, if they are known already.

    Raises:
        DatasetInvalid: the registry is malformed.
        StorageFull: the registry cannot be written.
    """
    with locked(dataset.lock):
        before = read_registry(dataset.registry)
        here = {audio.path: audio for audio in (find_audio(dataset) if found is None else found)}
        rows = dict(before.by_id)
        taken = {recording.recording_id: recording.path for recording in before}
        new_ids = assign_ids(here, taken, dataset.settings.recordings.roots)
        for path, recording_id in new_ids.items():
            rows[recording_id] = RegisteredRecording(recording_id, path)
        for path, audio in here.items():
            recording_id = new_ids.get(path) or before.by_path[path].recording_id
            rows[recording_id] = _update(dataset, rows[recording_id], audio)
        after = Registry(rows.values())
        if after.by_id != before.by_id or not dataset.registry.exists():
            after.write(dataset.registry)
    return ScanOutcome(
        registry=after,
        added=tuple(sorted(new_ids.values())),
        changed=tuple(name for name in before.ids if _has_changed(before, after, name)),
        missing=tuple(row.recording_id for row in after if row.path not in here),
        total=len(after),
    )


def forget_missing(dataset: Dataset) -> tuple[str, ...]:
    """Removes recordings without a file or link from the registry; returns their names.

    Their results stay on disk. Only done on request: files on a card that is not mounted look the
    same as deleted files. Those in a folder that may not be read are kept.

    Raises:
        DatasetInvalid: the registry is malformed.
        StorageFull: the registry cannot be written.
    """
    with locked(dataset.lock):
        before = read_registry(dataset.registry)
        listing = list_folders(dataset)
        kept = Registry(
            row for row in before if row.path in listing.audio or listing.is_unseen(row.path)
        )
        if len(kept) < len(before):
            kept.write(dataset.registry)
    return tuple(one for one in before.ids if one not in kept)


def _update(dataset: Dataset, known: RegisteredRecording, audio: FoundAudio) -> RegisteredRecording:
    """Returns the row, with a new fingerprint if the file is here and has changed."""
    is_same = (known.size_bytes, known.modified_ns) == (audio.size_bytes, audio.modified_ns)
    if audio.size_bytes is None or (is_same and known.fingerprint is not None):
        return known
    kind = dataset.settings.recordings.fingerprint
    try:
        fingerprint = fingerprint_file(dataset.audio(audio.path), kind)
    except OSError:
        # One unreadable file must not stop the scan; describing it reports the cause.
        fingerprint = None
    return replace(
        known,
        size_bytes=audio.size_bytes,
        modified_ns=audio.modified_ns,
        fingerprint=fingerprint,
    )


def _has_changed(before: Registry, after: Registry, recording_id: str) -> bool:
    """Returns whether known content was replaced; a new time alone is no change."""
    old, new = before.by_id[recording_id], after.by_id[recording_id]
    return old.fingerprint is not None and old.fingerprint != new.fingerprint


def _parse_rows(reader: Any, path: Path, wanted: set[str] | None) -> Iterator[RegisteredRecording]:
    """Yields the rows of some recordings; of all for None."""
    if tuple(next(reader, ())) != _COLUMNS:
        raise DatasetInvalid(f"line 1 is not {','.join(_COLUMNS)}", path, _REMEDY)
    seen: set[tuple[str, str]] = set()
    for cells in reader:
        if wanted is not None and (not cells or cells[0] not in wanted):
            continue
        place = f"line {reader.line_num}"
        if len(cells) != len(_COLUMNS):
            what = f"{place} has {len(cells)} cells, expected {len(_COLUMNS)}"
            raise DatasetInvalid(what, path, _REMEDY)
        try:
            recording = _ROW.validate_python(dict(zip(_COLUMNS, cells, strict=True)))
        except ValidationError as error:
            raise DatasetInvalid(f"{place}: {explain_invalid(error)}", path, _REMEDY) from error
        own = {("recording_id", recording.recording_id), ("path", recording.path)}
        if own & seen:
            raise DatasetInvalid(f"{place} repeats a recording or path", path, _REMEDY)
        seen |= own
        yield recording
