"""What the corpus would be made from now, in one string: the data version of the corpus assets."""

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.hashing import digest_json
from badc_core.recordings.failures import read_failures
from badc_core.recordings.missing import find_missing, find_superseded
from badc_core.recordings.registry import Registry
from badc_core.stages.fingerprints import Fingerprints
from badc_core.stages.work import Work
from badc_dagster.fingerprint_tags import recorded_fingerprints
from badc_dagster.partitions import asset_key

_CODE_VERSION = "3"
"""Raised by hand when the corpus assets give different results for the same input."""


def corpus_fingerprint(
    instance: dg.DagsterInstance, connection: Connection, dataset: Dataset, registry: Registry
) -> str:
    """Returns what the corpus would be made from: detections, descriptions, failures.

    Recordings that would count twice are none of it; of those whose file is gone the page tells.
    """
    made = recorded_fingerprints(instance, asset_key(connection, "detections"))
    superseded = find_superseded(dataset, registry)
    gone = find_missing(dataset, registry.without(superseded))
    content = {
        "code": _CODE_VERSION,
        "report": Fingerprints(dataset).settings_hash("report_bundle"),
        "made": {one: made.get(one, "") for one in registry.ids if one not in superseded},
        "marked": sorted(Work(dataset.work_folder).dirty("detections")),
        "failed": {one: note.error for one, note in read_failures(dataset).items()},
    }
    return digest_json(content | ({"gone": gone} if gone else {}))
