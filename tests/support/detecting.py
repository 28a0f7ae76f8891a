"""Detecting in a dataset's recordings without the asset graph: the model, then the selection."""

import io
import json
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from badc_core.chunks.manifest import write_manifest
from badc_core.datasets.dataset import Dataset
from badc_core.detectors.interface import Detector
from badc_core.detectors.registry import load_detector
from badc_core.engine import protocol
from badc_core.engine.protocol import ChunkResult, ChunkTask
from badc_core.engine.worker import Worker
from badc_core.inference.detect import DatasetSource, detect_recordings
from badc_core.inference.detections_result import DetectionsResult
from badc_core.inference.select import Selection, select_detections, select_recording
from badc_core.outcomes import Outcome
from badc_core.recordings.describe import describe_recording
from badc_core.recordings.registry import register_recordings
from badc_core.stages.step_inputs import RecordingInput, StepInputs
from badc_core.stages.work import Work
from badc_core.telemetry.log import TelemetryLog
from badc_core.telemetry.summary import Summary

IMPORTABLE = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
"""First line of a program of its own that imports this module."""


def ids(dataset: Dataset) -> tuple[str, ...]:
    """Returns a dataset's recordings; registers those that are new."""
    return register_recordings(dataset).registry.ids


def cut_recordings(dataset: Dataset) -> None:
    """Describes all recordings of a dataset, and writes where their chunks are."""
    for registered in register_recordings(dataset).registry:
        recording = describe_recording(dataset, registered)
        recording.write(dataset.recording(registered.recording_id))
        write_manifest(dataset, registered.recording_id)


def step_inputs(
    dataset: Dataset, recording_ids: Iterable[str], stage: str = "raw_detections"
) -> StepInputs:
    """Returns the inputs of a step over recordings."""
    recordings = tuple(RecordingInput(one) for one in recording_ids)
    return StepInputs(
        stage, dataset.root, dataset.settings, dataset.work_folder, "a-run", recordings
    )


def detect_and_select(
    dataset: Dataset,
    recording_ids: Iterable[str],
    telemetry: TelemetryLog,
    analysed: Callable[[float], None] = lambda _: None,
    summary: Summary | None = None,
) -> Generator[Outcome[DetectionsResult], None, None]:
    """Yields the detections of every recording, committed."""
    inputs = step_inputs(dataset, recording_ids)
    for raw in detect_recordings(inputs, telemetry, analysed, summary):
        if raw.error is not None:
            yield Outcome(raw.recording_id, error=raw.error)
            continue
        raw.commit()
        (outcome,) = select_detections(step_inputs(dataset, [raw.recording_id], "detections"))
        outcome.commit()
        if outcome.value is not None:  # with what this run did, which the file does not say
            outcome = replace(outcome, value=replace(outcome.value, raw=raw.require()))
        yield outcome


def detect(
    dataset: Dataset, recording_ids: Iterable[str] | None = None, name: str = "run"
) -> dict[str, Outcome[DetectionsResult]]:
    """Returns what became of every recording, committed.

    Args:
        dataset: whose recordings are described and cut.
        recording_ids: which; None for all.
        name: of the telemetry log.
    """
    wanted = ids(dataset) if recording_ids is None else recording_ids
    with TelemetryLog(dataset.telemetry(name)) as telemetry:
        outcomes = list(detect_and_select(dataset, wanted, telemetry))
    assert len({one.recording_id for one in outcomes}) == len(outcomes)
    return {one.recording_id: one for one in outcomes}


def detect_in_process(
    dataset: Dataset, recording_ids: Iterable[str]
) -> dict[str, DetectionsResult]:
    """Returns the detections of every recording, by a worker in this process: quick.

    What earlier runs found counts, as in a real run; nothing is committed.
    """
    detector = load_detector(dataset.settings.detector)
    source = DatasetSource(dataset, detector.identity, Work(dataset.work_folder).journal)
    selection = Selection(dataset.settings.detector)
    found = {}
    for one in recording_ids:
        opened = source.open(one)
        left = [chunk.task for chunk in opened.chunks if chunk.key not in opened.known]
        new = iter(_work(detector, left))
        for number, chunk in enumerate(opened.chunks):
            opened.sink.write(number, chunk, opened.known.get(chunk.key) or next(new))
        raw = opened.sink.finish()
        selected = select_recording(dataset, one, selection, detector.identity)
        found[one] = replace(selected, raw=raw)
    return found


def _work(detector: Detector, tasks: Sequence[ChunkTask]) -> list[ChunkResult]:
    lines = [protocol.encode("chunk", **protocol.task_to_json(task)) for task in tasks]
    replies = io.StringIO()
    Worker(detector, replies).run(io.StringIO("".join(lines)))
    answers = [json.loads(line) for line in replies.getvalue().splitlines()]
    assert {one["kind"] for one in answers} <= {"result"}, answers
    return [
        ChunkResult(
            task,
            protocol.detections_from_json(answer["detections"]),
            None,
            answer["runtime_s"],
            "cpu-0",
            floor=0.1,
            not_analysed=protocol.intervals_from_json(answer["not_analysed"]),
        )
        for task, answer in zip(tasks, answers, strict=True)
    ]
