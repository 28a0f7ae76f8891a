"""A recording's reports: quicklook, tables, a DuckDB file, and one page to send around."""

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.devices.places import usable_cores
from badc_core.reports.bundle import BundleOutcome, write_bundle
from badc_core.stages.step_inputs import each_recording
from badc_dagster.metadata import bundle_metadata
from badc_dagster.per_recording import RecordingOutput, Results, Step, per_recording_asset


def build(connection: Connection) -> dg.AssetsDefinition:
    """Returns the asset that writes recordings' reports."""

    @per_recording_asset(connection, "report_bundle", __doc__, {"html", "duckdb"})
    def report_bundle(context: dg.AssetExecutionContext) -> Results:
        step = Step(context, connection, "report_bundle")

        def describe(recording_id: str, value: BundleOutcome) -> RecordingOutput:
            return RecordingOutput(bundle_metadata(value, step.dataset.bundle(recording_id)))

        outcomes = each_recording(
            step.inputs, lambda one: write_bundle(step.dataset, one.recording_id), usable_cores()
        )
        yield from step.materialise(outcomes, describe)

    return report_bundle
