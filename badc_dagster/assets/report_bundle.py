"""A page about a recording, to send around; with `report.bundle = "full"` also its tables."""

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.reports.bundle import BundleOutcome
from badc_core.steps import write_bundles
from badc_dagster.assets.speech_segments import materialization
from badc_dagster.per_recording import per_recording_asset
from badc_dagster.recording_step import RecordingOutput, Results, Step
from badc_dagster.report_metadata import bundle_metadata


def build(connection: Connection) -> dg.AssetsDefinition:
    """Returns the asset that writes recordings' reports."""

    @per_recording_asset(connection, "report_bundle", __doc__, {"html"})
    def report_bundle(context: dg.AssetExecutionContext, step: Step) -> Results:

        def describe(recording_id: str, value: BundleOutcome) -> RecordingOutput:
            if value.speech is not None and value.speech.is_new:
                found = materialization(connection, step.dataset, recording_id, value.speech)
                context.log_event(found)
            return RecordingOutput(bundle_metadata(value, step.dataset))

        yield from step.materialise(step.outcomes(write_bundles), describe)

    return report_bundle
