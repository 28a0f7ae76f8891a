"""A run over manifests: what it is to do, and what it came to.

Options of the command line become a `RunSpec`; it is carried out in `manifest_run.py`.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from badc_core.annexed_files import require_fetched
from badc_core.audio.channel import Channel, name_channel
from badc_core.chunks.requests import ChunkRequest
from badc_core.datasets.dataset import Dataset, InferencePaths
from badc_core.errors import ConfigInvalid, RecordingBusy
from badc_core.inference.chunk_json import ChunkOrigin
from badc_core.recordings.recording import Recording, read_recording
from badc_core.settings import Settings
from badc_core.stages.work import Work
from badc_core.telemetry.counts import WorkerCounts
from badc_core.telemetry.summary import Summary, Worst
from badc_core.tolerance import is_tolerated

_SUMMARY_ENDING = ".summary.json"


@dataclass(frozen=True)
class RunSpec:
    """What is to be run.

    Attributes:
        manifests: whose chunks.
        settings: the detector, and how the work is spread.
        output: where results go.
        telemetry_log: what is measured goes here; its summary beside it.
        dataset: the one the manifests belong to; None outside.
        resume: whether results in journals count.
        resume_summary: of a run whose successes count, ours or the original's.
        chunks_dir: folder of the folders of chunk files; None where there is no such place.
        chunk_folder: of the one recording's chunk files, wherever it is; None: in `chunks_dir`.
        allow_partial_chunks: whether chunks may be run whose writing was not completed.
        owns_log: whether the telemetry log is this one recording's alone, so that no other run
            may write it meanwhile.
    """

    manifests: tuple[Path, ...]
    settings: Settings
    output: InferencePaths
    telemetry_log: Path
    dataset: Dataset | None = None
    resume: bool = True
    resume_summary: Path | None = None
    chunks_dir: Path | None = None
    chunk_folder: Path | None = None
    allow_partial_chunks: bool = False
    owns_log: bool = False

    def work(self, recording_id: str) -> Work:
        """Returns where a recording in work and its journal are, however the output is named.

        It is the dataset's place where the dataset's own files are written.
        """
        folder = self.output.recording(recording_id).resolve()
        if self.dataset is not None:
            own = self.dataset.inference.recording(recording_id).resolve()
            if folder == own:
                return Work(self.dataset.work_folder)
        return Work(folder.parent / ".badc")

    def files(self, request: ChunkRequest) -> Path | None:
        """Returns where the detector's own files about a row's chunk are kept, if anywhere."""
        if self.dataset is not None and self.dataset.settings.speech.privacy == "mute":
            return None  # as in `detect.py`
        runner = self.settings.detector.name
        return self.output.chunk_files(request.recording_id, request.chunk_id, runner)

    def origin(
        self, request: ChunkRequest, config_hash: str, key: str, channel: Channel
    ) -> ChunkOrigin:
        """Returns what a chunk's JSON file says of where the chunk is from."""
        return ChunkOrigin(
            chunk_id=request.chunk_id,
            recording_id=request.recording_id,
            source_path=request.source_path,
            start_ms=request.start_ms,
            end_ms=request.end_ms,
            overlap_ms=request.overlap_ms,
            sha256=request.sha256,
            notes=request.notes,
            dataset_root=self.dataset.name if self.dataset else "",
            config_hash=config_hash,
            key=key,
            channel=name_channel(channel),
        )

    def described(self, recording_id: str) -> Recording | None:
        """Returns what the dataset knows of a recording; raises DatasetInvalid."""
        if self.dataset is None or not os.path.lexists(self.dataset.recording(recording_id)):
            return None
        return read_recording(self.dataset.recording(recording_id))

    def mention(self, path: Path) -> str:
        """Returns a path as telemetry names it: relative to the dataset where it is in there."""
        if self.dataset is not None and path.is_relative_to(self.dataset.root):
            return self.dataset.below(path)
        return path.as_posix()

    def chunk_files_of(self, recording_id: str) -> Path | None:
        """Returns where a recording's chunk files would be; None where there is no such place."""
        if self.chunk_folder is not None or self.chunks_dir is None:
            return self.chunk_folder
        return self.chunks_dir / recording_id

    def tolerates(self, n_failed: int, n_chunks: int) -> bool:
        """Returns whether so many of a number of chunks may fail."""
        return is_tolerated(n_failed, self.settings.inference.max_failed_fraction, n_chunks)


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Attributes:
        n_chunks: in the manifests.
        n_skipped: whose result was there already.
        n_detections: kept, of all chunks.
        failed: chunk_id and reason of those without a result.
        n_kept: failed ones whose file still holds an earlier result, of any settings.
        retried: the worst of those that failed before they succeeded.
        is_failure: more chunks failed than is tolerated, or were left to another run.
        n_orphans: chunks in the summary to resume from that no manifest has.
        n_redone: chunks it calls done whose result is gone or made with other settings.
        audio_s: seconds of sound that this run analysed.
        wall_s: how long it took.
        workers: label -> what it did, also in runs before with this log.
        warnings: one sentence each.
        busy: why recordings were left to other runs; their chunks are among the failed.
    """

    n_chunks: int
    n_skipped: int
    n_detections: int
    failed: tuple[tuple[str, str], ...]
    n_kept: int
    retried: Worst
    is_failure: bool
    n_orphans: int
    n_redone: int
    audio_s: float
    wall_s: float
    workers: dict[str, WorkerCounts]
    warnings: tuple[str, ...]
    busy: tuple[RecordingBusy, ...] = ()

    @property
    def n_succeeded(self) -> int:
        """Chunks this run analysed."""
        return self.n_chunks - self.n_skipped - len(self.failed)


def load_previous(path: Path | None) -> Summary | None:
    """Returns the summary to resume from; None for none.

    Raises:
        ConfigInvalid: there is no such file, or it is not called one.
        DatasetInvalid: it is none.
    """
    if path is None:
        return None
    require_fetched(path)
    if not path.name.endswith(_SUMMARY_ENDING) or not path.is_file():
        is_file = path.is_file()
        raise ConfigInvalid(
            f"its name does not end in {_SUMMARY_ENDING}" if is_file else "there is no such file",
            path,
            "Give the summary beside a telemetry log to --resume-summary",
        )
    return Summary.load(path.with_name(path.name.removesuffix(_SUMMARY_ENDING)))
