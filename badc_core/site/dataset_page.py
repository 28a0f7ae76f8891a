"""The content of the page about all recordings of a dataset.

Its looks are in `templates/dataset.html`; its numbers come from the corpus database only, and its
clips from the pages of recordings.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import duckdb

from badc_core.corpus.database import query
from badc_core.corpus.speech_tables import SPEECH
from badc_core.datasets.dataset import Dataset
from badc_core.detectors.registry import choose_chunks
from badc_core.recordings.missing import find_missing, find_superseded
from badc_core.recordings.registry import read_registry
from badc_core.reports.page import link, render_page
from badc_core.site.activity_maps import NO_SUNRISE, map_by_hour, map_by_sunrise
from badc_core.site.clips import choose_clips
from badc_core.site.concerns import find_concerns
from badc_core.site.effort_maps import read_calendar, read_date_hour_map
from badc_core.site.shared_content import Rows, SiteSource, shared_content
from badc_core.site.station_days import map_effort
from badc_core.site.station_map import MapPlace, StationMap, draw_map
from badc_core.site.stations import Station
from badc_core.site.sun_lines import choose_place, read_places
from badc_core.species_names import SpeciesNames
from badc_core.speech.find import MODEL
from badc_core.units import counted, format_duration

_MAX_STATIONS = 10
_MAX_TABLE_ROWS = 500
_MAX_MISSING = 100
_CLIPS_BYTES = 1_250_000
_CLIPS_PER_SPECIES = 4

SPECIES = """
    SELECT label, label_name, any_value(scientific_name) AS scientific_name,
        sum(detections)::BIGINT AS detections, sum(recordings)::BIGINT AS recordings,
        max(best) AS best, sum(not_expected)::BIGINT AS not_expected
    FROM counts_by_station GROUP BY label, label_name ORDER BY detections DESC, label
"""
"""All labels of a dataset, the most frequent first."""

_TOTALS = """
    SELECT count(*) AS recordings, count(*) FILTER (dead_s > 0) AS n_dead,
        coalesce(sum(detections), 0)::BIGINT AS detections,
        coalesce(sum(chunks), 0)::BIGINT AS chunks,
        coalesce(sum(failed_chunks), 0)::BIGINT AS failed_chunks,
        coalesce(sum(effort_s), 0) AS effort_s, coalesce(sum(dead_s), 0) AS dead_s,
        coalesce(sum(duration_s), 0) AS duration_s,
        min(start_local) AS first, max(start_local) AS last
    FROM page_recordings
"""
_BUSIEST = """
    SELECT * FROM page_recordings ORDER BY detections DESC, recording_id LIMIT $1
"""
_IN_ORDER = "SELECT * FROM page_recordings ORDER BY study_area, location, start_local, recording_id"
_STATIONS = """
    SELECT study_area, location, count(*) AS recordings, sum(effort_s) AS effort_s,
        sum(detections)::BIGINT AS detections, sum(dead_s) AS dead_s,
        sum(chunks)::BIGINT AS chunks, sum(failed_chunks)::BIGINT AS failed_chunks,
        min(start_local) AS first, max(start_local) AS last,
        median(lat) AS latitude, median(lon) AS longitude
    FROM page_recordings GROUP BY ALL ORDER BY detections DESC, study_area, location
"""
_BY_STATION = "SELECT * FROM species_by_station WHERE label IN (SELECT unnest(?))"
_MISSING = "SELECT *, count(*) OVER () AS n FROM missing ORDER BY recording_id LIMIT $1"

_HAS_SPEECH = f"SELECT count(*) AS n FROM duckdb_tables() WHERE table_name = '{SPEECH}'"  # noqa: S608
_SPEECH = f"SELECT * FROM {SPEECH} ORDER BY speech_s DESC NULLS LAST, recording_id"  # noqa: S608


def render_dataset_page(source: SiteSource) -> str:
    """Returns the page about all recordings of a dataset."""
    connection, dataset = source.connection, source.dataset
    (totals,) = query(connection, _TOTALS)
    return render_page(
        "dataset.html",
        **shared_content(source.sources, dataset, dataset.corpus.html, ""),
        chunk_s=choose_chunks(dataset.settings).duration_s,
        totals=totals,
        expected=query(connection, "SELECT * FROM expected_summary")[0],
        missing=query(connection, _MISSING, _MAX_MISSING),
        concerns=find_concerns(connection, totals, _find_gone(dataset)),
        speech=_find_speech(connection, dataset),
        speech_model=MODEL,
        recording_page=lambda recording_id: source.pages.address(recording_id, dataset.corpus.html),
        **_about_species(source),
        **_about_stations(connection, dataset),
        **_about_recordings(connection, dataset),
    )


def _about_species(source: SiteSource) -> dict[str, Any]:
    """Returns what the page says of species: which, when, and how they sound."""
    connection, dataset = source.connection, source.dataset
    names = SpeciesNames.read(dataset.settings.report.language)
    species = names.add_to(query(connection, SPECIES))
    top = species[: dataset.settings.report.top_labels]
    labels = dict.fromkeys(one["label"] for one in top)
    candidates = [one for label in labels for one in source.candidates.get(label, ())]
    return {
        "species": top,
        "n_species": sum(1 for one in species if one["scientific_name"]),
        "n_other_sounds": sum(1 for one in species if not one["scientific_name"]),
        "by_station": _by_station(connection, labels),
        "activity": map_by_hour(connection, top),
        "by_sunrise": map_by_sunrise(connection, top),
        "no_sunrise": query(connection, NO_SUNRISE),
        "date_hour": read_date_hour_map(connection, choose_place(read_places(connection))),
        "clips": choose_clips(source.pages, candidates, _CLIPS_PER_SPECIES, _CLIPS_BYTES),
    }


def _about_stations(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> dict[str, Any]:
    """Returns what the page says of stations: the busiest, all, and how long each was analysed."""
    stations = query(connection, _STATIONS)
    return {
        "stations": stations[:_MAX_STATIONS],
        "all_stations": sorted(stations[:_MAX_TABLE_ROWS], key=_station_name),
        "other_stations": sorted(stations[_MAX_TABLE_ROWS:], key=_station_name),
        "n_stations": len(stations),
        "map": _map_stations(dataset, stations),
        "effort": map_effort(connection),
        "calendar": read_calendar(connection),
    }


def _about_recordings(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> dict[str, Any]:
    """Returns the recordings shown: all, or the busiest if there are many."""
    most = dataset.settings.report.top_recordings
    shown = query(connection, _BUSIEST, most + 1)
    shown = shown[:most] if len(shown) > most else query(connection, _IN_ORDER)
    return {"recordings": shown}


def _find_speech(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> Rows | None:
    """Returns each recording with whether people speak; None where that is not searched for."""
    if not dataset.settings.speech.is_searched_for:
        return None
    (there,) = query(connection, _HAS_SPEECH)
    return query(connection, _SPEECH) if there["n"] else []


def _find_gone(dataset: Dataset) -> tuple[str, ...]:
    """Returns the recording_ids of those that count although their file is gone."""
    registry = read_registry(dataset.registry)
    return find_missing(dataset, registry.without(find_superseded(dataset, registry)))


def _station_address(dataset: Dataset, station: Mapping[str, Any]) -> str:
    page = dataset.corpus.station_page(station["study_area"], station["location"])
    return link(page, dataset.corpus.html)


def _by_station(
    connection: duckdb.DuckDBPyConnection, labels: Iterable[str]
) -> dict[tuple[str, str, str | None, str | None], dict[str, Any]]:
    found = query(connection, _BY_STATION, list(labels))
    return {
        (one["label"], one["label_name"], one["study_area"], one["location"]): one for one in found
    }


def _map_stations(dataset: Dataset, stations: Rows) -> StationMap | None:
    return draw_map(
        MapPlace(
            name=one["location"] or "unknown station",
            address=_station_address(dataset, one),
            title=f"{_station_name(one)}: {counted(one['recordings'], 'recording')}, "
            f"{format_duration(one['effort_s'])} analysed",
            latitude=one["latitude"],
            longitude=one["longitude"],
            weight=one["effort_s"],
            group=one["study_area"] or "",
        )
        for one in stations
    )


def _station_name(place: Mapping[str, Any]) -> str:
    return Station(place["study_area"], place["location"]).name
