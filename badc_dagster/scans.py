"""Scans by the command line or the sensor, as events of the asset graph."""

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.recordings.registry import ScanOutcome
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
    """Materialises `recordings` if the scan changed anything, or it never was materialised."""
    key = asset_key(connection, "recordings")
    has_changed = outcome.added or outcome.changed or n_new_keys
    if not has_changed and instance.get_latest_materialization_event(key) is not None:
        return
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            key,
            metadata=registry_metadata(outcome, n_new_keys, dataset.registry),
            tags={FINGERPRINT_TAG: REGISTRY_VERSION},
        )
    )
