"""Files about chunks that commands make by hand: shown in the asset graph, made outside of it.

Their events come from notes (`badc_dagster/done_notes.py`). Dagster cannot run them, so no job,
backfill or sensor does.
"""

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_dagster.partitions import asset_key, recording_partitions

CHUNK_FILES = "chunk_files"
CHUNK_DETECTIONS = "chunk_detections"

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
