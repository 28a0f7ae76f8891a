"""Which exports are due: those that are not of the corpus as it is."""

import os
from collections.abc import Mapping
from contextlib import suppress

import dagster as dg

from badc_core.errors import DatasetInvalid
from badc_core.stages.export_outputs import (
    EXPORT_CODE_VERSION,
    export_asset,
    export_fingerprint,
    is_export_as_stored,
)
from badc_core.stages.fingerprint_files import StoredOutput, read_stored
from badc_core.stages.step_records import CORPUS_DETECTIONS
from badc_dagster.fingerprint_tags import (
    CODE_VERSION_TAG,
    ELSEWHERE,
    FINGERPRINT_TAG,
    TAKEN_OVER,
    latest_fingerprint,
)
from badc_dagster.partitions import asset_key, settings_of
from badc_dagster.taking_over import GraphPlace


def find_due_exports(place: GraphPlace) -> list[str]:
    """Returns the assets of exports that are due; none where there is no corpus.

    The asset graph gets to know of those that were made in another Dagster home.
    """
    instance, connection, dataset = place
    # Formats of a run's own settings, or newer than the asset graph, have no asset.
    in_graph = settings_of(connection).export.formats
    formats = [one for one in dataset.settings.export.formats if one in in_graph]
    if not formats or not os.path.lexists(dataset.corpus.duckdb):
        return []
    corpus = latest_fingerprint(instance, asset_key(connection, CORPUS_DETECTIONS))
    stored: Mapping[str, StoredOutput] = {}
    with suppress(DatasetInvalid):
        stored = read_stored(dataset.corpus.fingerprints, "")
    due = []
    for form in formats:
        name, wanted = export_asset(form), export_fingerprint(corpus, form)
        output = stored.get(name)
        is_made = output is not None and output.fingerprint == wanted
        if output is None or not is_made or not is_export_as_stored(dataset, form, output):
            due.append(name)
        elif latest_fingerprint(instance, asset_key(connection, name)) != wanted:
            _take_over(place, form, wanted)
    return due


def _take_over(place: GraphPlace, form: str, fingerprint: str) -> None:
    instance, connection, dataset = place
    uri = dataset.export(form).as_uri()
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            asset_key(connection, export_asset(form)),
            metadata={TAKEN_OVER: ELSEWHERE, "dagster/uri": uri},
            tags={FINGERPRINT_TAG: fingerprint, CODE_VERSION_TAG: EXPORT_CODE_VERSION},
        )
    )
