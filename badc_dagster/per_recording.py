"""The one pattern of per-recording assets: how they are declared.

How what their bodies yield becomes events is in `recording_step.py`.
"""

from collections.abc import Callable, Set
from typing import Any, cast

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.stages.stage import STAGES
from badc_dagster.failures import as_failures
from badc_dagster.host_inputs import input_names
from badc_dagster.partitions import (
    STAGE_TAG,
    asset_key,
    backfill_policy,
    owners_of,
    recording_partitions,
)
from badc_dagster.recording_step import Results, Step
from badc_dagster.step_job import StepJob

_PARTITIONS = (
    "Each recording is a partition. A bad one does not stop the others of its run, though the run "
    "is then called failed. Failed: this recording has no result; the run's failure and `badc "
    "status` say why. Missing, in grey: nothing was made yet, or an asset before this one failed "
    "for this recording."
)


def per_recording_asset(
    connection: Connection,
    stage: str,
    description: str | None,
    kinds: Set[str],
    **declared: Any,
) -> Callable[[Callable[[dg.AssetExecutionContext, Step], Results]], dg.AssetsDefinition]:
    """Returns the decorator for an asset of which every recording has a partition.

    Args:
        connection: the dataset.
        stage: its name in `STAGES`, which says what it depends on.
        description: what the UI says of it.
        kinds: what it is made of, for the UI.
        declared: what else `dg.asset` should know.
    """
    declare = dg.asset(
        name=stage,
        key_prefix=connection.key_prefix,
        group_name=connection.name,
        partitions_def=recording_partitions(connection),
        backfill_policy=backfill_policy(connection, STAGES[stage]),
        deps=[asset_key(connection, name) for name in input_names(stage)],
        description=f"{description or ''}\n\n{_PARTITIONS}",
        owners=owners_of(connection),
        tags={STAGE_TAG: stage},
        kinds=set(kinds),
        code_version=STAGES[stage].code_version,
        required_resource_keys={connection.scoped("dataset")},
        output_required=False,
        **declared,
    )

    def decorate(
        body: Callable[[dg.AssetExecutionContext, Step], Results],
    ) -> dg.AssetsDefinition:
        def guarded(context: dg.AssetExecutionContext) -> Results:
            with as_failures(), StepJob(context, connection, stage) as job:
                yield from body(context, Step(context, connection, stage, job))

        return cast("dg.AssetsDefinition", declare(guarded))

    return decorate
