"""Running a detector over a dataset's recordings: the body of the stage `raw_detections`.

A recording's file is written as soon as its last chunk is done, so what is finished stays finished
whatever happens next. What becomes of the detections is in `select.py`.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from badc_core.atomic import remove_abandoned
from badc_core.audio.channel import require_channel
from badc_core.chunks.manifest import chunk_sha256, read_manifest
from badc_core.chunks.plan import Chunk
from badc_core.datasets.dataset import Dataset
from badc_core.detectors.interface import DetectorIdentity, RecordingContext
from badc_core.detectors.registry import identify_detector
from badc_core.engine.protocol import ChunkResult, ChunkTask
from badc_core.errors import (
    ChannelMissing,
    ContentMissing,
    DetectorFailed,
    UnreadableRecording,
)
from badc_core.inference.multiplexer import run_recordings
from badc_core.inference.raw_result import RawResult, known_in_raw_result
from badc_core.inference.recording_run import (
    Keys,
    Opened,
    PlannedChunk,
    RecordingRun,
    find_known,
)
from badc_core.inference.run_recorder import RunRecorder
from badc_core.outcomes import Outcome
from badc_core.recordings.loudest import channel_of
from badc_core.recordings.recording import read_recording
from badc_core.stages.step_inputs import StepInputs, fetching
from badc_core.telemetry.log import TelemetryLog
from badc_core.telemetry.summary import Summary
from badc_core.tolerance import is_tolerated


def detect_recordings(
    inputs: StepInputs,
    telemetry: TelemetryLog,
    analysed: Callable[[float], None] = lambda _: None,
    summary: Summary | None = None,
    resumes: bool = True,
) -> Generator[Outcome[RawResult], None, None]:
    """Yields what became of every recording, as each is finished; the consumer commits it.

    Args:
        inputs: the recordings and settings.
        telemetry: gets a line when an attempt at a chunk begins, and one when it ends.
        analysed: called with the seconds of sound that are done with, as they are.
        summary: adds up the same attempts; None for one of its own.
        resumes: whether results of earlier runs count, so that only what they lack is analysed.

    Raises:
        DetectorMissing, ConfigInvalid: the detector cannot be loaded at all.
        DetectorFailed: its workers die before they are ready.
        StorageFull: a journal or the telemetry could not be written.
    """
    dataset, settings = inputs.dataset, inputs.settings
    detector = identify_detector(settings.detector)
    recorder = RunRecorder(telemetry, summary, analysed)
    journal = inputs.work.journal if resumes else None
    source = DatasetSource(dataset, detector, journal)
    if inputs.was_killed:
        for folder in (dataset.raw_detections("x").parent, telemetry.path.parent):
            remove_abandoned(folder)
    with recorder, fetching(inputs) as contents:
        runs = (
            RecordingRun(
                one,
                inputs.work,
                recorder,
                partial(_open, inputs, source, one),
                content=contents.using(one),
            )
            for one in inputs.recording_ids
        )
        yield from run_recordings(runs, settings, detector)


def _open(inputs: StepInputs, source: "DatasetSource", recording_id: str) -> Opened[RawResult]:
    inputs.require_finished_sources(recording_id)
    return source.open(recording_id)


class DatasetSource:
    """Lists the chunks of a dataset's recordings.

    Args:
        dataset: whose.
        detector: that runs.
        journal: recording_id -> its journal; None where results of earlier runs do not count.
    """

    def __init__(
        self,
        dataset: Dataset,
        detector: DetectorIdentity,
        journal: Callable[[str], Path] | None,
    ) -> None:
        self._dataset = dataset
        self._detector = detector
        self._journal = journal
        settings = dataset.settings.detector
        self._keys = Keys.of(settings, detector)

    def open(self, recording_id: str) -> Opened[RawResult]:
        """Returns a recording's chunks.

        Raises:
            DatasetInvalid, ManifestMismatch: its description or manifest cannot be used.
            ChannelMissing: it has no channel of the number that is to be analysed.
        """
        dataset = self._dataset
        remove_abandoned(dataset.inference.recording(recording_id))
        recording = read_recording(dataset.recording(recording_id))
        manifest = read_manifest(dataset.manifest(recording_id), recording)
        context = RecordingContext.of(recording)
        audio = dataset.audio(recording.path)
        channel = channel_of(recording, dataset.settings.recordings.channel)
        require_channel(channel, recording.n_channels, recording_id)
        chunks = []
        for chunk in manifest.chunks:
            files = self._files(chunk)
            task = ChunkTask(audio, recording.n_samples, chunk, context, files, channel)
            sound = chunk_sha256(recording.sha256, chunk)
            chunks.append(self._keys.plan(task, sound))
        sink = RawSink(dataset, recording_id, self._detector, chunks, self._keys.model_hash)
        return Opened(chunks, self._known(recording_id, chunks), sink)

    def _known(self, recording_id: str, chunks: Sequence[PlannedChunk]) -> dict[str, ChunkResult]:
        if self._journal is None:
            return {}
        floor = self._dataset.settings.detector.lowest_score
        raw = known_in_raw_result(self._dataset.raw_detections(recording_id), recording_id, floor)
        return raw | find_known(chunks, self._journal(recording_id), floor)

    def _files(self, chunk: Chunk) -> Path | None:
        """Returns where the detector's own files of a chunk go, if chunks have files at all."""
        settings = self._dataset.settings
        if not settings.inference.chunk_json or settings.speech.privacy == "mute":
            return None  # a program may have written sound, as it hears it
        names = chunk.recording_id, chunk.chunk_id, self._detector.name
        return self._dataset.inference.chunk_files(*names)


class RawSink:
    """Keeps the results of one recording, and writes its file once there are all."""

    def __init__(
        self,
        dataset: Dataset,
        recording_id: str,
        detector: DetectorIdentity,
        chunks: Sequence[PlannedChunk],
        model_hash: str,
    ) -> None:
        self._path = dataset.raw_detections(recording_id)
        self._output = dataset.below(self._path)
        self._detector = detector
        self._model_hash = model_hash
        self._settings = dataset.settings
        self._keys = tuple(one.key for one in chunks)
        self._results: dict[int, ChunkResult] = {}

    def output(self, chunk_id: str) -> str:  # noqa: ARG002  (one file has all chunks)
        """Returns the file, relative to the dataset."""
        return self._output

    def reuse(self, number: int, chunk: PlannedChunk) -> bool:  # noqa: ARG002
        """Returns False: results of earlier runs come from the file itself, as known ones."""
        return False

    def write(self, number: int, chunk: PlannedChunk, result: ChunkResult) -> None:  # noqa: ARG002
        """Keeps a result in memory."""
        self._results[number] = result

    def finish(self) -> RawResult:
        """Writes the file and returns its content.

        Raises:
            UnreadableRecording, ContentMissing, ChannelMissing: a chunk's sound could not be read.
            DetectorFailed: all chunks failed.
        """
        results = tuple(self._results[number] for number in range(len(self._keys)))
        failed = [one for one in results if one.error is not None]
        _require_readable(failed, len(results))
        floor = max(one.floor for one in results)
        tolerated = self._settings.inference.max_failed_fraction
        raw = RawResult(
            self._detector,
            tuple(_down_to(floor, one) for one in results),
            floor,
            is_tolerated(len(failed), tolerated, len(results)),
            self._keys,
            self._model_hash,
        )
        raw.write(self._path)
        return raw


def _down_to(floor: float, result: ChunkResult) -> ChunkResult:
    """Returns a result without detections below a score, which an earlier run may have kept."""
    if result.floor >= floor:
        return result
    return replace(
        result, detections=tuple(one for one in result.detections if one.confidence >= floor)
    )


def _require_readable(failed: list[ChunkResult], n_chunks: int) -> None:
    """Raises where failed chunks mean that the recording as a whole has no result."""
    for one in failed:
        if isinstance(one.error, UnreadableRecording | ContentMissing | ChannelMissing):
            raise one.error
    if len(failed) == n_chunks:
        raise DetectorFailed(
            f"all {n_chunks} chunks failed, the first with: {failed[0].error}",
            failed[0].chunk.recording_id,
            "See the telemetry log, then run again",
        )
