"""Scans by the command line or the sensor, as events of the asset graph."""

from collections.abc import Collection

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.recordings.failures import clear_failure
from badc_core.recordings.registry import ScanOutcome
from badc_core.stages.stage import STAGES
from badc_core.stages.work import Work
from badc_dagster.assets.by_hand import report_checks
from badc_dagster.fingerprint_tags import FINGERPRINT_TAG, REGISTRY_VERSION
from badc_dagster.metadata import registry_metadata
from badc_dagster.partitions import asset_key


def report_scan(
    instance: dg.DagsterInstance,
    connection: Connection,
    dataset: Dataset,
    outcome: ScanOutcome,
    n_new_keys: int,
) -> None:
    """Materialises `recordings` if the scan changed anything, or it never was materialised.

    What the scan dropped from the registry is forgotten here too.
    """
    forget_recordings(instance, connection, dataset, outcome.dropped)
    key = asset_key(connection, "recordings")
    has_changed = outcome.added or outcome.changed or outcome.renamed or n_new_keys
    if not has_changed and _n_missing(instance, key) == len(outcome.missing):
        return
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            key,
            metadata=registry_metadata(outcome, n_new_keys, dataset.registry),
            tags={FINGERPRINT_TAG: REGISTRY_VERSION},
        )
    )


def forget_recordings(
    instance: dg.DagsterInstance,
    connection: Connection,
    dataset: Dataset,
    recording_ids: Collection[str],
) -> None:
    """Removes the partitions of recordings that are not in the registry any more."""
    work = Work(dataset.work_folder)
    for recording_id in recording_ids:
        instance.delete_dynamic_partition(connection.partitions_name, recording_id)
        clear_failure(dataset, recording_id)
        for stage in STAGES:
            work.forget(stage, recording_id)
    if recording_ids:
        report_checks(instance, connection)


def _n_missing(instance: dg.DagsterInstance, key: dg.AssetKey) -> int | None:
    """Returns how many recordings the last scan missed; None if that is not known."""
    event = instance.get_latest_materialization_event(key)
    latest = event.asset_materialization if event else None
    found = latest.metadata.get("missing") if latest else None
    return found.value if isinstance(found, dg.IntMetadataValue) else None
