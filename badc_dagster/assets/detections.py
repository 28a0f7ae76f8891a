"""What is kept of what the detector found in a recording, and the effort behind it by chunk."""

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.detections.schema import DETECTION_COLUMNS
from badc_core.inference.detections_result import DetectionsResult
from badc_core.inference.select import select_detections
from badc_dagster.metadata import column_schema, detections_metadata
from badc_dagster.per_recording import per_recording_asset
from badc_dagster.recording_step import RecordingOutput, Results, Step


def build(connection: Connection) -> dg.AssetsDefinition:
    """Returns the asset that applies thresholds and lists of labels; no model runs."""
    schema = {"dagster/column_schema": column_schema(DETECTION_COLUMNS)}

    @per_recording_asset(connection, "detections", __doc__, {"parquet"}, metadata=schema)
    def detections(_context: dg.AssetExecutionContext, step: Step) -> Results:

        def describe(recording_id: str, value: DetectionsResult) -> RecordingOutput:
            path = step.dataset.detections(recording_id)
            return RecordingOutput(detections_metadata(value, path))

        yield from step.materialise(step.outcomes(select_detections), describe)

    return detections
