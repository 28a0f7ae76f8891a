"""Whether a manifest is true: its files exist, are as long as it says, and cover the recording.

Manifests of any version of BADC are checked. What is wrong is returned as a list; only a file that
is not a manifest raises.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import Chunk
from badc_core.chunks.requests import ChunkRequest, read_requests
from badc_core.chunks.sound import count_decodable, decode_to_float
from badc_core.chunks.source import (
    DECODED_NOTE,
    accepts_truncated,
    find_dataset,
    hash_samples,
)
from badc_core.chunks.status import STATUS_FILE, ChunkStatus, read_status
from badc_core.errors import BadcError, ContentMissing, ManifestMismatch, UnreadableRecording
from badc_core.file_names import absolute
from badc_core.hashing import sha256_file
from badc_core.provenance.annex import fetch
from badc_core.provenance.fetching import require_fetched_all
from badc_core.units import samples_to_ms


@dataclass(frozen=True)
class Problem:
    """Something a manifest says that is not so.

    Attributes:
        chunk_id: where it shows first.
        path: the file concerned.
        what: a sentence without a full stop.
        damaged_folder: of chunk files that must be written again; None where none need to.
    """

    chunk_id: str
    path: Path
    what: str
    damaged_folder: Path | None = None


@dataclass(frozen=True)
class _Sound:
    n_samples: int
    sample_rate_hz: int


def check_chunks(manifest: Path, check_hash: bool = False) -> list[Problem]:
    """Returns what is wrong, and marks the folders of wrong chunk files as failed.

    Annexed files are fetched; one that cannot be is a problem.

    Args:
        manifest: the file.
        check_hash: also read and decode every file in full and compare its hash.

    Raises:
        ManifestMismatch: it is not a manifest.
        ContentMissing: it is annexed and could not be fetched.
        StorageFull: a status cannot be written.
    """
    require_fetched_all([absolute(manifest)])
    problems = validate_manifest(manifest, check_hash, fetches=True)
    for folder in {one.damaged_folder for one in problems if one.damaged_folder is not None}:
        status = _readable_status(folder)
        if status is not None:
            found = [one for one in problems if one.damaged_folder == folder]
            status.fail("; ".join(f"{one.chunk_id}: {one.what}" for one in found)).write(folder)
    return problems


def validate_manifest(
    manifest: Path, check_hash: bool = False, *, fetches: bool = False
) -> list[Problem]:
    """Returns what is wrong with a manifest and its files; nothing where all is well.

    Args:
        manifest: the file.
        check_hash: also read every file in full and compare its hash.
        fetches: whether annexed files are fetched.

    Raises:
        ManifestMismatch: it is not a manifest.
    """
    manifest = absolute(manifest)
    dataset = find_dataset(manifest)
    roots = [manifest.parent] if dataset is None else [dataset.root, manifest.parent]
    problems: list[Problem] = []
    for rows in read_requests([manifest], roots[0]).values():
        if fetches:
            audio = {row.audio for row in rows}
            fetch([*audio, *(folder / STATUS_FILE for folder in {one.parent for one in audio})])
        problems += _Validation(roots, check_hash, accepts_truncated(dataset)).check(rows)
    return problems


class _Validation:
    """Of the rows of one recording; a file is opened once, and reported once if it cannot be."""

    def __init__(self, roots: Sequence[Path], check_hash: bool, accept_truncated: bool) -> None:
        self._roots = roots
        self._accept_truncated = accept_truncated
        self._check_hash = check_hash
        self._sounds: dict[Path, _Sound | None] = {}
        self._problems: list[Problem] = []

    def check(self, rows: tuple[ChunkRequest, ...]) -> list[Problem]:
        for row in rows:
            sound = self._open(row, row.audio)
            if sound is not None:
                self._compare(row, sound)
        self._check_cover(rows)
        if self._check_hash:
            self._check_hashes(rows)
        return self._problems

    def _open(self, row: ChunkRequest, path: Path) -> _Sound | None:
        if path not in self._sounds:
            try:
                accept = self._accept_truncated and not (path == row.audio and _is_file(row))
                with AudioFile(path, accept_truncated=accept) as audio:
                    sound = _Sound(audio.n_samples, audio.sample_rate_hz)
                self._sounds[path] = sound
            except BadcError as error:
                self._sounds[path] = None
                # A link without content is a chunk that is elsewhere, not one that is broken.
                is_away = isinstance(error, ContentMissing) and path.is_symlink()
                what = f"{error.what}. {error.remedy}" if is_away else error.what
                self._report(row, path, what, is_damaged=path == row.audio and not is_away)
        return self._sounds[path]

    def _compare(self, row: ChunkRequest, sound: _Sound) -> None:
        rate_hz, n_samples = sound.sample_rate_hz, sound.n_samples
        if row.sample_rate_hz not in {None, rate_hz}:
            what = f"the manifest says {row.sample_rate_hz} Hz, the file {rate_hz}"
            self._report(row, row.audio, what)
        start, end = row.span(rate_hz)
        spare = _tolerance(row, rate_hz)
        if _is_file(row) and abs(n_samples - (end - start)) > 2 * spare:
            what = f"the manifest counts {end - start} samples, the file holds {n_samples}"
            self._report(row, row.audio, what)
        elif not _is_file(row) and end > n_samples + spare:
            what = f"it ends at sample {end}, the recording has {n_samples}"
            self._report(row, row.audio, what)

    def _check_cover(self, rows: tuple[ChunkRequest, ...]) -> None:
        """Compares the union of the chunks with the recording."""
        rate_hz = self._rate(rows)
        if rate_hz is None:
            return  # no file can be opened, which is reported already
        before, reached = -1, 0
        for row in rows:
            start, end = row.span(rate_hz)
            spare = _tolerance(row, rate_hz)
            shared_ms = samples_to_ms(max(0, reached - start), rate_hz)
            if start > reached + spare:
                self._report(row, row.audio, f"{start - reached} samples before it are in no chunk")
            elif start <= before:
                self._report(row, row.audio, "it does not follow the chunk before")
            elif end <= reached:
                self._report(row, row.audio, "it holds nothing that the chunk before does not")
            # The original BADC writes the overlap asked for, also where there is none.
            elif row.frames and shared_ms != row.overlap_ms:
                what = f"overlap_ms is {row.overlap_ms}, it shares {shared_ms} ms"
                self._report(row, row.audio, f"{what} with the chunk before")
            before, reached = start, max(reached, end)
        n_samples = self._recording_samples(rows)
        if n_samples is not None and abs(n_samples - reached) > _tolerance(rows[-1], rate_hz):
            what = f"the chunks end at sample {reached}, the recording at {n_samples}"
            self._report(rows[-1], rows[-1].audio, what)

    def _rate(self, rows: tuple[ChunkRequest, ...]) -> int | None:
        written = (row.sample_rate_hz for row in rows)
        opened = (sound.sample_rate_hz for sound in self._sounds.values() if sound is not None)
        return next((one for one in (*written, *opened) if one is not None), None)

    def _recording_samples(self, rows: tuple[ChunkRequest, ...]) -> int | None:
        """Returns the recording's length from its file, else as noted when it was cut."""
        last = rows[-1]
        if not _is_file(last):
            sound = self._sounds[last.audio]
            return None if sound is None else sound.n_samples
        recording = self._recording(last)
        if recording is not None:
            sound = self._open(last, recording)
            return None if sound is None else sound.n_samples
        status = _readable_status(last.audio.parent)
        return status.n_samples if status else None

    def _recording(self, row: ChunkRequest) -> Path | None:
        """Returns the recording a chunk file was cut from, if it is still there."""
        status = _readable_status(row.audio.parent)
        places = [root / status.audio_path for root in self._roots] if status else []
        return next((place for place in places if place.exists()), None)

    def _check_hashes(self, rows: tuple[ChunkRequest, ...]) -> None:
        recording = self._recording(rows[0]) if _is_file(rows[0]) else None
        if recording is not None:
            self._compare_parent(rows[0], recording)
        if not self._problems:
            self._check_decoded([row for row in rows if row.notes == DECODED_NOTE])
        seen: set[Path] = set()
        for row in rows:
            if self._sounds[row.audio] is None or row.notes == DECODED_NOTE:
                continue
            if _is_file(row):
                self._compare_file(row)
            elif row.audio not in seen:
                seen.add(row.audio)
                self._compare_parent(row, row.audio)
                self._decode([one for one in rows if one.audio == row.audio])

    def _compare_file(self, row: ChunkRequest) -> None:
        if not row.has_hash:
            self._report(row, row.audio, "the manifest has no hash of it", is_damaged=False)
        elif row.sha256 != sha256_file(row.audio):
            self._report(row, row.audio, "its SHA-256 is not the manifest's")

    def _compare_parent(self, row: ChunkRequest, recording: Path) -> None:
        if not row.parent_sha256:
            what = "the manifest has no hash of the recording"
            self._report(row, recording, what, is_damaged=False)
        elif row.parent_sha256 != sha256_file(recording):
            self._report(row, recording, "the recording is not the one that was cut")

    def _check_decoded(self, rows: Sequence[ChunkRequest]) -> None:
        """Compares samples, since such a manifest holds for any lossless copy of a recording."""
        for path, some in groupby(rows, key=lambda row: row.audio):
            sound = self._sounds[path]
            if sound is None:
                continue
            by_chunk = {_chunk(row, sound.sample_rate_hz): row for row in some}
            try:
                for chunk, sha256 in hash_samples(path, tuple(by_chunk)):
                    if by_chunk[chunk].sha256 != sha256:
                        self._report(by_chunk[chunk], path, "its samples are not the manifest's")
            except BadcError as error:
                self._report_broken(list(by_chunk.values()), sound, error)

    def _decode(self, rows: Sequence[ChunkRequest]) -> None:
        """Decodes a recording to its end: its bytes may be those that were cut, and cut short."""
        path = rows[0].audio
        sound = self._sounds[path]
        if sound is None:
            return
        try:
            for _ in decode_to_float(path):
                pass
        except BadcError as error:
            self._report_broken(rows, sound, error)

    def _report_broken(self, rows: Sequence[ChunkRequest], sound: _Sound, error: BadcError) -> None:
        """Reports where decoding stops, at the chunk in which it does."""
        path, rate_hz = rows[0].audio, sound.sample_rate_hz
        n_decoded = count_decodable(path) if isinstance(error, UnreadableRecording) else None
        if n_decoded is None or n_decoded >= sound.n_samples:
            self._report(rows[0], path, error.what)
            return
        broken = next((row for row in rows if n_decoded < row.span(rate_hz)[1]), rows[-1])
        what = f"decoding stops at {n_decoded / rate_hz:.2f} s"
        promised = f"of the {sound.n_samples / rate_hz:.2f} s its header promises"
        self._report(broken, path, f"{what} {promised}")

    def _report(self, row: ChunkRequest, path: Path, what: str, *, is_damaged: bool = True) -> None:
        folder = row.audio.parent if _is_file(row) and is_damaged else None
        self._problems.append(Problem(row.chunk_id, path, what, folder))


def _is_file(row: ChunkRequest) -> bool:
    """Returns whether a row's audio is this chunk alone; where it does not say, by its name."""
    if row.is_file is None:
        return row.audio.stem.endswith(f"_chunk_{row.start_ms}_{row.end_ms}")
    return row.is_file


def _tolerance(row: ChunkRequest, sample_rate_hz: int) -> int:
    """Returns by how many samples a span may be off: rows in milliseconds are rounded."""
    return 0 if row.frames else math.ceil(sample_rate_hz / 1000)


def _readable_status(folder: Path) -> ChunkStatus | None:
    """Returns a folder's status; None also for a torn one."""
    try:
        return read_status(folder)
    except ManifestMismatch:
        return None


def _chunk(row: ChunkRequest, sample_rate_hz: int) -> Chunk:
    start, end = row.span(sample_rate_hz)
    return Chunk(row.recording_id, start, end, 0, sample_rate_hz)
