"""Where a recording's chunk files, their manifest and their status go.

Nothing is written here; that is `writer.py`.
"""

from dataclasses import dataclass
from pathlib import Path

from badc_core.chunks.plan import Chunk
from badc_core.chunks.source import NamedFile, absolute, cut_settings, name_file
from badc_core.chunks.status import ChunkStatus, utc_now
from badc_core.settings import ChunkSettings


@dataclass(frozen=True)
class CutRequest:
    """How a recording is to be cut, and where the files go.

    Attributes:
        duration_s, overlap_s: of a chunk.
        output_dir: holds a folder for each recording, unless it is named for the recording itself;
            None for `artifacts/chunks` in the dataset, or in the current folder.
        manifest: what to write; None for `<recording_id>.csv` beside the chunks.
        include_existing: write again what is there already.
    """

    duration_s: float
    overlap_s: float = 0.0
    output_dir: Path | None = None
    manifest: Path | None = None
    include_existing: bool = False


@dataclass(frozen=True)
class ChunkPlace:
    """Where a recording's chunks go, and how they are cut.

    Attributes:
        folder: of chunk files and status.
        manifest: lists them.
    """

    name: NamedFile
    settings: ChunkSettings
    folder: Path
    manifest: Path

    @property
    def root(self) -> Path:
        """Where relative paths in tables begin."""
        return self.name.dataset.root if self.name.dataset else self.folder

    def file(self, chunk: Chunk) -> Path:
        """A chunk's file."""
        return self.folder / f"{chunk.chunk_id}.wav"

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


def find_place(file: Path, request: CutRequest) -> ChunkPlace:
    """Returns where the chunks of a file go.

    Raises:
        ContentMissing: there is no such file.
        ConfigInvalid: settings that cannot be used.
        DatasetInvalid: the path cannot be written down, or the dataset's registry is malformed.
    """
    name = name_file(file)
    root = request.output_dir or name.default_folder("artifacts", "chunks")
    root = absolute(root)
    folder = root if root.name == name.recording_id else root / name.recording_id
    manifest = request.manifest or folder / f"{name.recording_id}.csv"
    settings = cut_settings(name.dataset, request.duration_s, request.overlap_s)
    return ChunkPlace(name, settings, folder, absolute(manifest))
