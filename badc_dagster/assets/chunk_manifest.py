"""How a recording is cut: rows of start and end, covering it exactly; no audio is copied."""

import dagster as dg

from badc_core.chunks.manifest import Manifest, write_manifest
from badc_core.datasets.connections import Connection
from badc_core.stages.step_inputs import each_recording
from badc_dagster.metadata import manifest_metadata, manifest_schema
from badc_dagster.per_recording import RecordingOutput, Results, Step, per_recording_asset


def build(connection: Connection) -> dg.AssetsDefinition:
    """Returns the asset that plans chunks."""
    schema = {"dagster/column_schema": manifest_schema()}

    @per_recording_asset(connection, "chunk_manifest", __doc__, {"csv"}, metadata=schema)
    def chunk_manifest(context: dg.AssetExecutionContext) -> Results:
        step = Step(context, connection, "chunk_manifest")
        outcomes = each_recording(
            step.inputs, lambda one: write_manifest(step.dataset, one.recording_id)
        )
        yield from step.materialise(outcomes, _describe)

    return chunk_manifest


def _describe(recording_id: str, value: Manifest) -> RecordingOutput:  # noqa: ARG001
    return RecordingOutput(manifest_metadata(value))
