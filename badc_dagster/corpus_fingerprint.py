"""What the corpus would be made from now, in one string: the data version of the corpus assets.

What it was made from is also in a file beside it, as for recordings
(`badc_core/stages/fingerprint_files.py`), so that a clone need not make it again.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress

import dagster as dg

from badc_core.datasets.connections import Connection
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.hashing import digest_json
from badc_core.recordings.failures import read_failures
from badc_core.recordings.missing import find_missing, find_superseded
from badc_core.recordings.registry import Registry
from badc_core.stages.corpus_outputs import CORPUS_ASSETS, CORPUS_CODE_VERSION, corpus_file
from badc_core.stages.fingerprint_files import StoredOutput, find_difference, read_stored
from badc_core.stages.fingerprints import Fingerprints
from badc_core.stages.step_records import CORPUS_DETECTIONS
from badc_core.stages.work import Work
from badc_dagster.fingerprint_tags import (
    CODE_VERSION_TAG,
    ELSEWHERE,
    FINGERPRINT_TAG,
    TAKEN_OVER,
    latest_fingerprint,
    recorded_fingerprints,
)
from badc_dagster.partitions import asset_key


def corpus_fingerprint(
    instance: dg.DagsterInstance,
    connection: Connection,
    dataset: Dataset,
    registry: Registry,
    missing: Sequence[str] | None = None,
) -> str:
    """Returns what the corpus would be made from: detections, descriptions, failures.

    Recordings that would count twice are none of it; of those whose file is gone the page tells.

    Args:
        instance: holds the events.
        connection: the dataset's place in the asset graph.
        dataset: the dataset.
        registry: its recordings.
        missing: those without a file, as just found; None to look for them.
    """
    made = recorded_fingerprints(instance, asset_key(connection, "detections"))
    superseded = find_superseded(dataset, registry)
    if missing is None:
        gone = find_missing(dataset, registry.without(superseded))
    else:
        gone = tuple(one for one in missing if one not in superseded)
    content = {
        "code": CORPUS_CODE_VERSION,
        "report": Fingerprints(dataset).settings_hash("report_bundle"),
        "made": {one: made.get(one, "") for one in registry.ids if one not in superseded},
        "marked": sorted(Work(dataset.work_folder).dirty("detections")),
        "failed": {one: note.error for one, note in read_failures(dataset).items()},
    }
    if dataset.settings.speech.is_searched_for:
        # Speech is searched for as the reports are written.
        content["reports"] = recorded_fingerprints(instance, asset_key(connection, "report_bundle"))
    return digest_json(content | ({"gone": gone} if gone else {}))


def is_corpus_current(
    instance: dg.DagsterInstance, connection: Connection, dataset: Dataset, wanted: str
) -> bool:
    """Whether the corpus was made from what is wanted, as the asset graph and its file have it."""
    stored: Mapping[str, StoredOutput] = {}
    with suppress(DatasetInvalid):
        stored = read_stored(dataset.corpus.fingerprints, "")
    said = [stored[one].fingerprint for one in CORPUS_ASSETS if one in stored]
    recorded = [latest_fingerprint(instance, asset_key(connection, one)) for one in CORPUS_ASSETS]
    return {*recorded, *said} == {wanted}


def take_over_corpus(
    instance: dg.DagsterInstance, connection: Connection, dataset: Dataset, wanted: str
) -> bool:
    """Has the asset graph record a corpus that was made elsewhere, if it is the one wanted.

    Returns:
        whether it is.
    """
    try:
        stored = read_stored(dataset.corpus.fingerprints, "")
    except DatasetInvalid:
        return False  # it is made again, and so is what says what it was made from
    for asset in CORPUS_ASSETS:
        output = stored.get(asset)
        if output is None or output.fingerprint != wanted:
            return False
        paths = [corpus_file(dataset, asset)]
        paths += [dataset.corpus.parts] if asset == CORPUS_DETECTIONS else []
        if find_difference(dataset, paths, output, in_full=True):
            return False
    for asset in CORPUS_ASSETS:
        uri = corpus_file(dataset, asset).as_uri()
        instance.report_runless_asset_event(
            dg.AssetMaterialization(
                asset_key(connection, asset),
                metadata={TAKEN_OVER: ELSEWHERE, "dagster/uri": uri},
                tags={FINGERPRINT_TAG: wanted, CODE_VERSION_TAG: CORPUS_CODE_VERSION},
            )
        )
    return True
