"""The content of the pages about species, or other sounds.

Their looks are in `templates/species.html`. Every query reads the parts of all stations, so that
pages are written many at once, and each query is asked for all of them together.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from badc_core.corpus.database import query
from badc_core.datasets.corpus_paths import CorpusPaths
from badc_core.datasets.dataset import Dataset
from badc_core.reports.page import link, render_page
from badc_core.site.activity_maps import HOURS, half_hours, map_rates
from badc_core.site.clips import choose_clips, find_candidates
from badc_core.site.date_hour_map import DateColumns, make_date_hour_map
from badc_core.site.effort_maps import fetch_arrays
from badc_core.site.recording_pages import Clip, ClipCandidate, RecordingPages
from badc_core.site.shared_content import (
    CLIPS_BYTES,
    Rows,
    find_sources,
    shared_content,
)
from badc_core.site.station_map import MapPlace, StationMap, draw_map
from badc_core.site.stations import Station
from badc_core.site.sun_lines import choose_place, read_places
from badc_core.species_names import SpeciesNames
from badc_core.units import counted

MOST_RECORDINGS = 100
MOST_CLIPS = 6
_HOUR_S = 3600

BY_STATION = """
    SELECT label, study_area, location,
        any_value(label_name ORDER BY label_name) AS label_name,
        any_value(scientific_name) AS scientific_name,
        sum(detections)::BIGINT AS detections, sum(recordings)::BIGINT AS recordings,
        max(best) AS best,
        sum(expected)::BIGINT AS expected, sum(not_expected)::BIGINT AS not_expected
    FROM counts_by_station GROUP BY label, study_area, location
    ORDER BY label, detections DESC, study_area, location
"""
_STATIONS = """
    SELECT study_area, location, count(*) AS recordings, sum(effort_s) AS effort_s,
        count(*) FILTER (effort_s > 0) AS listened_to,
        median(lat) AS latitude, median(lon) AS longitude
    FROM effort_by_recording JOIN (SELECT recording_id, lat, lon FROM recordings)
    USING (recording_id) GROUP BY study_area, location
"""
_EFFORT = """
    SELECT study_area, location, local_date, local_hour, effort_s
    FROM effort_by_hour ORDER BY study_area, location
"""
_EFFORT_BY_SUNRISE = """
    SELECT study_area, location, minutes_from_sunrise, effort_s FROM effort_by_sunrise
    WHERE minutes_from_sunrise IS NOT NULL
"""
_FOUND = """
    SELECT label, local_date, local_hour, sum(detections)::DOUBLE AS detections
    FROM counts_by_hour WHERE label IN (SELECT unnest(?)) GROUP BY ALL ORDER BY label
"""
_FOUND_BY_SUNRISE = """
    SELECT label, minutes_from_sunrise, sum(detections)::BIGINT AS detections
    FROM counts_by_sunrise
    WHERE label IN (SELECT unnest(?)) AND minutes_from_sunrise IS NOT NULL GROUP BY ALL
"""
_RECORDINGS = """
    WITH most AS (
        SELECT label,
            unnest(min({'n': -detections, 'worst': -best, 'recording_id': recording_id}, $2),
                recursive := true)
        FROM counts_by_recording WHERE label IN (SELECT unnest($1)) GROUP BY label
    )
    SELECT label, recording_id, -n AS detections, -worst AS best, study_area, location,
        coalesce(strftime(start_local, '%Y-%m-%d %H:%M'), 'unknown') AS start
    FROM most JOIN recordings USING (recording_id) ORDER BY label, n, worst, recording_id
"""
"""Sorting all rows would take ten times as long as keeping the best of each label."""


@dataclass(frozen=True)
class _Hours:
    """Amounts by day and hour, as arrays of shape [n]."""

    days: NDArray[Any]
    hours: NDArray[Any]
    amounts: NDArray[Any]

    @property
    def columns(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """All three."""
        return self.days, self.hours, self.amounts


class SpeciesPages:
    """What pages about species show of all stations, read once for all of them.

    Args:
        connection: to the corpus.
        dataset: whose.
        pages: of its recordings.
        by_station: rows of `BY_STATION`.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        dataset: Dataset,
        pages: RecordingPages,
        by_station: Rows,
    ) -> None:
        self._connection = connection
        self._dataset = dataset
        self._pages = pages
        self._names = SpeciesNames.read(dataset.settings.report.language)
        self._found = {
            label: list(rows) for label, rows in groupby(by_station, lambda one: one["label"])
        }
        self._stations = dict(_describe_stations(dataset.corpus, query(connection, _STATIONS)))
        self._places = read_places(connection)
        self._sources = find_sources(connection, dataset)
        self._effort = dict(_split(fetch_arrays(connection, _EFFORT), 2))
        self._by_sunrise: dict[Station, dict[int, float]] = {}
        for area, location, at, effort_s in connection.execute(_EFFORT_BY_SUNRISE).fetchall():
            self._by_sunrise.setdefault(Station(area, location), {})[at] = effort_s

    def render(self, made_from: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Yields label and page of some species.

        Args:
            made_from: label -> what its page says it was made from.
        """
        labels = sorted(made_from)
        hours = dict(_split(fetch_arrays(self._connection, _FOUND, labels), 1))
        sunrises: dict[str, dict[int, int]] = {}
        for label, at, n in self._connection.execute(_FOUND_BY_SUNRISE, [labels]).fetchall():
            sunrises.setdefault(label, {})[at] = n
        rows = query(self._connection, _RECORDINGS, labels, MOST_RECORDINGS)
        recordings = {label: list(own) for label, own in groupby(rows, lambda one: one["label"])}
        candidates = groupby(
            find_candidates(self._connection, labels, MOST_CLIPS), lambda one: one.label
        )
        clips = {label: self._choose_clips(own) for label, own in candidates}
        for label in labels:
            read = hours.get((label,)), sunrises.get(label, {}), recordings[label]
            yield label, self._render(label, made_from[label], *read, clips[label])

    def _choose_clips(self, candidates: Iterable[ClipCandidate]) -> tuple[Clip, ...]:
        return choose_clips(self._pages, candidates, MOST_CLIPS, CLIPS_BYTES)

    def _render(
        self,
        label: str,
        made_from: str,
        hours: _Hours | None,
        by_sunrise: Mapping[int, int],
        recordings: Rows,
        clips: Sequence[Clip],
    ) -> str:
        page = self._dataset.corpus.species_page(label)
        found = self._found[label]
        own = {Station(one["study_area"], one["location"]): one for one in found}
        science = next(filter(None, (one["scientific_name"] for one in found)), None)
        name = self._names.of(found[0]["label_name"], science)
        shown_at = {one.source.recording_id: one.address(page.parent) for one in reversed(clips)}
        rows = [self._describe(station, one) for station, one in own.items()]
        effort_by_sunrise = _add(self._by_sunrise.get(one, {}) for one in own)
        n_sunrise = half_hours(effort_by_sunrise)
        return render_page(
            "species.html",
            **shared_content(self._sources, self._dataset, page, made_from),
            name=name,
            label=label,
            scientific_name=science,
            clips=clips,
            totals=_sum_up(found),
            stations=rows,
            n_stations=len(self._stations),
            map=_draw_map(rows),
            **self._maps(name, own, hours),
            by_sunrise=map_rates(n_sunrise, effort_by_sunrise, [(name, by_sunrise)]),
            recordings=[
                {
                    **one,
                    "address": shown_at.get(one["recording_id"])
                    or self._pages.address(one["recording_id"], page),
                    "station": self._stations[Station(one["study_area"], one["location"])],
                }
                for one in recordings
            ],
        )

    def _describe(self, station: Station, found: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what the row of a station shows."""
        heard = self._stations[station]
        per_hour = found["detections"] * _HOUR_S / (heard["effort_s"] or 1)
        return {**heard, **found, "per_hour": per_hour}

    def _maps(
        self, name: str, stations: Collection[Station], found: _Hours | None
    ) -> dict[str, Any]:
        """Returns the maps by date and hour, and by hour, of the stations where it was found."""
        heard = [self._effort[one] for one in stations if one in self._effort]
        if not heard or found is None:
            return {"date_hour": None, "activity": None}
        effort = [np.concatenate(one) for one in zip(*(one.columns for one in heard), strict=True)]
        columns = DateColumns.of(effort[0].min().item(), effort[0].max().item())
        heard_s, n_found = columns.count(*effort), columns.count(*found.columns)
        place = choose_place([one for one in self._places if one.station in stations])
        by_hour_s = dict(enumerate(heard_s.sum(axis=0).tolist()))
        by_hour = {hour: round(n) for hour, n in enumerate(n_found.sum(axis=0).tolist())}
        return {
            "date_hour": make_date_hour_map(columns, heard_s, n_found, place),
            "activity": map_rates(HOURS, by_hour_s, [(name, by_hour)]),
        }


def _describe_stations(corpus: CorpusPaths, rows: Rows) -> Iterator[tuple[Station, dict[str, Any]]]:
    """Yields what all pages say of a station.

    Args:
        corpus: whose pages these are.
        rows: of `_STATIONS`.
    """
    for one in rows:
        station = Station(one["study_area"], one["location"])
        address = link(corpus.station_page(*station), corpus.species_page(""))
        yield station, {**one, "name": station.name, "address": address}


def _draw_map(stations: Rows) -> StationMap | None:
    rates = {n: one["per_hour"] for n, one in enumerate(stations) if one["effort_s"] >= _HOUR_S}
    # What was analysed for less has no rate that is shown, and the largest dot is not for it.
    most = max(rates.values(), default=math.inf)
    return draw_map(
        MapPlace(
            name=one["location"] or "unknown station",
            address=one["address"],
            title=f"{one['name']}: {counted(one['detections'], 'detection')}"
            + (f", {rates[n]:.1f} per hour analysed" if n in rates else ""),
            latitude=one["latitude"],
            longitude=one["longitude"],
            weight=min(one["per_hour"], most),
            group=one["study_area"] or "",
        )
        for n, one in enumerate(stations)
    )


def _split(arrays: Sequence[NDArray[Any]], n_keys: int) -> Iterator[tuple[Any, _Hours]]:
    """Yields key and amounts of rows, which are in order of their keys.

    Args:
        arrays: columns of keys, days, hours and amounts.
        n_keys: how many columns are keys.
    """
    keys = list(zip(*(one.tolist() for one in arrays[:n_keys]), strict=True))
    days, *rest = (np.asarray(one) for one in arrays[n_keys:])
    amounts = days.astype("datetime64[D]"), *rest
    at = 0
    for key, rows in groupby(keys):
        end = at + sum(1 for _ in rows)
        yield key, _Hours(*(one[at:end] for one in amounts))
        at = end


def _add(amounts: Iterable[Mapping[int, float]]) -> dict[int, float]:
    total: defaultdict[int, float] = defaultdict(float)
    for own in amounts:
        for at, amount in own.items():
            total[at] += amount
    return total


def _sum_up(found: Rows) -> dict[str, Any]:
    names = ("detections", "recordings", "expected", "not_expected")
    return {
        **{name: sum(one[name] for one in found) for name in names},
        "best": max(one["best"] for one in found),
    }
