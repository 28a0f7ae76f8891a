"""What a dataset's assets are called, and its recordings as partition keys.

Which recordings there are is found out in `badc_core.recordings.registry`; how many a run takes is
in the table of stages.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TypeVar

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError
from badc_core.settings import Settings
from badc_core.slurm.packing import most_recordings
from badc_core.stages.stage import Stage
from badc_core.units import shorten

T = TypeVar("T")

PIPELINES = "pipelines"
"""Prefix of the keys of pipelines' stages; no dataset's assets have keys of three parts."""
_RANGE_START = "dagster/asset_partition_range_start"
_RANGE_END = "dagster/asset_partition_range_end"
ASSET_TAG = "badc/asset"
"""Of a run: what it makes."""
STAGE_TAG = "badc/stage"
"""Of an asset."""
_RECORDINGS_TAG = "badc/recordings"
_SHOWN = 5
KEYS_PER_CALL = 5_000
"""SQLite builds with the default limit of 32,766 variables fail above it (dagster#16260)."""


def asset_key(connection: Connection, name: str) -> dg.AssetKey:
    """Returns the key of one of a dataset's assets."""
    return dg.AssetKey([*connection.key_prefix, name])


def recording_partitions(connection: Connection) -> dg.DynamicPartitionsDefinition:
    """Returns the partitions of a dataset: one key per recording."""
    return dg.DynamicPartitionsDefinition(name=connection.partitions_name)


def backfill_policy(connection: Connection, stage: Stage) -> dg.BackfillPolicy:
    """Returns how many recordings one run of an asset takes."""
    return dg.BackfillPolicy.multi_run(run_size(settings_of(connection), stage))


def settings_of(connection: Connection) -> Settings:
    """Returns the settings with which a dataset is put into the asset graph."""
    try:
        return Dataset.open(connection.root).settings
    except BadcError:
        return Settings()  # the run will say what is wrong with them


def run_size(settings: Settings, stage: Stage) -> int:
    """Returns how many recordings one run of a stage takes.

    A run whose tasks are on a cluster only waits, so one waits for many. The sizes of stages must
    differ (`stages/stage.py`).
    """
    on_cluster = settings.slurm.on_cluster(stage.name) and not settings.datalad.drop_after
    return stage.batch_size + (most_recordings() if on_cluster else 0)


def register_keys(
    instance: dg.DagsterInstance, connection: Connection, recording_ids: Sequence[str]
) -> int:
    """Adds the keys the instance does not know yet, in their order; returns how many."""
    known = set(instance.get_dynamic_partitions(connection.partitions_name))
    new = [one for one in recording_ids if one not in known]
    for some in in_pieces(new, KEYS_PER_CALL):
        instance.add_dynamic_partitions(connection.partitions_name, some)
    return len(new)


def owners_of(connection: Connection) -> list[str]:
    """Returns who answers for each asset of a dataset."""
    return list(settings_of(connection).web_interface.owners)


class KeyOrder:
    """The partition keys of a dataset in the instance's order, which ranges follow."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys
        self._position = {key: index for index, key in enumerate(keys)}

    @classmethod
    def read(cls, instance: dg.DagsterInstance, connection: Connection) -> "KeyOrder":
        """Returns the order of the keys that the instance has now."""
        return cls(instance.get_dynamic_partitions(connection.partitions_name))

    def sort(self, wanted: Iterable[str]) -> list[str]:
        """Returns keys in the instance's order."""
        return sorted(wanted, key=self._position.__getitem__)

    def between(self, first: str | None, last: str | None) -> Sequence[str]:
        """Returns the keys from one to another, both included; none if either is unknown."""
        if first not in self._position or last not in self._position:
            return ()
        return self._keys[self._position[first] : self._position[last] + 1]

    def of_run(self, tags: Mapping[str, str]) -> Sequence[str]:
        """Returns the keys that a run with these tags takes."""
        only = tags.get("dagster/partition")
        return self.between(tags.get(_RANGE_START, only), tags.get(_RANGE_END, only))

    def ranges(self, wanted: Iterable[str], at_most: int) -> list[list[str]]:
        """Returns the wanted keys as lists of neighbours.

        A Dagster range is everything between two keys in the order they were added, so scattered
        keys need a range each.

        Args:
            wanted: some of the keys.
            at_most: longest range.
        """
        indices = sorted(self._position[key] for key in wanted)
        ranges: list[list[str]] = []
        for _, group in groupby(enumerate(indices), key=lambda pair: pair[1] - pair[0]):
            together = [self._keys[index] for _, index in group]
            ranges.extend(in_pieces(together, at_most))
        return ranges


def range_tags(keys: Sequence[str]) -> dict[str, str]:
    """Returns the run tags that select a range of keys, and show it in lists of runs."""
    return {_RANGE_START: keys[0], _RANGE_END: keys[-1], **recordings_tag(keys)}


def recordings_tag(keys: Sequence[str]) -> dict[str, str]:
    """Returns the run tag that says which recordings a run takes."""
    return {_RECORDINGS_TAG: ", ".join(shorten(keys, _SHOWN))}


def in_pieces(keys: Sequence[T], size: int) -> Iterator[list[T]]:
    """Yields keys, or others, in pieces of a size, the last one shorter."""
    for start in range(0, len(keys), size):
        yield list(keys[start : start + size])
