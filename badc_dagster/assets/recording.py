"""What a recording is: decoded to its end, its place and time, its quality, its content hash."""

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.devices.places import usable_cores
from badc_core.outcomes import for_each
from badc_core.recordings.describe import describe_recording
from badc_core.recordings.recording import Recording
from badc_core.recordings.registry import read_registry
from badc_dagster.metadata import recording_metadata
from badc_dagster.per_recording import RecordingOutput, Results, Step, per_recording_asset

STAGE = "recording"


def build_recording(connection: Connection) -> dg.AssetsDefinition:
    """Returns the asset that describes and checks recordings."""

    @per_recording_asset(connection, STAGE, __doc__, {"json"})
    def recording(context: dg.AssetExecutionContext) -> Results:
        step = Step(context, connection, STAGE)
        registry = read_registry(step.dataset.registry)

        def describe(recording_id: str) -> Recording:
            recording = describe_recording(step.dataset, registry.require(recording_id))
            recording.write(step.dataset.recording(recording_id))
            return recording

        outcomes = for_each(step.take(), describe, usable_cores())

        def made(recording_id: str, value: Recording) -> RecordingOutput:  # noqa: ARG001
            source = step.fingerprints.of_file(value.path, value.fingerprint)
            return RecordingOutput(recording_metadata(value), source)

        yield from step.materialise(outcomes, made)

    return recording
