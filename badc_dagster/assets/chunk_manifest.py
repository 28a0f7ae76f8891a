"""How a recording is cut: rows of start and end, covering it exactly; no audio is copied."""

import dagster as dg

from badc_core.chunks.manifest import write_manifest
from badc_core.datasets.connections import Connection
from badc_core.detectors.registry import choose_chunks, hears_at_once_s
from badc_core.stages.step_inputs import each_recording
from badc_dagster.metadata import manifest_metadata, manifest_schema
from badc_dagster.per_recording import RecordingOutput, Results, Step, per_recording_asset


def build(connection: Connection) -> dg.AssetsDefinition:
    """Returns the asset that plans chunks."""
    schema = {"dagster/column_schema": manifest_schema()}

    @per_recording_asset(connection, "chunk_manifest", __doc__, {"csv"}, metadata=schema)
    def chunk_manifest(context: dg.AssetExecutionContext) -> Results:
        step = Step(context, connection, "chunk_manifest")
        settings = step.dataset.settings
        cut, at_once_s = choose_chunks(settings), hears_at_once_s(settings.detector)
        outcomes = each_recording(
            step.inputs, lambda one: write_manifest(step.dataset, one.recording_id, cut)
        )
        yield from step.materialise(
            outcomes, lambda _, one: RecordingOutput(manifest_metadata(one, at_once_s))
        )

    return chunk_manifest
