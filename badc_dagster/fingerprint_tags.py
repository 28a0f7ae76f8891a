"""Fingerprints as data versions: what an output was made from, as the asset graph has it.

Dagster indexes the data version of every partition and no tag of ours, so it carries the
fingerprint; hashes of contents are in the metadata.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

from badc_dagster.partitions import KEYS_PER_CALL, in_pieces

FINGERPRINT_TAG = "dagster/data_version"
CODE_VERSION_TAG = "dagster/code_version"
TAKEN_OVER = "taken_over"
"""In the metadata of a materialisation that no run made: where its output comes from."""
ELSEWHERE = "made in another Dagster home"
REGISTRY_VERSION = "registry"
"""Data version of `recordings`, always the same: a scan that finds one new file must not make the
UI call all other recordings out of date. A changed file shows in its own fingerprint."""


def recorded_fingerprints(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Sequence[str] | None = None
) -> Mapping[str, str]:
    """Returns the fingerprint of each partition's latest materialisation, in few queries.

    Args:
        instance: holds the events.
        key: of a per-recording asset.
        partitions: only these; all by default.
    """
    recorded: dict[str, str] = {}
    for some in [None] if partitions is None else in_pieces(partitions, KEYS_PER_CALL):
        tags = instance.event_log_storage.get_latest_tags_by_partition(
            key, dg.DagsterEventType.ASSET_MATERIALIZATION, [FINGERPRINT_TAG], some
        )
        recorded |= {one: found.get(FINGERPRINT_TAG, "") for one, found in tags.items()}
    return recorded


def recorded_event_ids(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Sequence[str]
) -> Mapping[str, int]:
    """Returns the storage id of each partition's latest materialisation, in few queries."""
    recorded: dict[str, int] = {}
    for some in in_pieces(partitions, KEYS_PER_CALL):
        recorded |= instance.event_log_storage.get_latest_storage_id_by_partition(
            key, dg.DagsterEventType.ASSET_MATERIALIZATION, set(some)
        )
    return recorded


def latest_fingerprint(instance: dg.DagsterInstance, key: dg.AssetKey) -> str:
    """Returns the fingerprint of an unpartitioned asset's latest materialisation, or nothing."""
    event = instance.get_latest_materialization_event(key)
    made = event.asset_materialization if event else None
    return (made.tags or {}).get(FINGERPRINT_TAG, "") if made else ""
