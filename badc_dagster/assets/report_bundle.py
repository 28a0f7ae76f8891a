"""A recording's reports: quicklook, tables, a DuckDB file, and one page to send around."""

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.devices.places import usable_cores
from badc_core.outcomes import for_each
from badc_core.reports.bundle import BundleOutcome, write_bundle
from badc_dagster.metadata import bundle_metadata
from badc_dagster.per_recording import RecordingOutput, Results, Step, per_recording_asset

STAGE = "report_bundle"


def build_report_bundle(connection: Connection) -> dg.AssetsDefinition:
    """Returns the asset that writes recordings' reports."""

    @per_recording_asset(connection, STAGE, __doc__, {"html", "duckdb"})
    def report_bundle(context: dg.AssetExecutionContext) -> Results:
        step = Step(context, connection, STAGE)

        def describe(recording_id: str, value: BundleOutcome) -> RecordingOutput:
            paths = step.dataset.bundle(recording_id)
            return RecordingOutput(bundle_metadata(value, paths))

        outcomes = for_each(
            step.take(), lambda one: write_bundle(step.dataset, one), usable_cores()
        )
        yield from step.materialise(outcomes, describe)

    return report_bundle
