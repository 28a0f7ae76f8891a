"""Results of all recordings for other programs: an asset for each format that the settings name."""

from typing import Any

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.exports.formats import FORMATS
from badc_core.exports.step import ExportMade, make_export
from badc_core.provenance.commits import Commits
from badc_core.stages.export_outputs import export_asset, export_fingerprint
from badc_core.stages.step_records import CORPUS_DETECTIONS
from badc_dagster.failures import as_failures
from badc_dagster.fingerprint_tags import latest_fingerprint
from badc_dagster.liveness import show_alive
from badc_dagster.metadata import commit_metadata
from badc_dagster.partitions import STAGE_TAG, asset_key, owners_of, settings_of
from badc_dagster.recording_step import Results
from badc_dagster.step_job import StepJob


def build(connection: Connection) -> list[dg.AssetsDefinition]:
    """Returns the assets, none where the settings name no format."""
    return [_build_export(connection, form) for form in settings_of(connection).export.formats]


def _build_export(connection: Connection, form: str) -> dg.AssetsDefinition:
    resource, name = connection.scoped("dataset"), export_asset(form)

    @dg.asset(
        name=name,
        key_prefix=connection.key_prefix,
        group_name=connection.name,
        owners=owners_of(connection),
        tags={STAGE_TAG: "export"},
        deps=[asset_key(connection, CORPUS_DETECTIONS)],
        description=f"An export, as of `badc export {form}`: {FORMATS[form].meaning}.",
        required_resource_keys={resource},
    )
    def export(context: dg.AssetExecutionContext) -> Results:
        with as_failures(), StepJob(context, connection, name) as job:
            show_alive(context.run.run_id)
            dataset: Dataset = getattr(context.resources, resource)
            corpus = latest_fingerprint(context.instance, asset_key(connection, CORPUS_DETECTIONS))
            fingerprint = export_fingerprint(corpus, form)
            commits = Commits(dataset, context.log.warning)
            made: ExportMade = make_export(dataset, form, fingerprint, commits)
            for note in made.written.notes:
                context.log.warning(note)
            job.add_outputs(made.stored.files)
            job.add_metadata(commit=made.commit, files=made.written.files)
            yield dg.MaterializeResult(
                metadata=_metadata(made), data_version=dg.DataVersion(fingerprint)
            )

    return export


def _metadata(made: ExportMade) -> dict[str, Any]:
    written = made.written
    return {
        "dagster/row_count": written.detections,
        "dagster/uri": written.folder.as_uri(),
        "path": dg.MetadataValue.path(written.folder),
        "recordings": written.recordings,
        "files": written.files,
        "files_written": written.files_written,
        "size_bytes": written.size_bytes,
        **({"left_out": "; ".join(written.notes)} if written.notes else {}),
        **commit_metadata(made.commit),
    }
