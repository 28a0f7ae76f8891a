"""Files about chunks that commands make by hand: shown in the asset graph, made outside of it.

Their events come from notes (`badc_dagster/done_notes.py`). Dagster cannot run them, so no job,
backfill or sensor does. It shows a partition as failed only where a run of its own failed; so a
check of each asset says which recordings did.
"""

from collections.abc import Sequence

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.units import shorten
from badc_dagster.fingerprint_tags import recorded_event_ids
from badc_dagster.partitions import asset_key, recording_partitions

CHUNK_FILES = "chunk_files"
CHUNK_DETECTIONS = "chunk_detections"
NOTHING_FAILED = "nothing_failed"

_SHOWN = 5
_CHECK_DESCRIPTION = (
    "No recording's latest work by hand failed. The newest observation of one whose work did says "
    "why."
)

_DESCRIPTIONS = {
    CHUNK_FILES: (
        "Chunks as files of their own, as `badc chunk run` and `badc chunk orchestrate --apply` "
        "write them. Dagster does not: `badc run` needs none. Shown once `badc scan`, `badc run`, "
        "`badc slurm collect` or the sensor has been at work."
    ),
    CHUNK_DETECTIONS: (
        "A JSON file of detections for each chunk, as `badc infer run`, `badc infer run-config`, "
        "`badc infer orchestrate --apply` and the tasks of its array scripts write them. Dagster "
        "does not: the detections of `badc run` are in raw_detections and detections. Shown once "
        "`badc scan`, `badc run`, `badc slurm collect` or the sensor has been at work."
    ),
}


def build(connection: Connection) -> list[dg.AssetSpec]:
    """Returns the assets that only commands make, with a partition for each recording."""
    chain = ("recording", CHUNK_FILES, CHUNK_DETECTIONS)
    return [
        dg.AssetSpec(
            asset_key(connection, name),
            deps=[asset_key(connection, before)],
            description=_DESCRIPTIONS[name],
            group_name=f"{connection.name}_by_hand",
            partitions_def=recording_partitions(connection),
            kinds={kind},
        )
        for before, name, kind in zip(chain, chain[1:], ("wav", "json"), strict=False)
    ]


def build_checks(connection: Connection) -> list[dg.AssetChecksDefinition]:
    """Returns the checks of these assets."""
    return [_build_check(connection, asset_key(connection, name)) for name in _DESCRIPTIONS]


def report_checks(instance: dg.DagsterInstance, connection: Connection) -> None:
    """Stores what the checks find in the events of these assets, where there are any."""
    for name in _DESCRIPTIONS:
        key = asset_key(connection, name)
        if instance.has_asset_key(key):
            instance.report_runless_asset_event(_evaluate(instance, connection, key))


def _evaluate(
    instance: dg.DagsterInstance, connection: Connection, key: dg.AssetKey
) -> dg.AssetCheckEvaluation:
    failed = _list_failed(instance, connection, key)
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=NOTHING_FAILED,
        passed=not failed,
        description=_CHECK_DESCRIPTION,
        metadata={
            "violations": len(failed),
            "examples": "; ".join(shorten(failed, _SHOWN)) or "-",
        },
    )


def _build_check(connection: Connection, key: dg.AssetKey) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=key, name=NOTHING_FAILED, description=_CHECK_DESCRIPTION)
    def nothing_failed(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        found = _evaluate(context.instance, connection, key)
        return dg.AssetCheckResult(
            passed=found.passed, description=found.description, metadata=found.metadata
        )

    return nothing_failed


def _list_failed(
    instance: dg.DagsterInstance, connection: Connection, key: dg.AssetKey
) -> Sequence[str]:
    """Returns the recordings whose latest event is an observation, which tells of a failure."""
    observed = instance.event_log_storage.get_latest_storage_id_by_partition(
        key, dg.DagsterEventType.ASSET_OBSERVATION
    )
    # Events of forgotten recordings stay.
    known = observed.keys() & instance.get_dynamic_partitions(connection.partitions_name)
    made = recorded_event_ids(instance, key, list(known))
    return sorted(one for one in known if observed[one] > made.get(one, -1))
