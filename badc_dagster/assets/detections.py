"""What the detector found in a recording, and the effort behind it, chunk by chunk."""

from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.detections.schema import DETECTION_COLUMNS
from badc_core.inference.detect import detect_recordings
from badc_core.inference.detections_result import DetectionsResult, FailedChunks
from badc_core.inference.select import Selection, select_recording
from badc_core.outcomes import Outcome, attempt
from badc_core.provenance.in_work import mark
from badc_core.recordings.recording import total_audio_s
from badc_core.stages.step_inputs import RecordingInput, StepInputs
from badc_core.telemetry.log import TelemetryLog
from badc_core.telemetry.progress import Pace
from badc_core.telemetry.summary import Summary
from badc_dagster.leased_devices import device_tags, lease_metadata, refuse_without_gpu
from badc_dagster.metadata import column_schema, detections_metadata
from badc_dagster.per_recording import RecordingOutput, Results, Step, per_recording_asset
from badc_dagster.step_checks import check_detections, detections_check_specs

STAGE = "detections"


def build_detections(connection: Connection) -> dg.AssetsDefinition:
    """Returns the asset that runs the detector."""
    schema = {"dagster/column_schema": column_schema(DETECTION_COLUMNS)}

    @per_recording_asset(
        connection,
        STAGE,
        __doc__,
        {"parquet"},
        metadata=schema,
        check_specs=detections_check_specs(connection),
        op_tags=device_tags(connection),
    )
    def detections(context: dg.AssetExecutionContext) -> Results:
        step = Step(context, connection, STAGE)
        refuse_without_gpu(step.dataset.settings.detector)
        name = f"detections_{datetime.now(UTC):%Y%m%dT%H%M%SZ}_{step.run_id[:8]}"
        inference = step.dataset.settings.inference
        failed_chunks = FailedChunks(inference.max_failed_fraction)
        with TelemetryLog(step.dataset.telemetry(name)) as telemetry:
            summary = Summary(telemetry.path)

            def describe(recording_id: str, value: DetectionsResult) -> RecordingOutput:
                failed_chunks.add(value.raw)
                path = step.dataset.detections(recording_id)
                told = {
                    **detections_metadata(value, path, telemetry.path),
                    **lease_metadata(),
                    "config_hash": step.fingerprints.config_hash,
                }
                raw = value.raw
                lacking = () if raw.is_final else tuple(c.chunk.chunk_id for c in raw.failed)
                return RecordingOutput(told, failed_chunks=lacking)

            pace = Pace(total_audio_s(step.dataset, step.recording_ids), context.log.info)
            outcomes = _detect_and_select(
                _inputs(step.dataset, step.run_id, step.recording_ids),
                telemetry,
                pace.analysed,
                summary,
            )
            checks = partial(check_detections, context.instance, connection, step.dataset, summary)
            yield from step.materialise(outcomes, describe, failed_chunks.complaint, checks)

    return detections


def _inputs(dataset: Dataset, run_id: str, recording_ids: list[str]) -> StepInputs:
    recordings = tuple(RecordingInput(one) for one in recording_ids)
    where = dataset.root, dataset.settings, dataset.work_folder
    return StepInputs("raw_detections", *where, run_id, recordings)


def _detect_and_select(
    inputs: StepInputs,
    telemetry: TelemetryLog,
    analysed: Callable[[float], None],
    summary: Summary,
) -> Generator[Outcome[DetectionsResult], None, None]:
    """Yields what became of every recording, in work until the asset graph knows."""
    dataset = inputs.dataset
    selection = Selection(dataset.settings.detector)
    for raw in detect_recordings(inputs, telemetry, analysed, summary):
        if raw.error is not None:
            yield Outcome(raw.recording_id, error=raw.error)
            continue
        mark(dataset, STAGE, raw.recording_id)
        outcome = attempt(raw.recording_id, lambda one: select_recording(dataset, one, selection))
        if outcome.value is not None:  # with what this run did, which the file does not say
            outcome = replace(outcome, value=replace(outcome.value, raw=raw.require()))
        yield outcome
        raw.commit()
