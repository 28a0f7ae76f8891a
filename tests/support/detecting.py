"""Detecting in a dataset's recordings without the asset graph: the model, then the selection."""

from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from pathlib import Path

from badc_core.datasets.dataset import Dataset
from badc_core.inference.detect import detect_recordings
from badc_core.inference.detections_result import DetectionsResult
from badc_core.inference.select import select_detections
from badc_core.outcomes import Outcome
from badc_core.stages.step_inputs import RecordingInput, StepInputs
from badc_core.telemetry.log import TelemetryLog
from badc_core.telemetry.summary import Summary

IMPORTABLE = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
"""First line of a program of its own that imports this module."""


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
