"""The table of every recording a dataset ever had: its name, path and fingerprint.

A scan only adds: a missing file keeps its row and its name until `forget_missing`. A file with the
content of a missing one is that recording under another path, with the same name: see
`renames.py`. A recording's description is made in `describe.py`.
"""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import attrgetter
from pathlib import Path

from badc_core.datasets.dataset import Dataset
from badc_core.datasets.work_folder import prepare_work_file
from badc_core.errors import RecordingUnknown
from badc_core.hashing import fingerprint_file
from badc_core.locks import locked
from badc_core.provenance.fetching import require_fetched_all
from badc_core.provenance.tracking import write_tracking_rules
from badc_core.recordings.gone import find_gone, require_some_left
from badc_core.recordings.identity import assign_ids
from badc_core.recordings.registered import RegisteredRecording, read_table, write_table
from badc_core.recordings.renames import find_renamed
from badc_core.recordings.scan import FoundAudio, find_audio
from badc_core.recordings.seen_times import keep_times, read_seen_times

_TABLES_KNOWN = 4


class Registry:
    """The recordings, ordered by recording_id; never changed once it is made."""

    def __init__(self, recordings: Iterable[RegisteredRecording] = ()) -> None:
        ordered = sorted(recordings, key=attrgetter("recording_id"))
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
        """Returns a recording, also by its path, or the end of that.

        Raises:
            RecordingUnknown: there is none of that name; the message lists similar names.
        """
        if recording_id in self.by_id:
            return self.by_id[recording_id]
        found = [path for path in self.by_path if f"/{path}".endswith(f"/{recording_id}")]
        if len(found) == 1:
            return self.by_path[found[0]]
        raise unknown_recording(recording_id, self.by_id)

    def write(self, path: Path) -> None:
        """Writes the table as CSV, replacing what was there."""
        write_table(path, tuple(self))


def unknown_recording(recording_id: str, known: Iterable[str]) -> RecordingUnknown:
    """Returns the error about a name that no recording has; the message lists similar ones."""
    names = sorted(known)
    close = [one for one in names if recording_id and one.startswith(recording_id)][:3]
    close = close or difflib.get_close_matches(recording_id, names, n=3)
    remedy = f"Did you mean {', '.join(close)}?" if close else "Run: badc scan DATASET"
    return RecordingUnknown("no recording of this name in the dataset", recording_id, remedy)


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

    @property
    def paths_here(self) -> list[str]:
        """Paths of the recordings whose file or link is there, in order."""
        return [one.path for one in self.registry.without(self.missing)]


def read_registry(path: Path) -> Registry:
    """Returns the registry in a file; an empty one where there is no file.

    It is read again only after the file changed: of 100,000 rows that takes most of a second.

    Raises:
        DatasetInvalid: not such a table; the line is named.
    """
    with suppress(OSError):
        status = path.stat()
        # A new time or another file: whoever writes the table puts a new file in its place.
        return _read_version(path, status.st_ino, status.st_size, status.st_ctime_ns)
    return Registry(read_table(path, None))


@lru_cache(maxsize=_TABLES_KNOWN)
def _read_version(path: Path, _inode: int, _size_bytes: int, _changed_ns: int) -> Registry:
    return Registry(read_table(path, None))


def read_rows(path: Path, recording_ids: Iterable[str]) -> dict[str, RegisteredRecording]:
    """Returns the rows of some recordings, as far as there are any; the others are not checked.

    Raises:
        DatasetInvalid: not such a table, or one of these rows is malformed.
    """
    return {row.recording_id: row for row in read_table(path, set(recording_ids))}


def register_recordings(dataset: Dataset, found: list[FoundAudio] | None = None) -> ScanOutcome:
    """Brings the registry up to date with the files, and returns what is new.

    Processes that register at the same time take turns. A file whose size and time have not
    changed is not read.

    Args:
        dataset: the dataset to scan.
        found: the audio files to look at, if not all; the others are as they were.

    Raises:
        DatasetInvalid: the registry is malformed.
        ContentMissing: the registry is annexed, and could not be fetched.
        StorageFull: the registry cannot be written.
    """
    require_fetched_all([dataset.registry])
    with locked(prepare_work_file(dataset.work_folder, dataset.lock)):
        write_tracking_rules(dataset.root)
        before = read_registry(dataset.registry)
        here = {audio.path: audio for audio in (find_audio(dataset) if found is None else found)}
        gone = find_gone(dataset, [path for path in before.by_path if path not in here], here)
        times = read_seen_times(dataset, before.by_path)
        known = before.by_path | times
        if dataset.registry.exists() and all(_is_known(known, audio) for audio in here.values()):
            return ScanOutcome(before, missing=_missing(before, gone), total=len(before))
        seen = {path: look_at(dataset, known.get(path), audio) for path, audio in here.items()}
        renamed = _find_renamed(dataset, before, seen, gone)
        rows = _place(before, seen, renamed)
        keep_times(dataset, times, before.by_id, rows)
        dropped = tuple(one for one in before.ids if one not in rows)
        taken = {recording.recording_id: recording.path for recording in rows.values()}
        new_ids = assign_ids(here, taken, dataset.settings.recordings.roots)
        for path, recording_id in new_ids.items():
            rows[recording_id] = replace(seen[path], recording_id=recording_id)
        after = Registry(rows.values())
        if after.by_id != before.by_id or not dataset.registry.exists():
            after.write(dataset.registry)
        else:
            after = before
    return ScanOutcome(
        registry=after,
        added=tuple(sorted(new_ids.values())),
        changed=tuple(one for one in before.ids if _has_changed(before, after, one)),
        missing=_missing(after, gone),
        total=len(after),
        renamed={one: before.by_id[one].path for one in sorted(renamed)},
        dropped=dropped,
    )


def look_at(
    dataset: Dataset, known: RegisteredRecording | None, audio: FoundAudio
) -> RegisteredRecording:
    """Returns the row of a path for the content it has now; without a name for a new path.

    A file is read if its content is here, and has another size or time than in the row.
    """
    known = known or RegisteredRecording("", audio.path)
    if audio.size_bytes is None or _has_same_content(known, audio):
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


def forget_missing(dataset: Dataset) -> tuple[str, ...]:
    """Removes recordings without a file or link from the registry; returns their names.

    Their results stay on disk. Only done on request: files on a card that is not mounted look the
    same as deleted files. Those in a folder that may not be read are kept.

    Raises:
        DatasetInvalid: the registry is malformed, or all files of a recordings folder are missing.
        StorageFull: the registry cannot be written.
    """
    with locked(prepare_work_file(dataset.work_folder, dataset.lock)):
        before = read_registry(dataset.registry)
        gone = find_gone(dataset, before.by_path)
        require_some_left(dataset, before.by_path, gone)
        kept = Registry(row for row in before if row.path not in gone)
        if len(kept) < len(before):
            kept.write(dataset.registry)
    return tuple(one for one in before.ids if one not in kept)


def _is_known(known: Mapping[str, RegisteredRecording], audio: FoundAudio) -> bool:
    """Returns whether a scan has nothing to do for a file."""
    row = known.get(audio.path)
    return row is not None and (audio.size_bytes is None or _has_same_content(row, audio))


def _has_same_content(row: RegisteredRecording, audio: FoundAudio) -> bool:
    is_same = (row.size_bytes, row.modified_ns) == (audio.size_bytes, audio.modified_ns)
    return is_same and row.fingerprint is not None


def _missing(registry: Registry, gone: set[str]) -> tuple[str, ...]:
    return tuple(row.recording_id for row in registry if row.path in gone) if gone else ()


def _find_renamed(
    dataset: Dataset, before: Registry, seen: Mapping[str, RegisteredRecording], gone: set[str]
) -> dict[str, str]:
    """Returns recording_id -> path of known recordings whose content is found elsewhere."""
    is_full = dataset.settings.recordings.fingerprint == "full"

    def older_fingerprint(path: str) -> str | None:
        with suppress(OSError):
            # Where files are read in full now, one may be known from when only its ends were.
            return fingerprint_file(dataset.audio(path), "sampled") if is_full else None
        return None

    moved = find_renamed(before.by_path, seen, gone, older_fingerprint)
    return {before.by_path[old].recording_id: new for old, new in moved.items()}


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


def _has_changed(before: Registry, after: Registry, recording_id: str) -> bool:
    """Returns whether known content was replaced; a new time alone is no change."""
    old, new = before.by_id[recording_id], after.by_id.get(recording_id)
    return new is not None and old.fingerprint is not None and old.fingerprint != new.fingerprint
