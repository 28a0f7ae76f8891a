"""The table of every recording a dataset ever had: its name, path and fingerprint.

A scan only adds: a missing file keeps its row and its name until `forget_missing`. A file with the
content of a missing one is that recording under another path, with the same name: see
`renames.py`. A recording's description is made in `describe.py`.
"""

import csv
import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Self, TypeVar

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from badc_core.atomic import replacing, writing_text
from badc_core.csv_tables import as_written, write_rows
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid, RecordingUnknown
from badc_core.file_names import FileName, PathInside
from badc_core.hashing import fingerprint_file
from badc_core.locks import locked
from badc_core.recordings.identity import assign_ids
from badc_core.recordings.renames import match_renames
from badc_core.recordings.scan import FoundAudio, find_audio, find_gone
from badc_core.validation import explain_invalid

_COLUMNS = ("recording_id", "path", "size_bytes", "modified_ns", "fingerprint", "first_path")
_OLDER_COLUMNS = _COLUMNS[:-1]
"""Of tables in which no recording has been renamed; the code before wrote only those."""
_REMEDY = "Restore recordings.csv from version control, or correct that line"
_T = TypeVar("_T")
_Content = tuple[int | None, str | None]
"""Size in bytes and fingerprint."""
_OrEmpty = Annotated[_T | None, BeforeValidator(lambda cell: cell or None)]


@dataclass(frozen=True, slots=True)
class RegisteredRecording:
    """A row.

    Attributes:
        path: relative to the dataset's root, with forward slashes.
        size_bytes, modified_ns: of the content when it was last seen; None if it never was.
        fingerprint: of that content; None if it could not be read.
        first_path: under which it got its name, if it was renamed since.
    """

    recording_id: FileName
    path: PathInside
    size_bytes: _OrEmpty[int] = None
    modified_ns: _OrEmpty[int] = None
    fingerprint: _OrEmpty[str] = None
    first_path: _OrEmpty[PathInside] = None

    @property
    def is_renamed(self) -> bool:
        """Whether it has another path than when it got its name."""
        return self.first_path is not None

    def moved_to(self, now: Self) -> Self:
        """Returns the recording under the path at which its content was found."""
        first = self.first_path or self.path
        return replace(
            self,
            path=now.path,
            size_bytes=now.size_bytes,
            modified_ns=now.modified_ns,
            first_path=None if first == now.path else first,
        )


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

    def without(self, recording_ids: Collection[str]) -> list[RegisteredRecording]:
        """Returns the others, in order."""
        left = set(recording_ids)
        return [one for one in self if one.recording_id not in left]

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
        has_renamed = any(recording.first_path for recording in self)
        columns = _COLUMNS if has_renamed else _OLDER_COLUMNS
        with replacing(path) as aside, writing_text(aside) as file:
            write_rows(file, columns, ([getattr(one, name) for name in columns] for one in self))


@dataclass(frozen=True)
class ScanOutcome:
    """The result of a scan.

    Attributes:
        registry: the table as it is now.
        added: recording_ids assigned by this scan.
        changed: known recordings whose content has changed.
        missing: known recordings without a file or link.
        total: rows of the registry.
        renamed: recording_id -> former path of those found under another one.
        dropped: recording_ids of files that had never been read, and turned out to be one of
            those renamed.
    """

    registry: Registry
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    total: int = 0
    renamed: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()


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
        found: the audio files to look at, if not all; the others are as they were.

    Raises:
        DatasetInvalid: the registry is malformed.
        StorageFull: the registry cannot be written.
    """
    with locked(dataset.lock):
        before = read_registry(dataset.registry)
        here = {audio.path: audio for audio in (find_audio(dataset) if found is None else found)}
        gone = find_gone(dataset, (path for path in before.by_path if path not in here))
        seen = {path: _look_at(dataset, before, audio) for path, audio in here.items()}
        renamed = _find_renamed(dataset, before, seen, gone)
        rows = _place(before, seen, renamed)
        dropped = tuple(one for one in before.ids if one not in rows)
        taken = {recording.recording_id: recording.path for recording in rows.values()}
        new_ids = assign_ids(here, taken, dataset.settings.recordings.roots)
        for path, recording_id in new_ids.items():
            rows[recording_id] = replace(seen[path], recording_id=recording_id)
        after = Registry(rows.values())
        if after.by_id != before.by_id or not dataset.registry.exists():
            after.write(dataset.registry)
    return ScanOutcome(
        registry=after,
        added=tuple(sorted(new_ids.values())),
        changed=tuple(one for one in before.ids if _has_changed(before, after, one)),
        missing=tuple(row.recording_id for row in after if row.path in gone),
        total=len(after),
        renamed={one: before.by_id[one].path for one in sorted(renamed)},
        dropped=dropped,
    )


def forget_missing(dataset: Dataset) -> tuple[str, ...]:
    """Removes recordings without a file or link from the registry; returns their names.

    Their results stay on disk. Only done on request: files on a card that is not mounted look the
    same as deleted files. Those in a folder that may not be read are kept.

    Raises:
        DatasetInvalid: the registry is malformed, or all files of a recordings folder are missing.
        StorageFull: the registry cannot be written.
    """
    with locked(dataset.lock):
        before = read_registry(dataset.registry)
        gone = find_gone(dataset, before.by_path)
        _require_some_left(dataset, before, gone)
        kept = Registry(row for row in before if row.path not in gone)
        if len(kept) < len(before):
            kept.write(dataset.registry)
    return tuple(one for one in before.ids if one not in kept)


def _require_some_left(dataset: Dataset, registry: Registry, gone: set[str]) -> None:
    """Raises DatasetInvalid where a recordings folder is empty, as that of an unmounted disk is."""
    here = [audio.path for audio in find_audio(dataset)] if gone else []
    for root in dataset.settings.recordings.roots:
        start = f"{PurePosixPath(root).as_posix()}/"
        known = [path for path in registry.by_path if path.startswith(start)]
        if known and gone.issuperset(known) and not any(path.startswith(start) for path in here):
            raise DatasetInvalid(
                f"all of its {len(known)} recordings are missing, so none is forgotten",
                dataset.root / root,
                "If they are on a disk, mount it",
            )


def _look_at(dataset: Dataset, before: Registry, audio: FoundAudio) -> RegisteredRecording:
    """Returns the row of a path for the content it has now; without a name for a new path."""
    known = before.by_path.get(audio.path, RegisteredRecording("", audio.path))
    return _update(dataset, known, audio)


def _find_renamed(
    dataset: Dataset, before: Registry, seen: Mapping[str, RegisteredRecording], gone: set[str]
) -> dict[str, str]:
    """Returns recording_id -> path of known recordings whose content is found elsewhere."""
    displaced = {
        row.path: (row.size_bytes, row.fingerprint)
        for row in before
        if row.size_bytes and row.fingerprint
        if row.path in gone or _is_other(row, seen.get(row.path))
    }
    if not displaced:
        return {}
    contents = set(displaced.values())
    arrived: dict[str, _Content] = {}
    owned: set[str] = set()
    for path, now in seen.items():
        known = before.by_path.get(path)
        is_read = known is not None and known.fingerprint is not None
        if not is_read or path in displaced:
            arrived[path] = _content_among(dataset, now, contents)
            owned.update([path] if is_read else [])
    moved = match_renames(displaced, arrived, owned)
    return {before.by_path[old].recording_id: new for old, new in moved.items()}


def _is_other(known: RegisteredRecording, now: RegisteredRecording | None) -> bool:
    """Whether a path has another content than it had; not where that cannot be read."""
    return now is not None and now.fingerprint not in {None, known.fingerprint}


def _content_among(
    dataset: Dataset, now: RegisteredRecording, known: Collection[_Content]
) -> _Content:
    """Returns the content of a file, with the kind of fingerprint by which it is known.

    Where files are read in full now, it may be known from when only their ends were read.
    """
    content = now.size_bytes, now.fingerprint
    is_full = dataset.settings.recordings.fingerprint == "full"
    if is_full and content not in known and now.fingerprint is not None:
        with suppress(OSError):
            return now.size_bytes, fingerprint_file(dataset.audio(now.path), "sampled")
    return content


def _place(
    before: Registry, seen: Mapping[str, RegisteredRecording], renamed: Mapping[str, str]
) -> dict[str, RegisteredRecording]:
    """Returns the rows of known recordings, each at its path of now."""
    paths = set(renamed.values())
    moved = {one: before.by_id[one].moved_to(seen[path]) for one, path in renamed.items()}
    stayed = {
        row.recording_id: seen.get(row.path, row)
        for row in before
        if row.recording_id not in moved and row.path not in paths
    }
    return stayed | moved


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
    old, new = before.by_id[recording_id], after.by_id.get(recording_id)
    return new is not None and old.fingerprint is not None and old.fingerprint != new.fingerprint


def _parse_rows(reader: Any, path: Path, wanted: set[str] | None) -> Iterator[RegisteredRecording]:
    """Yields the rows of some recordings; of all for None."""
    columns = tuple(next(reader, ()))
    if columns not in {_COLUMNS, _OLDER_COLUMNS}:
        raise DatasetInvalid(f"line 1 is not {','.join(_COLUMNS)}", path, _REMEDY)
    seen: set[tuple[str, str]] = set()
    for cells in map(as_written, reader):
        if wanted is not None and (not cells or cells[0] not in wanted):
            continue
        place = f"line {reader.line_num}"
        if len(cells) != len(columns):
            what = f"{place} has {len(cells)} cells, expected {len(columns)}"
            raise DatasetInvalid(what, path, _REMEDY)
        try:
            recording = _ROW.validate_python(dict(zip(columns, cells, strict=True)))
        except ValidationError as error:
            raise DatasetInvalid(f"{place}: {explain_invalid(error)}", path, _REMEDY) from error
        own = {("recording_id", recording.recording_id), ("path", recording.path)}
        if own & seen:
            raise DatasetInvalid(f"{place} repeats a recording or path", path, _REMEDY)
        seen |= own
        yield recording
