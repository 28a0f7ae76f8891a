"""What a recording is: decoded to its end, its place and time, its quality, its content hash."""

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.recordings.recording import Recording
from badc_core.stages.describing import describe_recordings
from badc_core.stages.fingerprints import Fingerprints, mark_truncated
from badc_dagster.metadata import recording_metadata
from badc_dagster.per_recording import per_recording_asset
from badc_dagster.recording_step import RecordingOutput, Results, Step


def build(connection: Connection) -> dg.AssetsDefinition:
    """Returns the asset that describes and checks recordings."""

    @per_recording_asset(connection, "recording", __doc__, {"json"})
    def recording(_context: dg.AssetExecutionContext, step: Step) -> Results:
        fingerprints = Fingerprints(step.dataset)
        rows = {one.recording_id: one.registered for one in step.inputs.recordings}

        def describe(recording_id: str, value: Recording) -> RecordingOutput:
            row = rows[recording_id]
            is_renamed = row is not None and row.is_renamed
            # Of what was read, since the scan may not have been able to read the file.
            source = fingerprints.of_file(value.path, value.fingerprint, is_renamed=is_renamed)
            fingerprint = fingerprints.of("recording", source)
            if value.is_truncated:
                fingerprint = mark_truncated(fingerprint)
            return RecordingOutput(recording_metadata(value), fingerprint)

        yield from step.materialise(step.outcomes(describe_recordings), describe)

    return recording
