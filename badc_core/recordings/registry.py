"""The table of every recording a dataset ever had: name, path, and how to notice a change.

A scan only adds: a file that is gone keeps its row and its name until `forget_missing`. What a
recording is, beyond this, is in `describe.py`.
"""

import csv
import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from badc_core.atomic import replacing
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid, RecordingUnknown
from badc_core.hashing import fingerprint_file
from badc_core.locks import locked
from badc_core.recordings.identity import assign_ids
from badc_core.recordings.scan import FoundAudio, find_audio

_COLUMNS = ("recording_id", "path", "size_bytes", "modified_ns", "fingerprint")
_REMEDY = "Restore recordings.csv from version control, or correct that line"


@dataclass(frozen=True, slots=True)
class RegisteredRecording:
    """A row.

    Attributes:
        path: relative to the dataset's root, with forward slashes.
        size_bytes, modified_ns: of the content when it was last seen; None if it never was.
        fingerprint: of that content; None if it could not be read.
    """

    recording_id: str
    path: str
    size_bytes: int | None = None
    modified_ns: int | None = None
    fingerprint: str | None = None


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
            RecordingUnknown: there is none of that name; similar names are given.
        """
        if recording_id in self.by_id:
            return self.by_id[recording_id]
        close = difflib.get_close_matches(recording_id, self.by_id, n=3)
        remedy = f"Did you mean {', '.join(close)}?" if close else "Run: badc scan DATASET"
        raise RecordingUnknown("no recording of this name in the dataset", recording_id, remedy)

    def write(self, path: Path) -> None:
        """Writes the table as CSV, replacing what was there."""
        with replacing(path) as aside, aside.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_COLUMNS)
            for recording in self:
                writer.writerow([getattr(recording, column) for column in _COLUMNS])


@dataclass(frozen=True)
class ScanOutcome:
    """What a scan found.

    Attributes:
        registry: the table as it is now.
        added: names given by this scan.
        changed: known recordings whose content is another than before.
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
    if not path.exists():
        return Registry()
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            return Registry(_parse_rows(reader, path))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DatasetInvalid(f"not a readable CSV table ({error})", path, _REMEDY) from error


def register_recordings(dataset: Dataset, found: list[FoundAudio] | None = None) -> ScanOutcome:
    """Brings the registry up to date with the files and returns what is new.

    Processes that register at the same time take turns. A file whose size and time are as
    before is not read.

    Args:
        dataset: the dataset to scan.
        found: its audio files if they are known already; otherwise they are searched.

    Raises:
        DatasetInvalid: the registry is malformed, or a folder may not be read.
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
    """Takes recordings without a file or link out of the registry; returns their names.

    Their results stay on disk. Only ever done when somebody asks for it: a card that is not
    mounted looks the same as files that are gone for good.

    Raises:
        DatasetInvalid: the registry is malformed, or a folder may not be read.
        StorageFull: the registry cannot be written.
    """
    with locked(dataset.lock):
        before = read_registry(dataset.registry)
        here = {audio.path for audio in find_audio(dataset)}
        kept = Registry(row for row in before if row.path in here)
        if len(kept) < len(before):
            kept.write(dataset.registry)
    return tuple(one for one in before.ids if one not in kept)


def _update(dataset: Dataset, known: RegisteredRecording, audio: FoundAudio) -> RegisteredRecording:
    """Returns the row with a fresh fingerprint if the file is here and not the one last seen."""
    is_same = (known.size_bytes, known.modified_ns) == (audio.size_bytes, audio.modified_ns)
    if audio.size_bytes is None or (is_same and known.fingerprint is not None):
        return known
    kind = dataset.settings.recordings.fingerprint
    try:
        fingerprint = fingerprint_file(dataset.audio(audio.path), kind)
    except OSError:
        # One unreadable file must not stop the scan; describing it says what is wrong with it.
        fingerprint = None
    return replace(
        known,
        size_bytes=audio.size_bytes,
        modified_ns=audio.modified_ns,
        fingerprint=fingerprint,
    )


def _has_changed(before: Registry, after: Registry, recording_id: str) -> bool:
    """Tells whether a known content was replaced; a mere touch is no change."""
    old, new = before.by_id[recording_id], after.by_id[recording_id]
    return old.fingerprint is not None and old.fingerprint != new.fingerprint


def _parse_rows(reader: Iterator[list[str]], path: Path) -> list[RegisteredRecording]:
    if tuple(next(reader, ())) != _COLUMNS:
        raise DatasetInvalid(f"line 1 is not {','.join(_COLUMNS)}", path, _REMEDY)
    recordings: list[RegisteredRecording] = []
    ids: set[str] = set()
    paths: set[str] = set()
    for cells in reader:
        line = getattr(reader, "line_num", len(recordings) + 2)
        recording = _parse_row(cells, line, path)
        if recording.recording_id in ids or recording.path in paths:
            raise DatasetInvalid(f"line {line} repeats a recording or path", path, _REMEDY)
        ids.add(recording.recording_id)
        paths.add(recording.path)
        recordings.append(recording)
    return recordings


def _parse_row(cells: list[str], line: int, path: Path) -> RegisteredRecording:
    if len(cells) != len(_COLUMNS) or not cells[0] or not cells[1]:
        raise DatasetInvalid(f"line {line} is malformed", path, _REMEDY)
    recording_id, audio_path, size_bytes, modified_ns, fingerprint = cells
    try:
        return RegisteredRecording(
            recording_id,
            audio_path,
            int(size_bytes) if size_bytes else None,
            int(modified_ns) if modified_ns else None,
            fingerprint or None,
        )
    except ValueError as error:
        raise DatasetInvalid(f"line {line} is malformed ({error})", path, _REMEDY) from error
