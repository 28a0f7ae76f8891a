"""The content of the page about all recordings of a dataset.

Its looks are in `templates/dataset.html`; its numbers come from the corpus database only.
"""

import os
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb

from badc_core.atomic import write_text
from badc_core.corpus.database import query
from badc_core.corpus.reading import open_corpus
from badc_core.corpus.speech_tables import SPEECH
from badc_core.datasets.dataset import Dataset
from badc_core.detectors.registry import choose_chunks
from badc_core.recordings.missing import find_missing, find_superseded
from badc_core.recordings.registry import read_registry
from badc_core.reports.charts import Cell, HeatMap
from badc_core.reports.page import is_made_up, render_page
from badc_core.site.activity_maps import NO_SUNRISE, map_by_hour, map_by_sunrise
from badc_core.species_names import SpeciesNames
from badc_core.speech.find import MODEL
from badc_core.units import format_duration

_LONG_PAUSE = timedelta(days=366)
_MAX_STATIONS = 10
_MAX_COLUMNS = 62

SPECIES = """
    SELECT label, label_name, any_value(scientific_name) AS scientific_name,
        sum(detections)::BIGINT AS detections, count(*) AS recordings, max(best) AS best,
        sum(not_expected)::BIGINT AS not_expected
    FROM counts_by_recording GROUP BY label, label_name ORDER BY detections DESC, label
"""
"""All labels of a dataset, the most frequent first."""

_RECORDINGS = """
    SELECT e.*, r.rms_dbfs, r.is_silent FROM effort_by_recording e
    JOIN recordings r USING (recording_id)
    ORDER BY e.study_area, e.location, e.start_local, recording_id
"""
_STATIONS = """
    SELECT study_area, location, count(*) AS recordings, sum(effort_s) AS effort_s,
        sum(detections)::BIGINT AS detections, sum(dead_s) AS dead_s,
        sum(chunks)::BIGINT AS chunks, sum(failed_chunks)::BIGINT AS failed_chunks,
        min(start_local) AS first, max(start_local) AS last
    FROM effort_by_recording GROUP BY ALL ORDER BY detections DESC, study_area, location
"""
_DETECTORS = """
    SELECT DISTINCT runner, model_version, model_sha256 FROM detectors_by_recording ORDER BY ALL
"""

_STUB = "SELECT count(*) AS n FROM chunks_by_recording WHERE stub_chunks > 0"

_DOUBTS = """
    SELECT any_value(warning ORDER BY recording_id) AS warning,
        count(DISTINCT recording_id) AS recordings, min(recording_id) AS example
    FROM (SELECT recording_id, unnest(warnings) AS warning FROM recordings)
    GROUP BY regexp_replace(warning, '[0-9][0-9.,:+-]*', '#', 'g') ORDER BY recordings DESC, warning
"""
"""Warnings that differ in their numbers alone are one kind."""

_HAS_SPEECH = f"SELECT count(*) AS n FROM duckdb_tables() WHERE table_name = '{SPEECH}'"  # noqa: S608
_SPEECH = f"SELECT * FROM {SPEECH} ORDER BY speech_s DESC NULLS LAST, recording_id"  # noqa: S608

_Rows = list[dict[str, Any]]


def write_corpus_page(dataset: Dataset) -> Path:
    """Writes the page about a dataset's corpus and returns its path.

    Raises:
        ContentMissing, DatasetInvalid: as for `open_corpus`.
        StorageFull: the disk or a quota is full.
    """
    with open_corpus(dataset) as connection:
        page = _render(connection, dataset)
    write_text(dataset.corpus.html, page)
    return dataset.corpus.html


def _render(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> str:
    report = dataset.settings.report
    names = SpeciesNames.read(report.language)
    species = names.add_to(query(connection, SPECIES))
    recordings = query(connection, _RECORDINGS)
    stations = query(connection, _STATIONS)
    top = species[: report.top_labels]
    detectors = query(connection, _DETECTORS)
    shown = recordings
    if len(recordings) > report.top_recordings:
        busiest = sorted(recordings, key=lambda one: (-one["detections"], one["recording_id"]))
        shown = busiest[: report.top_recordings]
    return render_page(
        "dataset.html",
        name=dataset.name,
        settings=dataset.settings,
        chunk_s=choose_chunks(dataset.settings).duration_s,
        totals=_totals(recordings),
        expected=query(connection, "SELECT * FROM expected_summary")[0],
        n_dead=sum(1 for one in recordings if one["dead_s"]),
        species=top,
        n_species=sum(1 for one in species if one["scientific_name"]),
        n_other_sounds=sum(1 for one in species if not one["scientific_name"]),
        n_more_species=len(species) - len(top),
        stations=stations[:_MAX_STATIONS],
        all_stations=sorted(stations, key=_station_name),
        n_stations=len(stations),
        by_station=_by_station(connection),
        effort=_effort_map(connection),
        activity=map_by_hour(connection, top),
        by_sunrise=map_by_sunrise(connection, top),
        no_sunrise=query(connection, NO_SUNRISE),
        recordings=[_linked(dataset, one) for one in shown],
        n_recordings=len(recordings),
        missing=query(connection, "SELECT * FROM missing ORDER BY recording_id"),
        gone=_find_gone(dataset),
        doubts=query(connection, _DOUBTS),
        speech=_find_speech(connection, dataset),
        speech_model=MODEL,
        detectors=detectors,
        n_stub=query(connection, _STUB)[0]["n"],
        made_up=[one for one in detectors if is_made_up(one["model_version"])],
        has_birdnet=any(one["runner"].lower().startswith("birdnet") for one in detectors)
        or dataset.settings.detector.name == "birdnet",
        station_name=_station_name,
    )


def _totals(recordings: _Rows) -> dict[str, Any]:
    names = ("detections", "chunks", "failed_chunks", "effort_s", "dead_s", "duration_s")
    totals: dict[str, Any] = {name: sum(one[name] for one in recordings) for name in names}
    starts = sorted(one["start_local"] for one in recordings if one["start_local"])
    return {
        **totals,
        "first": min(starts, default=None),
        "last": max(starts, default=None),
        "resumed": [b for a, b in pairwise(starts) if b - a > _LONG_PAUSE],
    }


def _find_speech(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> _Rows | None:
    """Returns each recording with whether people speak; None where that is not searched for."""
    if not dataset.settings.speech.is_searched_for:
        return None
    (there,) = query(connection, _HAS_SPEECH)
    rows = query(connection, _SPEECH) if there["n"] else []
    return [_linked(dataset, one) for one in rows]


def _find_gone(dataset: Dataset) -> tuple[str, ...]:
    """Returns the recording_ids of those that count although their file is gone."""
    registry = read_registry(dataset.registry)
    return find_missing(dataset, registry.without(find_superseded(dataset, registry)))


def _linked(dataset: Dataset, recording: dict[str, Any]) -> dict[str, Any]:
    """Adds the relative address of the recording's own page, if that exists."""
    page = dataset.bundle(recording["recording_id"]).html
    address = quote(os.path.relpath(page, dataset.corpus.folder)) if os.path.lexists(page) else ""
    return {**recording, "address": address}


def _by_station(
    connection: duckdb.DuckDBPyConnection,
) -> dict[tuple[str, str, str | None, str | None], dict[str, Any]]:
    found = query(connection, "SELECT * FROM species_by_station")
    return {
        (one["label"], one["label_name"], one["study_area"], one["location"]): one for one in found
    }


def _effort_map(connection: duckdb.DuckDBPyConnection) -> HeatMap | None:
    """Returns hours analysed by station and day, or longer spans if there are many days."""
    found = query(connection, "SELECT * FROM effort_by_station_day WHERE local_date IS NOT NULL")
    if not found:
        return None
    days: list[date] = [one["local_date"] for one in found]
    first, span_days = min(days), _span_days(min(days), max(days))
    n_columns = (max(days) - first).days // span_days + 1
    hours: dict[str, list[float]] = {}
    for one in found:
        row = hours.setdefault(_station_name(one), [0.0] * n_columns)
        row[(one["local_date"] - first).days // span_days] += one["effort_s"] / 3600
    begins = [first + timedelta(days=n * span_days) for n in range(n_columns)]
    year = "" if min(days).year == max(days).year else " %Y"
    names = [f"{day.day} {day:%b{year}}" for day in begins]
    most = max(max(row) for row in hours.values()) or 1.0
    return HeatMap(
        tuple(names),
        tuple((name, _effort_cells(name, names, row, most)) for name, row in hours.items()),
    )


def _effort_cells(
    station: str, days: Iterable[str], hours: Iterable[float], most: float
) -> tuple[Cell, ...]:
    return tuple(
        Cell(
            amount / most if amount else None,
            f"{station}, {day}: "
            + (format_duration(amount * 3600) if amount else "nothing analysed"),
        )
        for day, amount in zip(days, hours, strict=True)
    )


def _span_days(first: date, last: date) -> int:
    """Returns the days in a column: 1, or as many weeks as are needed."""
    days = (last - first).days + 1
    return 1 if days <= _MAX_COLUMNS else 7 * -(-days // (7 * _MAX_COLUMNS))


def _station_name(place: Mapping[str, Any]) -> str:
    """Returns the name of a station, with its study area if it has one."""
    location = place["location"] or "unknown station"
    return f"{place['study_area']} / {location}" if place["study_area"] else str(location)
