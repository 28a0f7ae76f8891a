"""Chunks as WAV files, for programs that want files; BADC's own detectors need none.

A file has the recording's channels and rate, and its bits where a WAV can hold them. What is under
its final name is whole. Where chunks begin is decided in `plan.py`, what a file looks like in
`wave_file.py`, how far a folder has come is noted through `status.py`.
"""

import hashlib
import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from badc_core.atomic import replacing
from badc_core.audio.containers import require_content
from badc_core.chunks.manifest import StoredChunk, write_rows
from badc_core.chunks.muting import muting, muting_suffix
from badc_core.chunks.noting import Finish, noting_chunks
from badc_core.chunks.place import (
    ChunkPlace,
    CutRequest,
    lock_place,
    place_chunks,
    remove_chunk_files,
)
from badc_core.chunks.plan import Chunk
from badc_core.chunks.requests import read_requests
from badc_core.chunks.sound import choose_wav_subtype, decode_exactly, read_chunks
from badc_core.chunks.source import ChunkSource, NamedFile, name_file, open_source
from badc_core.chunks.status import STATUS_FILE, ChunkStatus, read_status, record_failure
from badc_core.chunks.validate import validate_manifest
from badc_core.chunks.wave_file import WaveForm
from badc_core.errors import ConfigInvalid, ContentMissing, ManifestMismatch
from badc_core.hashing import fingerprint_file, sha256_file
from badc_core.provenance.fetching import require_fetched_all
from badc_core.settings import RecordingSettings

NOT_WRITTEN = "DRY_RUN"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WrittenChunks:
    """The result of writing a recording's chunks.

    Attributes:
        folder: of the recording's chunk files.
        manifest: lists them.
        n_chunks: of the recording.
        n_written: by this call; the others were there and right.
        n_removed: files of other settings.
    """

    recording_id: str
    folder: Path
    manifest: Path
    n_chunks: int
    n_written: int
    n_removed: int


def write_chunks(file: Path, request: CutRequest) -> WrittenChunks:
    """Writes a recording's chunk files, their manifest and status.

    Chunks that are there and right are kept. Two processes that cut the same recording wait for
    each other.

    Raises:
        ContentMissing: the file or its annexed content is not here.
        UnreadableRecording: it cannot be decoded to its end; the status says so too.
        ConfigInvalid: settings that cannot be used, or the folder is another recording's.
        DatasetInvalid: the path cannot be written down, or the dataset's registry is malformed.
        StorageFull: the disk or a quota is full.
    """
    return write_chunks_at(place_chunks(name_file(file), request), request.include_existing)


def write_chunks_at(place: ChunkPlace, include_existing: bool = False) -> WrittenChunks:
    """Writes a recording's chunk files where they go, with their manifest and status.

    If anything was written or failed, a note in the dataset says so.

    Raises:
        ContentMissing, UnreadableRecording, ConfigInvalid, StorageFull: as for `write_chunks`.
    """
    with noting_chunks(place) as note_finished:
        return _write(place, include_existing, note_finished)


def _write(place: ChunkPlace, include_existing: bool, note_finished: Finish) -> WrittenChunks:
    require_fetched_all([place.folder / STATUS_FILE])
    if not (place.folder / STATUS_FILE).exists():
        _require_sound(place)
    with lock_place(place):
        place.write_tracking_rules()
        before = _status_before(place)
        begun = place.begin(_fingerprint(place.name))
        if before and (include_existing or not _same_work(place.name, before, begun)):
            before = None
        if before and _is_done(place, before):
            n_chunks = before.manifest_rows or 0
            return WrittenChunks(
                place.name.recording_id, place.folder, place.manifest, n_chunks, 0, 0
            )
        _require_sound(place)
        # Without a fingerprint while files of other sound may be there: if this process dies now,
        # they must not pass for chunks of this one.
        unsure = begun if before else begun.model_copy(update={"fingerprint": None})
        unsure.write(place.folder)
        with record_failure(unsure, place.folder):
            source = open_source(place.name, place.settings)
            n_stale = _clear(place, source, is_all=before is None)
        begun.write(place.folder)
        with record_failure(begun, place.folder):
            n_written = _write_missing(place, source, before)
            n_chunks = len(source.chunks)
            begun.complete(n_chunks, source.n_samples, source.sample_rate_hz).write(place.folder)
        note_finished(n_chunks, n_written)
        return WrittenChunks(
            place.name.recording_id, place.folder, place.manifest, n_chunks, n_written, n_stale
        )


def has_chunks(place: ChunkPlace) -> bool:
    """Returns whether a recording's chunk files, manifest and status are there and right.

    Raises:
        ConfigInvalid: the folder is another recording's.
    """
    before = _status_before(place)
    if before is None or before.status != "completed":
        return False
    return _same_work(place.name, before, place.begin(_fingerprint(place.name))) and _is_done(
        place, before
    )


def plan_chunk_files(file: Path, request: CutRequest) -> ChunkSource:
    """Returns what `write_chunks` would cut, and writes only the manifest if one is asked for.

    Its rows are those of the real one, except sha256, which is `DRY_RUN`.

    Raises:
        ContentMissing: the file or its annexed content is not here.
        UnreadableRecording: empty, forbidden, not audio, or shorter than its header says.
        ConfigInvalid: settings that cannot be used.
        DatasetInvalid: the path cannot be written down, or the dataset's registry is malformed.
        StorageFull: the manifest cannot be written.
    """
    place = place_chunks(name_file(file), request)
    source = open_source(place.name, place.settings)
    if request.manifest is not None:
        stored = [_stored(place, source, chunk, NOT_WRITTEN) for chunk in source.chunks]
        write_rows(place.manifest, source, stored)
    return source


def _require_sound(place: ChunkPlace) -> None:
    """Fetches a recording, before anything is written for one that cannot be had."""
    require_fetched_all([place.name.file])
    require_content(place.name.file)


def _status_before(place: ChunkPlace) -> ChunkStatus | None:
    """Returns the folder's status; None also where it is torn or the recording has moved away."""
    try:
        status = read_status(place.folder)
    except ManifestMismatch as error:
        _log.warning("starting over: %s", error)
        return None
    if status is None:
        return None
    other = place.root / status.audio_path
    is_ours = place.name.file.exists() and other.exists() and other.samefile(place.name.file)
    if other.is_file() and other != place.name.file and not is_ours:
        raise ConfigInvalid(
            f"the chunks of {other} are there",
            place.folder,
            "Give another --output-dir, since both recordings have the same name",
        )
    return status


def _fingerprint(name: NamedFile) -> str | None:
    """Returns the file's fingerprint; None where an annexed file's content is elsewhere."""
    settings = name.dataset.settings.recordings if name.dataset else RecordingSettings()
    try:
        require_content(name.file)
    except ContentMissing:
        return None
    return fingerprint_file(name.file, settings.fingerprint) + muting_suffix(name)


def _same_work(name: NamedFile, before: ChunkStatus, now: ChunkStatus) -> bool:
    """Returns whether earlier chunks are cut from the same sound in the same way.

    Sound that is elsewhere counts as the same: its chunks may outlive it here. Not where speech is
    to be muted that may be in them.
    """
    if now.fingerprint is None:
        is_same_sound = (before.fingerprint or "").endswith(muting_suffix(name))
    else:
        is_same_sound = now.fingerprint == before.fingerprint
    cut = ("chunk_duration", "overlap", "min_chunk")
    return is_same_sound and all(getattr(before, one) == getattr(now, one) for one in cut)


def _is_done(place: ChunkPlace, before: ChunkStatus) -> bool:
    named = place.name.mention(place.manifest, place.manifest)
    if before.status != "completed" or before.manifest_path != named:
        return False
    try:
        if validate_manifest(place.manifest):
            return False
        rows = read_requests([place.manifest], place.root).get(place.name.recording_id, ())
    except ManifestMismatch:
        return False
    # A dataset's manifest may have been rewritten since, with ranges of the recording.
    return bool(rows) and all(row.audio.parent == place.folder for row in rows)


def _clear(place: ChunkPlace, source: ChunkSource, is_all: bool) -> int:
    """Removes what may not be kept; returns how many files of other settings there were."""
    planned = {place.file(chunk).name for chunk in source.chunks}
    kept = set() if is_all else planned
    removed = remove_chunk_files(place.folder, place.name.recording_id, kept)
    return len(removed - planned)


def _write_missing(place: ChunkPlace, source: ChunkSource, before: ChunkStatus | None) -> int:
    """Writes the chunk files that are not there, then the manifest; returns how many."""
    hashes = _hashes_of_right_files(place, source, before)
    missing = [chunk for chunk in source.chunks if chunk not in hashes]
    decode = muting(source, lambda: decode_exactly(place.name.file, source.subtype))
    for chunk, blocks in read_chunks(decode, missing):
        digest = hashlib.sha256()
        with replacing(place.file(chunk)) as aside, aside.open("wb") as file:
            for part in _form(source, chunk).encode(blocks):
                digest.update(part)
                file.write(part)
        hashes[chunk] = digest.hexdigest()
    stored = [_stored(place, source, chunk, hashes[chunk]) for chunk in source.chunks]
    write_rows(place.manifest, source, stored)
    return len(missing)


def _form(source: ChunkSource, chunk: Chunk) -> WaveForm:
    subtype = choose_wav_subtype(source.subtype)
    return WaveForm(source.sample_rate_hz, source.n_channels, chunk.n_samples, subtype)


def _stored(place: ChunkPlace, source: ChunkSource, chunk: Chunk, sha256: str) -> StoredChunk:
    path = place.name.mention(place.file(chunk), place.manifest)
    notes = (
        f"file: this chunk alone, WAV {choose_wav_subtype(source.subtype)}; sha256 is of that file"
        f"{'; speech muted' if muting_suffix(place.name) else ''}"
    )
    return StoredChunk(chunk, path, sha256, notes)


def _hashes_of_right_files(
    place: ChunkPlace, source: ChunkSource, before: ChunkStatus | None
) -> dict[Chunk, str]:
    """Returns the chunk files that need not be written again.

    Each is as long as it must be and begins with the right header; and its hash is the
    one in the manifest of that time, if there is one.
    """
    if before is None:
        return {}
    known: dict[str, str] = {}
    with suppress(ManifestMismatch):
        manifest = place.root / before.manifest_path
        rows = read_requests([manifest], place.root).get(source.name.recording_id, ())
        known = {row.chunk_id: row.sha256 for row in rows}
    hashes = {}
    for chunk in source.chunks:
        path = place.file(chunk)
        if _is_whole(path, _form(source, chunk)):
            sha256 = sha256_file(path)
            if known.get(chunk.chunk_id) in {None, sha256}:
                hashes[chunk] = sha256
    return hashes


def _is_whole(path: Path, form: WaveForm) -> bool:
    if not path.is_file() or path.stat().st_size != form.file_bytes:
        return False
    with path.open("rb") as file:
        return file.read(len(form.header())) == form.header()
