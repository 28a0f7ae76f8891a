"""What the corpus would be made from now: the data versions of the corpus assets.

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
from badc_core.stages.step_records import CORPUS_DETECTIONS, CORPUS_REPORT
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


def corpus_fingerprints(
    instance: dg.DagsterInstance,
    connection: Connection,
    dataset: Dataset,
    registry: Registry,
    missing: Sequence[str] | None = None,
) -> dict[str, str]:
    """Returns what each of the corpus assets would be made from.

    Args:
        instance: holds the events.
        connection: the dataset's place in the asset graph.
        dataset: the dataset.
        registry: its recordings.
        missing: those without a file, as just found; None to look for them.
    """
    place = instance, connection
    detections = corpus_fingerprint(*place, dataset, registry, missing)
    return {
        CORPUS_DETECTIONS: detections,
        CORPUS_REPORT: corpus_report_fingerprint(*place, registry, detections),
    }


def corpus_report_fingerprint(
    instance: dg.DagsterInstance, connection: Connection, registry: Registry, detections: str
) -> str:
    """Returns what the pages would be made from: the corpus, and the pages of recordings.

    Exports are made from the corpus alone, and not again for a new page.

    Args:
        instance: holds the events.
        connection: the dataset's place in the asset graph.
        registry: the dataset's recordings.
        detections: what the corpus was made from, or would be.
    """
    pages = recorded_fingerprints(instance, asset_key(connection, "report_bundle"))
    return digest_json([detections, [pages.get(one, "") for one in registry.ids]])


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


def find_due_assets(
    instance: dg.DagsterInstance,
    connection: Connection,
    dataset: Dataset,
    wanted: Mapping[str, str],
) -> list[str]:
    """Returns the corpus assets that were made from something else, by asset graph or by file.

    Has the asset graph record those made elsewhere that are as wanted.

    Args:
        instance: holds the events.
        connection: the dataset's place in the asset graph.
        dataset: the dataset.
        wanted: what each would be made from, as `corpus_fingerprints` returns it.
    """
    stored: Mapping[str, StoredOutput] = {}
    with suppress(DatasetInvalid):
        stored = read_stored(dataset.corpus.fingerprints, "")
    due = []
    for asset in CORPUS_ASSETS:
        recorded = latest_fingerprint(instance, asset_key(connection, asset))
        said = stored[asset].fingerprint if asset in stored else recorded
        if {recorded, said} == {wanted[asset]}:
            continue
        if said == wanted[asset] and _is_whole(dataset, asset, stored.get(asset)):
            _take_over(instance, connection, dataset, asset, said)
        else:
            due.append(asset)
    return due


def _is_whole(dataset: Dataset, asset: str, output: StoredOutput | None) -> bool:
    """Whether the main files of a corpus asset are as they were written."""
    paths = [corpus_file(dataset, asset)]
    paths += [dataset.corpus.parts] if asset == CORPUS_DETECTIONS else []
    return output is not None and not find_difference(dataset, paths, output, in_full=True)


def _take_over(
    instance: dg.DagsterInstance,
    connection: Connection,
    dataset: Dataset,
    asset: str,
    fingerprint: str,
) -> None:
    uri = corpus_file(dataset, asset).as_uri()
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            asset_key(connection, asset),
            metadata={TAKEN_OVER: ELSEWHERE, "dagster/uri": uri},
            tags={FINGERPRINT_TAG: fingerprint, CODE_VERSION_TAG: CORPUS_CODE_VERSION},
        )
    )
