"""How a recording is cut: rows of start and end, covering it exactly; no audio is copied."""

import dagster as dg

from badc_core.chunks.manifest import Manifest, write_manifest
from badc_core.datasets.connections import Connection
from badc_core.outcomes import for_each
from badc_dagster.metadata import manifest_metadata, manifest_schema
from badc_dagster.per_recording import RecordingOutput, Results, Step, per_recording_asset

STAGE = "chunk_manifest"


def build_chunk_manifest(connection: Connection) -> dg.AssetsDefinition:
    """Returns the asset that plans chunks."""
    schema = {"dagster/column_schema": manifest_schema()}

    @per_recording_asset(connection, STAGE, __doc__, {"csv"}, metadata=schema)
    def chunk_manifest(context: dg.AssetExecutionContext) -> Results:
        step = Step(context, connection, STAGE)
        outcomes = for_each(step.take(), lambda one: write_manifest(step.dataset, one))
        yield from step.materialise(outcomes, _describe)

    return chunk_manifest


def _describe(recording_id: str, value: Manifest) -> RecordingOutput:  # noqa: ARG001
    return RecordingOutput(manifest_metadata(value))
