"""When species were found, and how long was listened then: the maps on the pages about them."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from badc_core.site.activity_maps import HOURS, half_hours, map_rates
from badc_core.site.date_hour_map import Counts, DateColumns, make_date_hour_map
from badc_core.site.effort_maps import fetch_arrays
from badc_core.site.stations import Station
from badc_core.site.sun_lines import SunPlace, choose_place, read_places

_SETS_KNOWN = 100
"""Of stations: many species are found at the same ones, often at all."""

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

_Hours = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
"""Days, hours and amounts, each of shape [n]."""


@dataclass(frozen=True)
class _Heard:
    """What was analysed at some stations.

    Attributes:
        columns: of the days analysed; None if there are none.
        effort_s: by column and hour.
        by_sunrise: seconds by minutes from sunrise.
        place: whose sunrise and sunset are drawn.
    """

    columns: DateColumns | None
    effort_s: Counts
    by_sunrise: Mapping[int, float]
    place: SunPlace | None


@dataclass(frozen=True)
class FoundHours:
    """When a species was found: `hours` by local time, and detections by minutes from sunrise."""

    hours: _Hours | None
    by_sunrise: Mapping[int, int]


class SpeciesHours:
    """The maps of when species were found; what was analysed is read once for all of them.

    Args:
        connection: to the corpus.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._places = read_places(connection)
        self._effort = {
            Station(*key): own for key, own in _split(fetch_arrays(connection, _EFFORT), 2)
        }
        self._by_sunrise: dict[Station, dict[int, float]] = {}
        for area, location, at, effort_s in connection.execute(_EFFORT_BY_SUNRISE).fetchall():
            self._by_sunrise.setdefault(Station(area, location), {})[at] = effort_s
        self._heard_at = lru_cache(_SETS_KNOWN)(self._add_up)

    def find(self, labels: Sequence[str]) -> dict[str, FoundHours]:
        """Returns when each of some labels was found."""
        hours = dict(_split(fetch_arrays(self._connection, _FOUND, labels), 1))
        sunrises: dict[str, dict[int, int]] = {label: {} for label in labels}
        for label, at, n in self._connection.execute(_FOUND_BY_SUNRISE, [labels]).fetchall():
            sunrises[label][at] = n
        return {label: FoundHours(hours.get((label,)), sunrises[label]) for label in labels}

    def draw(self, name: str, found: FoundHours, stations: Collection[Station]) -> dict[str, Any]:
        """Returns the maps by date and hour, by hour, and by time from sunrise; None without any.

        Args:
            name: what the species is called.
            found: when.
            stations: where; what was analysed elsewhere does not count.
        """
        heard = self._heard_at(frozenset(stations))
        shown = half_hours(heard.by_sunrise)
        by_sunrise = map_rates(shown, heard.by_sunrise, [(name, found.by_sunrise)])
        if heard.columns is None or found.hours is None:
            return {"date_hour": None, "activity": None, "by_sunrise": by_sunrise}
        n_found = heard.columns.count(*found.hours)
        by_hour_s = dict(enumerate(heard.effort_s.sum(axis=0).tolist()))
        by_hour = {hour: round(n) for hour, n in enumerate(n_found.sum(axis=0).tolist())}
        return {
            "date_hour": make_date_hour_map(heard.columns, heard.effort_s, n_found, heard.place),
            "activity": map_rates(HOURS, by_hour_s, [(name, by_hour)]),
            "by_sunrise": by_sunrise,
        }

    def _add_up(self, stations: frozenset[Station]) -> _Heard:
        by_sunrise: defaultdict[int, float] = defaultdict(float)
        for station, own in self._by_sunrise.items():
            for at, seconds in own.items() if station in stations else ():
                by_sunrise[at] += seconds
        place = choose_place([one for one in self._places if one.station in stations])
        heard = [own for station, own in self._effort.items() if station in stations]
        if not heard:
            return _Heard(None, np.zeros((0, 24)), by_sunrise, place)
        days, hours, effort_s = map(np.concatenate, zip(*heard, strict=True))
        columns = DateColumns.of(days.min().item(), days.max().item())
        return _Heard(columns, columns.count(days, hours, effort_s), by_sunrise, place)


def _split(arrays: Sequence[NDArray[Any]], n_keys: int) -> Iterator[tuple[Any, _Hours]]:
    """Yields key and amounts of rows, which are in order of their keys.

    Args:
        arrays: columns of keys, days, hours and amounts.
        n_keys: how many columns are keys.
    """
    keys = list(zip(*(one.tolist() for one in arrays[:n_keys]), strict=True))
    days, hours, amounts = (np.asarray(one) for one in arrays[n_keys:])
    days = days.astype("datetime64[D]")
    at = 0
    for key, rows in groupby(keys):
        end = at + sum(1 for _ in rows)
        yield key, (days[at:end], hours[at:end], amounts[at:end])
        at = end
