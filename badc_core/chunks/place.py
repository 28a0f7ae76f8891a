"""Where a recording's chunk files, manifest and status go, and the folder of chunk files itself.

The files are written in `writer.py`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from badc_core.chunks.plan import Chunk
from badc_core.chunks.source import NamedFile, check_cut_settings
from badc_core.chunks.status import ChunkStatus, utc_now
from badc_core.datasets.work_folder import WORK_FOLDER, prepare_work_file
from badc_core.file_names import absolute
from badc_core.locks import locked
from badc_core.options import OptionSpec
from badc_core.provenance.tracking import write_tracking_rules
from badc_core.settings import ChunkSettings

_OLDER_LOCK = ".chunk_lock"
"""What the code before locked in the folder itself."""
_ASIDE_LETTERS = 180
"""How much of a file's name `atomic.replacing` keeps in the name it writes to first."""


@dataclass(frozen=True)
class CutRequest:
    """How a recording is to be cut, and where the files go.

    An `output_dir` that is named for the recording itself gets no second folder in it.
    """

    duration_s: Annotated[
        float, OptionSpec("Length of a chunk, seconds.", option="--chunk-duration")
    ]
    overlap_s: Annotated[
        float,
        OptionSpec("How much a chunk repeats of the one before, seconds.", option="--overlap"),
    ] = 0.0
    output_dir: Annotated[
        Path | None,
        OptionSpec(
            "Holds a folder for each recording.",
            "artifacts/chunks, in the dataset if there is one",
        ),
    ] = None
    manifest: Annotated[
        Path | None,
        OptionSpec("The manifest to write.", "beside the chunks: <recording_id>.csv"),
    ] = None
    include_existing: Annotated[bool, OptionSpec("Write again what is there and right.")] = False


@dataclass(frozen=True)
class ChunkPlace:
    """Where a recording's chunks go, and how they are cut."""

    name: NamedFile
    settings: ChunkSettings
    folder: Path
    manifest: Path

    @property
    def root(self) -> Path:
        """Where relative paths in tables begin."""
        return self.name.dataset.root if self.name.dataset else self.folder

    @property
    def lock(self) -> Path:
        """Held while the folder is written; it is locked by `lock_place`."""
        return self.work_folder / "chunk_locks" / self.name.recording_id

    @property
    def work_folder(self) -> Path:
        """The dataset's where its own chunks are written, however the folder is named."""
        folder, dataset = self.folder.resolve().parent, self.name.dataset
        if dataset is not None and folder == (dataset.artifacts / "chunks").resolve():
            return dataset.work_folder
        return folder / WORK_FOLDER

    @property
    def outputs(self) -> tuple[Path, Path]:
        """What writing the chunks changes."""
        return self.manifest, self.folder

    def file(self, chunk: Chunk) -> Path:
        """A chunk's file."""
        return self.folder / f"{chunk.chunk_id}.wav"

    def write_tracking_rules(self) -> None:
        """Says to version control what it takes, where the chunks are written into a dataset."""
        dataset = self.name.dataset
        if dataset is not None and self.folder.is_relative_to(dataset.root):
            write_tracking_rules(dataset.root)

    def begin(self, fingerprint: str | None) -> ChunkStatus:
        """Returns the status of chunks that are being written."""
        now, beside = utc_now(), self.manifest
        return ChunkStatus(
            recording_id=self.name.recording_id,
            audio_path=self.name.mention(self.name.file, beside),
            chunk_output_dir=self.name.mention(self.folder, beside),
            manifest_path=self.name.mention(self.manifest, beside),
            chunk_duration=self.settings.duration_s,
            overlap=self.settings.overlap_s,
            min_chunk=self.settings.min_chunk_s,
            updated_at=now,
            started_at=now,
            status="in_progress",
            fingerprint=fingerprint,
        )


def place_chunks(name: NamedFile, request: CutRequest) -> ChunkPlace:
    """Returns where the chunks of a file go whose name is known.

    Raises:
        ConfigInvalid: settings that cannot be used.
    """
    root = absolute(request.output_dir or name.default_folder("artifacts", "chunks"))
    folder = root if root.name == name.recording_id else root / name.recording_id
    manifest = request.manifest or folder / f"{name.recording_id}.csv"
    settings = check_cut_settings(name.dataset, request.duration_s, request.overlap_s)
    return ChunkPlace(name, settings, folder, absolute(manifest))


@contextmanager
def lock_place(place: ChunkPlace) -> Iterator[None]:
    """Keeps other processes from writing a recording's chunks until the block ends.

    Raises:
        StorageFull, OutputUnwritable: there is no place for the lock, nor would be for chunks.
    """
    path = prepare_work_file(place.work_folder, place.lock)
    with locked(path):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def remove_chunk_files(folder: Path, recording_id: str, kept: set[str]) -> set[str]:
    """Removes a recording's chunk files, and what killed processes left half written.

    Only files named as this recording's chunk files are named.

    Args:
        folder: locked by `lock_place`.
        recording_id: whose.
        kept: names of files that stay.

    Returns:
        The names of the chunk files that were removed.
    """
    begin = f"{recording_id}_chunk_"
    aside = re.escape(begin[:_ASIDE_LETTERS])
    pattern = re.compile(rf"(?P<chunk>{re.escape(begin)}\d+_\d+\.wav)|\.{aside}.*\.part")
    removed = set()
    (folder / _OLDER_LOCK).unlink(missing_ok=True)
    for path in sorted(folder.iterdir()):
        found = pattern.fullmatch(path.name)
        if found and path.name not in kept and (path.is_symlink() or not path.is_dir()):
            path.unlink()
            if found["chunk"]:
                removed.add(path.name)
    return removed
