"""A file given by path: which recording it is, in a dataset or alone, and its chunks.

Recordings of a dataset are described in `recordings/`; here a file may be anywhere. Its chunks are
written as files in `writer.py`.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from badc_core.audio.reader import AudioFile
from badc_core.chunks.manifest import StoredChunk, store_virtually, write_rows
from badc_core.chunks.plan import Chunk, plan_chunks
from badc_core.chunks.sound import decode_to_float, read_chunks
from badc_core.datasets.dataset import Dataset
from badc_core.errors import ConfigInvalid, ContentMissing, DatasetInvalid, OptionInvalid
from badc_core.file_names import absolute
from badc_core.hashing import sha256_file
from badc_core.provenance.fetching import require_fetched_all
from badc_core.recordings.identity import assign_ids
from badc_core.recordings.registry import read_registry
from badc_core.recordings.scan import find_audio
from badc_core.settings import SETTINGS_FILE, ChunkSettings
from badc_core.validation import explain_invalid

DECODED_NOTE = (
    "virtual: sha256 is of the decoded samples, 32-bit float little-endian, channels interleaved"
)
_DATASET_MARKS = (SETTINGS_FILE, "recordings.csv", ".datalad")


@dataclass(frozen=True)
class NamedFile:
    """An audio file and the recording it is, known from its path alone.

    Attributes:
        file: absolute, links kept: an annexed file keeps its own name.
        recording_id: as registered, or as a scan would name it; of a file alone, its stem.
        dataset: the one it is in, if any.
    """

    file: Path
    recording_id: str
    dataset: Dataset | None

    def mention(self, path: Path, table: Path) -> str:
        """Returns how a table names a path.

        Args:
            path: absolute.
            table: absolute; the file in which it is named.

        Returns:
            Relative to the dataset where both lie in it, so that a clone can follow it; else
            absolute. With forward slashes.
        """
        root = self.dataset.root if self.dataset else None
        if root and path.is_relative_to(root) and table.is_relative_to(root):
            return path.relative_to(root).as_posix()
        return path.as_posix()

    def default_folder(self, *names: str) -> Path:
        """Returns a folder below the dataset, or below the current one for a file alone."""
        return (self.dataset.root if self.dataset else Path.cwd()).joinpath(*names)


@dataclass(frozen=True)
class ChunkSource:
    """An audio file whose header has been read."""

    name: NamedFile
    sample_rate_hz: int
    n_channels: int
    n_samples: int
    subtype: str
    _settings: ChunkSettings = field(repr=False)

    @cached_property
    def sha256(self) -> str:
        """Of the file; read at the first call."""
        return sha256_file(self.name.file)

    @cached_property
    def chunks(self) -> tuple[Chunk, ...]:
        """Its chunks, in order."""
        return plan_chunks(
            self.name.recording_id, self.n_samples, self.sample_rate_hz, self._settings
        )

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.n_samples / self.sample_rate_hz


def name_file(path: Path) -> NamedFile:
    """Returns which recording a file is; it is not opened.

    Raises:
        ContentMissing: there is no such file.
        DatasetInvalid: its path cannot be written down, or the dataset's registry is malformed.
        ConfigInvalid: it is a folder, or the dataset's `badc.toml` is wrong.
    """
    file = absolute(path)
    _require_utf8(file)
    if not os.path.lexists(file):
        raise ContentMissing("there is no such file", file, "Give an audio file")
    if file.is_dir():
        raise ConfigInvalid("is a folder", file, "Give an audio file")
    dataset = find_dataset(file)
    return NamedFile(file, _recording_id(file, dataset), dataset)


def open_source(name: NamedFile, settings: ChunkSettings) -> ChunkSource:
    """Returns a file with what its header says.

    Raises:
        ContentMissing: there is no such file, or it is annexed and could not be fetched.
        UnreadableRecording: empty, forbidden, not audio, or shorter than its header says.
    """
    require_fetched_all([name.file])
    with AudioFile(name.file, accept_truncated=accepts_truncated(name.dataset)) as audio:
        return ChunkSource(
            name, audio.sample_rate_hz, audio.n_channels, audio.n_samples, audio.subtype, settings
        )


def plan_file(path: Path, duration_s: float, overlap_s: float) -> ChunkSource:
    """Returns a file with its chunks; nothing is written.

    Raises:
        ContentMissing: the file or its annexed content is not here.
        UnreadableRecording: empty, forbidden, not audio, or shorter than its header says.
        ConfigInvalid: a duration or overlap that cannot be used.
        DatasetInvalid: its path cannot be written down, or the dataset's registry is malformed.
    """
    name = name_file(path)
    return open_source(name, check_cut_settings(name.dataset, duration_s, overlap_s))


def check_cut_settings(
    dataset: Dataset | None, duration_s: float, overlap_s: float
) -> ChunkSettings:
    """Returns the dataset's settings, or the defaults, with this duration and overlap.

    Raises:
        OptionInvalid: not positive, or chunks would lie inside each other.
    """
    base = dataset.settings.chunks if dataset else ChunkSettings()
    asked = {"duration_s": duration_s, "overlap_s": overlap_s}
    try:
        return ChunkSettings.model_validate({**base.model_dump(), **asked})
    except ValidationError as error:
        what = explain_invalid(error).replace("duration_s", "--chunk-duration")
        raise OptionInvalid(
            what.replace("overlap_s", "--overlap"),
            "--chunk-duration, --overlap",
            "Give a --chunk-duration above 0 and a smaller --overlap",
        ) from error


def write_virtual_manifest(source: ChunkSource, manifest: Path, hash_chunks: bool) -> Path:
    """Writes the manifest of a file's chunks without copying sound; returns where it is.

    Args:
        source: the file.
        manifest: what to write.
        hash_chunks: decode the sound, and give each chunk the hash of its samples instead of
            one over the file's hash and the range. Such a hash stays the same when the file is
            stored in another lossless format of up to 24 bits.

    Raises:
        UnreadableRecording: it cannot be decoded to its end.
        StorageFull: the disk or a quota is full.
    """
    manifest = absolute(manifest)
    path = source.name.mention(source.name.file, manifest)
    stored: list[StoredChunk] = []
    if hash_chunks:
        hashes = hash_samples(source.name.file, source.chunks)
        stored += [StoredChunk(chunk, path, sha256, DECODED_NOTE) for chunk, sha256 in hashes]
    else:
        stored += [store_virtually(source.sha256, chunk, path) for chunk in source.chunks]
    write_rows(manifest, source, sorted(stored, key=lambda one: one.chunk.start_sample))
    return manifest


def hash_samples(file: Path, chunks: tuple[Chunk, ...]) -> Iterator[tuple[Chunk, str]]:
    """Yields each chunk with the SHA-256 of its samples as `DECODED_NOTE` says, in any order.

    Raises:
        UnreadableRecording: the file cannot be decoded to its end.
    """
    for chunk, blocks in read_chunks(lambda: decode_to_float(file), chunks):
        digest = hashlib.sha256()
        for block in blocks:
            digest.update(block.astype("<f4", copy=False).tobytes())
        yield chunk, digest.hexdigest()


def find_dataset(path: Path) -> Dataset | None:
    """Returns the innermost dataset around an absolute path; None where there is none.

    A dataset is known by `badc.toml`, its registry, or DataLad's folder, beside `audio/`.

    Raises:
        ConfigInvalid: its `badc.toml` is wrong.
    """
    for folder in path.parents:
        if any(os.path.lexists(folder / mark) for mark in _DATASET_MARKS):
            try:
                return Dataset.open(folder)
            except DatasetInvalid:
                continue
    return None


def accepts_truncated(dataset: Dataset | None) -> bool:
    """Returns whether what is left of a recording that was cut off is analysed."""
    return dataset is not None and dataset.settings.recordings.accept_truncated


def _recording_id(file: Path, dataset: Dataset | None) -> str:
    if dataset is None or not _is_recording(file, dataset):
        return assign_ids([file.name], {}, ())[file.name]
    path = dataset.below(file)
    registry = read_registry(dataset.registry)
    if path in registry.by_path:
        return registry.by_path[path].recording_id
    # Together with all others that have no name yet, so that a scan later gives the same.
    taken = {one.recording_id: one.path for one in registry}
    new_paths = [path, *(audio.path for audio in find_audio(dataset))]
    return assign_ids(new_paths, taken, dataset.settings.recordings.roots)[path]


def _is_recording(file: Path, dataset: Dataset) -> bool:
    path = PurePosixPath(dataset.below(file))
    return any(path.is_relative_to(root) for root in dataset.settings.recordings.roots)


def _require_utf8(file: Path) -> None:
    try:
        str(file).encode("utf-8")
    except UnicodeEncodeError as error:
        shown = os.fsencode(file).decode("utf-8", "backslashreplace")
        raise DatasetInvalid(
            "its name is not UTF-8 and cannot be written into a table", shown, "Rename it"
        ) from error
