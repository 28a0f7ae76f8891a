"""Where people speak in a recording, as an asset without a step of its own.

A step would be one that every dataset goes through, and an edge would make all reports wait for it.
"""

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.speech.stored import FoundSpeech
from badc_dagster.metadata import speech_metadata
from badc_dagster.partitions import asset_key, recording_partitions

SPEECH_SEGMENTS = "speech_segments"
_DESCRIPTION = """Where people speak in a recording.

Materialise `report_bundle` to get it: with `speech.privacy` in the dataset's settings, the first
report that needs it searches the recording for speech. Without that setting it stays empty.
"""


def build(connection: Connection) -> dg.AssetSpec:
    """Returns the asset, which `report_bundle` materialises."""
    return dg.AssetSpec(
        asset_key(connection, SPEECH_SEGMENTS),
        deps=[asset_key(connection, "recording")],
        description=_DESCRIPTION,
        group_name=connection.name,
        partitions_def=recording_partitions(connection),
        kinds={"json"},
    )


def materialization(
    connection: Connection, dataset: Dataset, recording_id: str, found: FoundSpeech
) -> dg.AssetMaterialization:
    """Returns the event of what was found in a recording."""
    return dg.AssetMaterialization(
        asset_key(connection, SPEECH_SEGMENTS),
        partition=recording_id,
        metadata=speech_metadata(found.segments, dataset.speech(recording_id)),
    )
