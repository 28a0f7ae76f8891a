"""Recordings as partition keys: their definition, their registration, and batch sizes.

Which recordings there are is found out in `badc_core.recordings.registry`.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import dagster as dg

from badc_core.datasets.connections import Connection

_KEYS_PER_CALL = 5_000
"""SQLite builds with the default limit of 32,766 variables fail above it (dagster#16260)."""

MAX_PARTITIONS_PER_RUN = {
    "recording": 400,
    "chunk_manifest": 401,
    "detections": 200,
    "report_bundle": 201,
}
"""Different for every asset: with equal sizes a backfill chains the batch in one run, and one bad
recording takes the later stages of all others down."""


def recording_partitions(connection: Connection) -> dg.DynamicPartitionsDefinition:
    """Returns the partitions of a dataset: one key per recording."""
    return dg.DynamicPartitionsDefinition(name=connection.partitions_name)


def backfill_policy(stage: str) -> dg.BackfillPolicy:
    """Returns how many recordings one run of an asset takes."""
    return dg.BackfillPolicy.multi_run(MAX_PARTITIONS_PER_RUN[stage])


def register_keys(
    instance: dg.DagsterInstance, connection: Connection, recording_ids: Sequence[str]
) -> int:
    """Adds the keys the instance does not know yet, in their order; returns how many."""
    known = set(instance.get_dynamic_partitions(connection.partitions_name))
    new = [one for one in recording_ids if one not in known]
    for some in _batches(new, _KEYS_PER_CALL):
        instance.add_dynamic_partitions(connection.partitions_name, some)
    return len(new)


def contiguous_ranges(
    all_keys: Sequence[str], wanted: Sequence[str], at_most: int
) -> list[list[str]]:
    """Returns the wanted keys as runs that lie side by side in the instance's order.

    A Dagster range is everything between two keys in the order they were added, so scattered keys
    need a range each.

    Args:
        all_keys: every key, in the instance's order.
        wanted: some of them.
        at_most: longest range.
    """
    position = {key: index for index, key in enumerate(all_keys)}
    indices = sorted(position[key] for key in wanted)
    ranges: list[list[str]] = []
    for _, group in groupby(enumerate(indices), key=lambda pair: pair[1] - pair[0]):
        together = [all_keys[index] for _, index in group]
        ranges.extend(_batches(together, at_most))
    return ranges


def range_tags(keys: Sequence[str]) -> dict[str, str]:
    """Returns the run tags that select a range of keys."""
    return {
        "dagster/asset_partition_range_start": keys[0],
        "dagster/asset_partition_range_end": keys[-1],
    }


def _batches(keys: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
