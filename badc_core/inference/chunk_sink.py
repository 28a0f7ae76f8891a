"""Results of chunks as JSON files, a folder for each recording: where `badc infer` puts them.

A file counts as the result of a run if it is of the same sound, place, date, model and settings.
What is in a file is defined in `chunk_json.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Self

from badc_core.audio.channel import name_channel
from badc_core.chunks.requests import ChunkRequest
from badc_core.detectors.interface import DetectorIdentity
from badc_core.engine.protocol import ChunkResult
from badc_core.errors import ContentMissing, DetectionsInvalid
from badc_core.inference.chunk_json import write_chunk_json
from badc_core.inference.chunk_output import ChunkOutput, read_chunk_json
from badc_core.inference.recording_run import PlannedChunk
from badc_core.inference.run_recorder import RunRecorder
from badc_core.inference.run_spec import RunSpec
from badc_core.inference.select import Selection
from badc_core.telemetry.counts import Job


@dataclass
class ChunkCounts:
    """What became of some chunks so far: those of a recording, or of a run.

    Attributes:
        n_skipped: whose result was there already.
        n_written: files whose content is new, of results or of failures.
        n_succeeded: analysed.
        n_kept: failed, but the file still holds an earlier result.
        n_detections: in all results.
        n_redone: done according to the summary to resume from, yet without such a result.
        audio_s: sound analysed.
        detector_s: that workers needed for it.
        failed: chunk_id and reason.
    """

    n_skipped: int = 0
    n_written: int = 0
    n_succeeded: int = 0
    n_kept: int = 0
    n_detections: int = 0
    n_redone: int = 0
    audio_s: float = 0.0
    detector_s: float = 0.0
    failed: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def total(cls, several: Iterable[Self]) -> Self:
        """Returns the sums."""
        summed = cls()
        for one in several:
            for each in fields(cls):
                setattr(summed, each.name, getattr(summed, each.name) + getattr(one, each.name))
        return summed


@dataclass(frozen=True)
class ChunkFiles:
    """What the files of all chunks of a run have in common.

    Attributes:
        spec: says where they are and which count.
        detector: that runs.
        config_hash: of the detector and all settings that decide what is kept.
        selection: keeps and marks detections.
        jobs: chunk_id -> what became of it, according to the summary to resume from.
    """

    spec: RunSpec
    detector: DetectorIdentity
    config_hash: str
    selection: Selection
    jobs: Mapping[str, Job]

    def find(self, request: ChunkRequest, chunk: PlannedChunk) -> ChunkOutput | None:
        """Returns a chunk's file if it is known to hold what this run would find.

        It is known where the file says so: the journal may be gone. It is also known where a
        summary to resume from calls the chunk done; a file that does not say what it was made from
        must then at least be from the same kind of runner.
        """
        was_done = self.done_job(request) is not None
        if not (self.spec.resume or was_done):
            return None
        found = self.stored(request)
        if found is None or found.origin.config_hash not in {"", self.config_hash}:
            return None
        if found.origin.channel != name_channel(chunk.task.channel):
            return None
        if found.origin.key:
            return found if found.origin.key == chunk.file_key else None
        return found if was_done and self._is_of_this_runner(found) else None

    def _is_of_this_runner(self, found: ChunkOutput) -> bool:
        """Whether the original's runner of a file is what this detector is called there."""
        names = {"command": "custom", "hawkears1": "hawkears"}
        return found.runner in {"", self.detector.name, names.get(self.detector.name)}

    def stored(self, request: ChunkRequest) -> ChunkOutput | None:
        """Returns a chunk's file if it holds a result, under whatever settings."""
        path = self.spec.output.chunk_json(request.recording_id, request.chunk_id)
        try:
            found = read_chunk_json(path)
        except (DetectionsInvalid, ContentMissing):
            return None
        return None if found.status == "error" else found

    def done_job(self, request: ChunkRequest) -> Job | None:
        """Returns the chunk's success according to the summary to resume from, if it is there."""
        job = self.jobs.get(request.chunk_id)
        if job is None or job.status != "success":
            return None
        return job if job.recording_id == request.recording_id else None


class ChunkSink:
    """Writes the files of one recording's chunks as results come."""

    def __init__(
        self,
        files: ChunkFiles,
        requests: Sequence[ChunkRequest],
        counts: ChunkCounts,
        recorder: RunRecorder,
    ) -> None:
        self._files = files
        self._requests = requests
        self._counts = counts
        self._recorder = recorder
        self._recording_id = requests[0].recording_id

    def output(self, chunk_id: str) -> str:
        """Returns a chunk's file, relative to the dataset where it is in there."""
        spec = self._files.spec
        return spec.mention(spec.output.chunk_json(self._recording_id, chunk_id))

    def reuse(self, number: int, chunk: PlannedChunk) -> bool:
        """Whether a chunk's file holds its result, which is then counted as skipped."""
        request = self._requests[number]
        found, job = self._files.find(request, chunk), self._files.done_job(request)
        if found is None:
            self._counts.n_redone += job is not None
            return False
        self._counts.n_skipped += 1
        self._counts.n_detections += len(found.detections)
        self._recorder.found(request, job.worker if job else "", self.output(request.chunk_id))
        return True

    def write(self, number: int, chunk: PlannedChunk, result: ChunkResult) -> None:
        """Writes a chunk's file, unless it failed and an earlier result is there.

        Raises:
            StorageFull, OutputUnwritable: the file cannot be written.
        """
        request, counts = self._requests[number], self._counts
        if result.error is not None:
            counts.failed.append((request.chunk_id, str(result.error)))
            if self._files.stored(request) is not None:
                counts.n_kept += 1
                return
        kept = self._files.selection.of(result, chunk.task.recording_context)
        files = self._files
        counts.n_written += not (result.is_resumed and files.find(request, chunk))
        origin = files.spec.origin(request, files.config_hash, chunk.file_key, chunk.task.channel)
        write_chunk_json(files.spec.output, kept, files.detector, origin)
        counts.n_detections += len(kept.detections)
        counts.n_skipped += result.is_resumed
        if result.error is None and not result.is_resumed:
            counts.n_succeeded += 1
            counts.audio_s += result.chunk.duration_s
            counts.detector_s += result.runtime_s

    def finish(self) -> None:
        """Does nothing: all files are there."""
