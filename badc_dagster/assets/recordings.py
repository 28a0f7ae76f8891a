"""Every recording of the dataset: scans its folders, gives ids, registers partition keys."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.provenance.commits import Commits
from badc_core.recordings.registry import register_recordings
from badc_core.stages.step_records import commit_dataset_files
from badc_dagster.failures import as_failures
from badc_dagster.fingerprint_tags import REGISTRY_VERSION
from badc_dagster.liveness import show_alive
from badc_dagster.metadata import registry_metadata
from badc_dagster.partitions import owners_of, register_keys
from badc_dagster.scans import forget_recordings
from badc_dagster.step_job import StepJob


def build(connection: Connection) -> dg.AssetsDefinition:
    """Returns the asset that finds recordings and makes them partitions."""
    resource = connection.scoped("dataset")

    @dg.asset(
        key_prefix=connection.key_prefix,
        group_name=connection.name,
        description=__doc__,
        kinds={"csv"},
        owners=owners_of(connection),
        required_resource_keys={resource},
    )
    def recordings(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        with as_failures(), StepJob(context, connection, "recordings") as job:
            show_alive(context.run.run_id)
            dataset = getattr(context.resources, resource)
            outcome = register_recordings(dataset)
            commit_dataset_files(dataset, Commits(dataset, context.log.warning))
            forget_recordings(context.instance, connection, dataset, outcome.dropped)
            n_new_keys = register_keys(context.instance, connection, outcome.registry.ids)
            job.add_output(dataset.registry)
            job.add_metadata(recordings=len(outcome.registry), new=len(outcome.added))
            yield dg.MaterializeResult(
                metadata=registry_metadata(outcome, n_new_keys, dataset.registry),
                data_version=dg.DataVersion(REGISTRY_VERSION),
            )

    return recordings
