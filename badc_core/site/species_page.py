"""The content of the pages about species, or other sounds.

Their looks are in `templates/species.html`. Every query reads the parts of all stations, so that
pages are written many at once, and each query is asked for all of them together.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from markupsafe import Markup

from badc_core.corpus.database import query
from badc_core.datasets.corpus_paths import CorpusPaths
from badc_core.reports.page import call_macro, link, make_link, render_page
from badc_core.site.clips import choose_clips
from badc_core.site.shared_content import CLIPS_BYTES, Rows, SiteSource, shared_content
from badc_core.site.species_hours import FoundHours, SpeciesHours
from badc_core.site.station_map import MapPlace, StationMap, draw_map
from badc_core.site.stations import Station
from badc_core.species_names import SpeciesNames
from badc_core.units import counted

MOST_RECORDINGS = 100
MOST_CLIPS = 6
_HOUR_S = 3600
_NO_VALUE, _VALUE = Markup(' data-v=""'), Markup(' data-v="{}"')
"""What a cell is sorted by, if that is not what it shows."""

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
    FROM page_recordings GROUP BY study_area, location
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


class SpeciesPages:
    """What pages about species show of all stations, read once for all of them.

    Args:
        source: what they are made from.
        by_station: rows of `BY_STATION`.
    """

    def __init__(self, source: SiteSource, by_station: Rows) -> None:
        self._source = source
        self._dataset, connection = source.dataset, source.connection
        self._names = SpeciesNames.read(self._dataset.settings.report.language)
        self._found = {
            label: list(rows) for label, rows in groupby(by_station, lambda one: one["label"])
        }
        stations = query(connection, _STATIONS)
        self._stations = dict(_describe_stations(self._dataset.corpus, stations))
        self._hours = SpeciesHours(connection)

    def render(self, made_from: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """Yields label and page of some species.

        Args:
            made_from: label -> what its page says it was made from.
        """
        labels = sorted(made_from)
        hours = self._hours.find(labels)
        rows = query(self._source.connection, _RECORDINGS, labels, MOST_RECORDINGS)
        recordings = {label: list(own) for label, own in groupby(rows, lambda one: one["label"])}
        for label in labels:
            yield label, self._render(label, made_from[label], hours[label], recordings[label])

    def _render(self, label: str, made_from: str, hours: FoundHours, recordings: Rows) -> str:
        pages = self._source.pages
        page = self._dataset.corpus.species_page(label)
        found = self._found[label]
        own = {Station(one["study_area"], one["location"]): one for one in found}
        science = next(filter(None, (one["scientific_name"] for one in found)), None)
        name = self._names.of(found[0]["label_name"], science)
        clips = choose_clips(pages, self._source.candidates.get(label, ()), MOST_CLIPS, CLIPS_BYTES)
        shown_at = {one.source.recording_id: one.address(page.parent) for one in reversed(clips)}
        rows = [self._describe(station, one) for station, one in own.items()]
        return render_page(
            "species.html",
            **shared_content(self._source.sources, self._dataset, page, made_from),
            name=name,
            label=label,
            scientific_name=science,
            clips=clips,
            totals=_sum_up(found),
            stations=rows,
            n_stations=len(self._stations),
            map=_draw_map(rows),
            **self._hours.draw(name, hours, own.keys()),
            recordings=[
                {
                    **one,
                    "recording": make_link(
                        shown_at.get(one["recording_id"])
                        or pages.address(one["recording_id"], page),
                        one["recording_id"],
                    ),
                    "station": self._stations[Station(one["study_area"], one["location"])]["link"],
                }
                for one in recordings
            ],
        )

    def _describe(self, station: Station, found: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what the row of a station shows; `as_sorted` and `as_rated` are attributes."""
        heard = self._stations[station]
        per_hour = found["detections"] * _HOUR_S / (heard["effort_s"] or 1)
        is_rated = heard["effort_s"] >= _HOUR_S
        is_unlike = found["not_expected"] or "  " in station.name
        return {
            **heard,
            **found,
            "per_hour": per_hour,
            "rate": f"{per_hour:.1f}" if is_rated else "\N{EN DASH}",
            "as_rated": "" if is_rated else _NO_VALUE,
            "as_sorted": _VALUE.format(station.name) if is_unlike else "",
            "badge": call_macro("expected.html", "badge", found) if found["not_expected"] else "",
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
        shown = {"name": station.name, "address": address, "link": make_link(address, station.name)}
        yield station, {**one, **shown}


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


def _sum_up(found: Rows) -> dict[str, Any]:
    names = ("detections", "recordings", "expected", "not_expected")
    return {
        **{name: sum(one[name] for one in found) for name in names},
        "best": max(one["best"] for one in found),
    }
