"""Chunk manifests: one CSV per recording, a row per chunk.

Where chunks begin is decided in `plan.py`. A dataset's chunks are virtual: rows point into the
recording, and no audio is copied. Chunk files are written in `writer.py`, and manifests of files
outside a dataset's asset graph in `source.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from badc_core import csv_tables
from badc_core.atomic import replacing, writing_text
from badc_core.chunks.plan import Chunk, plan_chunks
from badc_core.columns import Column
from badc_core.csv_tables import TableInvalid, read_rows
from badc_core.datasets.dataset import Dataset
from badc_core.errors import ContentMissing, ManifestMismatch
from badc_core.hashing import sha256_text
from badc_core.recordings.recording import Recording, read_recording
from badc_core.settings import ChunkSettings

if TYPE_CHECKING:
    from badc_core.chunks.source import ChunkSource

_TEXT, _INTEGER = pa.string(), pa.int64()

MANIFEST_COLUMNS: tuple[Column, ...] = (
    Column("recording_id", _TEXT, "The recording.", nullable=False),
    Column("chunk_id", _TEXT, "The chunk: recording, start and end in ms.", nullable=False),
    Column("source_path", _TEXT, "Audio file, relative to the dataset.", nullable=False),
    Column("start_ms", _INTEGER, "Chunk start, ms from the recording's start.", nullable=False),
    Column("end_ms", _INTEGER, "Chunk end, ms from the recording's start.", nullable=False),
    Column("overlap_ms", _INTEGER, "Shared with the chunk before, ms.", nullable=False),
    Column("sha256", _TEXT, "Identity of the chunk's audio, hex; see notes.", nullable=False),
    Column("notes", _TEXT, "How the chunk is stored and what sha256 is of.", nullable=False),
    Column("start_frame", _INTEGER, "First sample, counted from 0.", nullable=False),
    Column("end_frame", _INTEGER, "The sample after the last.", nullable=False),
    Column("sample_rate", _INTEGER, "The recording's sample rate, Hz.", nullable=False),
    Column("channels", _INTEGER, "The recording's channels.", nullable=False),
    Column("subtype", _TEXT, "The recording's sample format, such as PCM_16.", nullable=False),
    Column("parent_sha256", _TEXT, "SHA-256 of the recording's file, hex.", nullable=False),
)
_RANGE_COLUMNS = ("recording_id", "start_frame", "end_frame", "sample_rate", "parent_sha256")

VIRTUAL_MARK = "virtual:"
"""Begins the notes of chunks that are ranges of their recording."""

FILE_MARK = "file:"
"""Begins the notes of chunks that have a file of their own."""

VIRTUAL_NOTE = f"{VIRTUAL_MARK} sha256 is of parent_sha256 and the frame range"


@dataclass(frozen=True)
class Manifest:
    """A recording's chunks and where they were written."""

    path: Path
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class StoredChunk:
    """Where a chunk's sound is, and what identifies it.

    Attributes:
        chunk: which chunk.
        source_path: the audio file, as the manifest names it.
        sha256: hex, or a word that says why there is none.
        notes: begins with `virtual:` where source_path is the recording, with `file:` where it
            is a file of this chunk alone.
    """

    chunk: Chunk
    source_path: str
    sha256: str
    notes: str


def chunk_sha256(parent_sha256: str, chunk: Chunk) -> str:
    """Returns the identity of a virtual chunk's audio: of the file's hash and the range."""
    return sha256_text(f"{parent_sha256}:{chunk.start_sample}:{chunk.end_sample}")


def write_manifest(
    dataset: Dataset, recording_id: str, settings: ChunkSettings | None = None
) -> Manifest:
    """Plans a recording's chunks and writes its manifest.

    Args:
        dataset: whose recording.
        recording_id: which.
        settings: how it is cut; None for the dataset's.

    Raises:
        DatasetInvalid: the recording has not been described yet.
    """
    recording = read_recording(dataset.recording(recording_id))
    chunks = plan_chunks(
        recording_id,
        recording.n_samples,
        recording.sample_rate_hz,
        settings or dataset.settings.chunks,
    )
    path = dataset.manifest(recording_id)
    write_rows(
        path,
        recording,
        (store_virtually(recording.sha256, chunk, recording.path) for chunk in chunks),
    )
    return Manifest(path, chunks)


def store_virtually(parent_sha256: str, chunk: Chunk, source_path: str) -> StoredChunk:
    """Returns a chunk that is a range of its recording."""
    return StoredChunk(chunk, source_path, chunk_sha256(parent_sha256, chunk), VIRTUAL_NOTE)


def write_rows(
    path: Path, parent: "Recording | ChunkSource", stored: Iterable[StoredChunk]
) -> None:
    """Writes a manifest, replacing what was there.

    Raises:
        StorageFull: the disk or a quota is full.
    """
    with replacing(path) as aside, writing_text(aside) as file:
        columns = [one.name for one in MANIFEST_COLUMNS]
        csv_tables.write_rows(file, columns, (_row(parent, one) for one in stored))


def has_ranges(path: Path) -> bool:
    """Returns whether there is a manifest whose chunks are ranges of their recording.

    Only its first row is looked at. What cannot be read as a manifest has none.
    """
    return _first_notes(path).startswith(VIRTUAL_MARK)


def has_files(path: Path) -> bool:
    """Returns whether there is a manifest whose chunks have files of their own; as `has_ranges`."""
    return _first_notes(path).startswith(FILE_MARK)


def read_manifest(path: Path, recording: Recording) -> Manifest:
    """Returns a manifest, checked against the recording it is for.

    Raises:
        ManifestMismatch: absent, malformed, of another recording or other audio, or its chunks do
            not cover the recording exactly.
    """
    try:
        rows = [row for _, row in read_rows(path, _RANGE_COLUMNS)]
        chunks = _chunks(rows)
    except FileNotFoundError as error:
        raise _mismatch(path, "the recording has no manifest yet") from error
    except (TableInvalid, ValueError) as error:
        raise _mismatch(path, f"not a chunk manifest ({error})") from error
    if not rows:
        raise _mismatch(path, "it has no rows")
    if others := {chunk.recording_id for chunk in chunks} - {recording.recording_id}:
        raise _mismatch(path, f"it is the manifest of another recording, {min(others)}")
    if {row["parent_sha256"] for row in rows} != {recording.sha256}:
        raise _mismatch(path, "it is of other audio")
    verify_cover(path, chunks, recording)
    return Manifest(path, chunks)


def verify_cover(path: Path, chunks: tuple[Chunk, ...], recording: Recording) -> None:
    """Raises ManifestMismatch unless the chunks' union is the recording exactly, in order."""
    start, reached = -1, 0
    for chunk in chunks:
        is_ours = (chunk.recording_id, chunk.sample_rate_hz) == (
            recording.recording_id,
            recording.sample_rate_hz,
        )
        joins = chunk.start_sample + chunk.overlap_samples == reached
        if not is_ours or not joins or chunk.start_sample <= start:
            raise _mismatch(path, f"chunk {chunk.chunk_id} does not follow the one before")
        if chunk.end_sample <= reached:
            raise _mismatch(path, f"chunk {chunk.chunk_id} holds nothing new")
        start, reached = chunk.start_sample, chunk.end_sample
    if reached != recording.n_samples:
        raise _mismatch(path, f"covers {reached} of the recording's {recording.n_samples} samples")


def _mismatch(path: Path, what: str) -> ManifestMismatch:
    return ManifestMismatch(what, path, "Materialise chunk_manifest again: badc run DATASET")


def _row(parent: "Recording | ChunkSource", stored: StoredChunk) -> tuple[str | int, ...]:
    chunk = stored.chunk
    return (
        chunk.recording_id,
        chunk.chunk_id,
        stored.source_path,
        chunk.start_ms,
        chunk.end_ms,
        chunk.overlap_ms,
        stored.sha256,
        stored.notes,
        chunk.start_sample,
        chunk.end_sample,
        parent.sample_rate_hz,
        parent.n_channels,
        parent.subtype,
        parent.sha256,
    )


def _chunks(rows: list[dict[str, str]]) -> tuple[Chunk, ...]:
    chunks: list[Chunk] = []
    for row in rows:
        start, end = int(row["start_frame"]), int(row["end_frame"])
        overlap = max(0, chunks[-1].end_sample - start) if chunks else 0
        chunks.append(Chunk(row["recording_id"], start, end, overlap, int(row["sample_rate"])))
    return tuple(chunks)


def _first_notes(path: Path) -> str:
    try:
        _, first = next(read_rows(path), (0, {}))
    except (OSError, ValueError, TableInvalid, ContentMissing):
        return ""
    return first.get("notes", "")
