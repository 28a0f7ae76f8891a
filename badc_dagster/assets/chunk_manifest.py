"""How a recording is cut: rows of start and end, covering it exactly; no audio is copied."""

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.detectors.registry import hears_at_once_s
from badc_core.steps import write_manifests
from badc_dagster.metadata import manifest_metadata, manifest_schema
from badc_dagster.per_recording import per_recording_asset
from badc_dagster.recording_step import RecordingOutput, Results, Step


def build(connection: Connection) -> dg.AssetsDefinition:
    """Returns the asset that plans chunks."""
    schema = {"dagster/column_schema": manifest_schema()}

    @per_recording_asset(connection, "chunk_manifest", __doc__, {"csv"}, metadata=schema)
    def chunk_manifest(_context: dg.AssetExecutionContext, step: Step) -> Results:
        at_once_s = hears_at_once_s(step.dataset.settings.detector)
        yield from step.materialise(
            step.outcomes(write_manifests),
            lambda _, one: RecordingOutput(manifest_metadata(one, at_once_s)),
        )

    return chunk_manifest
