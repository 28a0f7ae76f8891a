"""From what a detector gave to the detections of a recording: the body of the stage `detections`.

Minimum scores, thresholds, lists of labels, marks of place and season and the joining of labels
are applied here, so that changing one of them runs no model. Files go in and files come out.
"""

import json
from collections.abc import Generator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from logging import getLogger

import pyarrow.compute as pc

from badc_core.atomic import remove_abandoned
from badc_core.audio.channel import MEAN, name_channel
from badc_core.chunks.manifest import VIRTUAL_NOTE, chunk_sha256
from badc_core.datasets.dataset import Dataset
from badc_core.detections.calibrate import Calibrator
from badc_core.detections.filters import Filter
from badc_core.detections.joining import join_touching
from badc_core.detections.store import (
    CHANNEL_KEY,
    DETECTOR_SETTINGS_KEY,
    FINGERPRINT_KEY,
    MODEL_SHA256_KEY,
    MODEL_VERSION_KEY,
    NOT_ANALYSED_KEY,
    RUNNER_KEY,
    write_detections,
    write_effort,
)
from badc_core.detections.verify import verify_recording
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors import stub
from badc_core.detectors.interface import Detection, DetectorIdentity, RecordingContext
from badc_core.detectors.registry import identify_detector
from badc_core.engine.protocol import ChunkResult, ChunkTask
from badc_core.errors import InputOutdated
from badc_core.inference.chunk_json import ChunkOrigin, write_chunk_json
from badc_core.inference.config_hashes import detections_hash, file_hash, model_hash
from badc_core.inference.detections_result import DetectionsResult
from badc_core.inference.detections_table import count_names, detections_table, effort_table
from badc_core.inference.raw_result import RawResult, read_raw_result
from badc_core.inference.recording_run import Keys
from badc_core.outcomes import Outcome
from badc_core.ranges.marking import Marking
from badc_core.recordings.loudest import channel_of
from badc_core.recordings.recording import Recording, dead_stretches, read_recording
from badc_core.settings import ChannelSetting
from badc_core.stages.step_inputs import RecordingInput, StepInputs, each_recording

_logger = getLogger(__name__)

_N_THREADS = 2
_DETECT_FIRST = "Materialise raw_detections first, or run: badc run DATASET"


class Selection:
    """What the settings keep of a chunk's detections, and how those are marked.

    Attributes:
        calibrator: makes probabilities of scores.
        remark: what deserves a look in the user's list of species; empty if nothing does.

    Raises:
        ConfigInvalid: no detector of that name, or nothing knows which species can be there.
    """

    def __init__(self, settings: DetectorSettings) -> None:
        self._keep = Filter(settings)
        self._marking = Marking(settings)
        self.remark = self._marking.remark
        self.calibrator = Calibrator.read(settings)

    def of(self, result: ChunkResult, context: RecordingContext) -> ChunkResult:
        """Returns a chunk with the detections that are kept, marked for place and season."""
        return self.split(self.marked(result, context))[0]

    def marked(self, result: ChunkResult, context: RecordingContext) -> ChunkResult:
        """Returns a chunk with what thresholds and lists keep, marked for place and season."""
        kept = self._keep.of(result.detections)
        return replace(result, detections=self._marking.mark(context, kept))

    def split(self, marked: ChunkResult) -> tuple[ChunkResult, tuple[Detection, ...]]:
        """Returns a marked chunk as it is kept, and what the settings leave out of it."""
        kept, left_out = self._marking.split(marked.detections)
        return replace(marked, detections=kept), left_out


def select_detections(inputs: StepInputs) -> Generator[Outcome[DetectionsResult], None, None]:
    """Yields the detections of every recording, in order; the consumer commits them."""
    dataset = inputs.dataset
    selection = Selection(inputs.settings.detector)
    if selection.remark:
        _logger.warning(selection.remark)
    detector = identify_detector(inputs.settings.detector)
    has_chunk_files = inputs.settings.inference.chunk_json
    if inputs.was_killed:
        for path in (dataset.detections("x"), dataset.effort("x")):
            remove_abandoned(path.parent)

    def select_one(one: RecordingInput) -> DetectionsResult:
        with inputs.work.analysing(one.recording_id) if has_chunk_files else nullcontext():
            return select_recording(dataset, one.recording_id, selection, detector)

    yield from each_recording(inputs, select_one, _N_THREADS)


def select_recording(
    dataset: Dataset, recording_id: str, selection: Selection, detector: DetectorIdentity
) -> DetectionsResult:
    """Returns a recording's detections and writes them, with the effort.

    Raises:
        RawDetectionsInvalid: what the detector gave is not there, or damaged.
        InputOutdated: another model or channel gave it, or too few weak scores were kept of it.
        DatasetInvalid: the recording's description is not there, or damaged.
        DetectionsInvalid, ManifestMismatch: the chunks or detections do not fit the recording.
        StorageFull, OutputUnwritable: the files cannot be written.
    """
    recording = read_recording(dataset.recording(recording_id))
    raw = read_raw_result(dataset.raw_detections(recording_id), recording_id)
    settings = dataset.settings.detector
    _require_serves(raw, settings, detector, recording_id)
    _require_channel(raw, recording, dataset.settings.recordings.channel)
    context = RecordingContext.of(recording)
    marked = tuple(selection.marked(one, context) for one in raw.results)
    results = tuple(selection.split(one)[0] for one in marked)
    config_hash = detections_hash(settings, detector)
    if settings.label_length == "variable":
        marked = _joined(marked)
    joined, left_out = zip(*map(selection.split, marked), strict=True)
    table = detections_table(
        recording, joined, raw.detector, config_hash, dataset.name, selection.calibrator
    )
    heard = raw.channel if isinstance(raw.channel, int) else None
    is_stub = raw.detector.name == stub.NAME
    dead = dead_stretches(recording, heard)
    effort = effort_table(recording_id, results, table, dead, is_stub, left_out)
    verify_recording(recording, table, effort)
    made_by = {
        RUNNER_KEY: raw.detector.name,
        MODEL_VERSION_KEY: raw.detector.version,
        MODEL_SHA256_KEY: raw.detector.model_sha256 or "",
        FINGERPRINT_KEY: config_hash,
        DETECTOR_SETTINGS_KEY: json.dumps(
            {**settings.stored_inputs(), "label_length": settings.label_length}
        ),
    }
    if raw.channel != MEAN:
        made_by[CHANNEL_KEY] = name_channel(raw.channel)
    if raw.not_analysed_s:
        made_by[NOT_ANALYSED_KEY] = repr(raw.not_analysed_s)
    write_effort(dataset.effort(recording_id), effort, made_by)
    write_detections(dataset.detections(recording_id), table, made_by)
    if dataset.settings.inference.chunk_json:
        _write_chunk_files(dataset, recording, detector, results)
    effort_s, dead_s = (pc.sum(effort[name]).as_py() for name in ("effort_s", "dead_s"))
    return DetectionsResult(table, raw, effort_s, dead_s, config_hash, count_names(left_out))


def _require_serves(
    raw: RawResult, settings: DetectorSettings, detector: DetectorIdentity, recording_id: str
) -> None:
    """Raises InputOutdated where raw detections cannot give what today's settings keep."""
    if raw.model_hash != model_hash(settings, detector):
        what = "its raw detections are from another model, or other settings of it"
        raise InputOutdated(what, recording_id, _DETECT_FIRST)
    if raw.floor > settings.lowest_score:
        what = (
            f"its raw detections were kept down to {raw.floor:g}, "
            f"but the settings keep scores down to {settings.lowest_score:g}"
        )
        raise InputOutdated(what, recording_id, _DETECT_FIRST)


def _require_channel(raw: RawResult, recording: Recording, wanted: ChannelSetting) -> None:
    """Raises InputOutdated where raw detections are of another channel than today's setting."""
    if raw.channel != channel_of(recording, wanted):
        raise InputOutdated(
            f"its raw detections are of another channel ({name_channel(raw.channel)})",
            recording.recording_id,
            _DETECT_FIRST,
        )


def _joined(results: Sequence[ChunkResult]) -> tuple[ChunkResult, ...]:
    """Returns the chunks with the labels that begin in them, as long as the sound."""
    found = join_touching([one.detections for one in results])
    return tuple(replace(one, detections=own) for one, own in zip(results, found, strict=True))


def _write_chunk_files(
    dataset: Dataset,
    recording: Recording,
    detector: DetectorIdentity,
    results: Sequence[ChunkResult],
) -> None:
    """Writes a JSON file for every chunk."""
    settings = dataset.settings.detector
    config_hash = file_hash(settings, detector)
    keys = Keys.of(settings, detector)
    context = RecordingContext.of(recording)
    audio = dataset.audio(recording.path)
    for result in results:
        chunk, channel = result.chunk, result.task.channel
        sound = chunk_sha256(recording.sha256, chunk)
        task = ChunkTask(audio, recording.n_samples, chunk, context, channel=channel)
        origin = ChunkOrigin(
            chunk_id=chunk.chunk_id,
            recording_id=chunk.recording_id,
            source_path=recording.path,
            start_ms=chunk.start_ms,
            end_ms=chunk.end_ms,
            overlap_ms=chunk.overlap_ms,
            sha256=sound,
            notes=VIRTUAL_NOTE,
            dataset_root=dataset.name,
            config_hash=config_hash,
            channel=name_channel(channel),
            key=keys.plan(task, sound).file_key,
        )
        write_chunk_json(dataset.inference, result, detector, origin)
