"""Everything the detector found down to the score floor, and what became of each chunk.

The only asset that runs a model. What is kept of it is decided in `detections`.
"""

from datetime import UTC, datetime
from functools import partial

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.inference.detect import detect_recordings
from badc_core.inference.detections_result import FailedChunks
from badc_core.inference.raw_result import RawResult
from badc_core.inference.recording_run import STAGE
from badc_core.recordings.recording import total_audio_s
from badc_core.stages.fingerprints import add_floor, as_source
from badc_core.telemetry.log import TelemetryLog
from badc_core.telemetry.progress import Pace
from badc_core.telemetry.summary import Summary
from badc_dagster.leased_devices import device_tags, lease_metadata, refuse_without_gpu
from badc_dagster.metadata import raw_detections_metadata
from badc_dagster.per_recording import per_recording_asset
from badc_dagster.recording_step import RecordingOutput, Results, Step
from badc_dagster.step_checks import check_step, chunk_check_specs


def build(connection: Connection) -> dg.AssetsDefinition:
    """Returns the asset that runs the detector."""

    @per_recording_asset(
        connection,
        STAGE,
        __doc__,
        {"parquet"},
        check_specs=chunk_check_specs(connection, STAGE),
        op_tags=device_tags(connection),
    )
    def raw_detections(context: dg.AssetExecutionContext, step: Step) -> Results:
        dataset, inputs = step.dataset, step.inputs
        launcher = step.launcher
        if launcher is None:
            refuse_without_gpu(dataset.settings.detector)
        name = f"{STAGE}_{datetime.now(UTC):%Y%m%dT%H%M%SZ}_{inputs.run_id[:8]}"
        failed_chunks = FailedChunks(dataset.settings.inference.max_failed_fraction)
        log = dataset.telemetry(name)
        with step.committing_telemetry(log), TelemetryLog(log) as telemetry:
            summary = Summary(telemetry.path)

            def describe(recording_id: str, value: RawResult) -> RecordingOutput:
                failed_chunks.add(value)
                path = dataset.raw_detections(recording_id)
                metadata = raw_detections_metadata(value, path, telemetry.path) | lease_metadata()
                lacking = () if value.is_final else tuple(c.chunk.chunk_id for c in value.failed)
                # An older journal may have kept fewer weak scores than are wanted today.
                fingerprint = add_floor(as_source(step.wanted(recording_id)), value.floor)
                return RecordingOutput(metadata, fingerprint, lacking)

            audio_s = total_audio_s(dataset, inputs.recording_ids)
            step.job.count(audio_s=audio_s)
            pace = Pace(audio_s, context.log.info)
            recording = telemetry, pace.analysed, summary
            if launcher is None:
                outcomes = detect_recordings(inputs, *recording)
            else:
                outcomes = launcher.detect(*recording)
            checks = partial(check_step, inputs, summary)
            yield from step.materialise(outcomes, describe, failed_chunks.complaint, checks)

    return raw_detections
