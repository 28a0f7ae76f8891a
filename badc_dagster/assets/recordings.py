"""Every recording of the dataset: scans its folders, gives ids, registers partition keys."""

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import dagster as dg

from badc_core.recordings.registry import register_recordings
from badc_dagster.connections import Connection
from badc_dagster.liveness import hold
from badc_dagster.metadata import table
from badc_dagster.partitions import register_keys


def build_recordings(connection: Connection) -> dg.AssetsDefinition:
    """Returns the asset that finds recordings and makes them partitions."""
    resource = connection.scoped("dataset")

    @dg.asset(
        key_prefix=connection.key_prefix,
        group_name=connection.group_name,
        description=__doc__,
        kinds={"csv"},
        required_resource_keys={resource},
    )
    def recordings(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        hold(context.run.run_id)
        dataset = getattr(context.resources, resource)
        outcome = register_recordings(dataset)
        n_new_keys = register_keys(context.instance, connection, outcome.registry.ids)
        folders = Counter(
            str(PurePosixPath(one.path).parent) for one in outcome.registry.by_id.values()
        )
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": outcome.total,
                "dagster/uri": dataset.registry.as_uri(),
                "new_recordings": len(outcome.added),
                "new_partitions": n_new_keys,
                "changed": len(outcome.changed),
                "missing": len(outcome.missing),
                "folders": table(("folder", "recordings"), folders.most_common(20)),
            }
        )

    return recordings
