"""When the sun rises and sets by clocks at a station, for lines on a map of dates and hours."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

import duckdb

from badc_core.corpus.database import query
from badc_core.recordings.clock import format_offset
from badc_core.recordings.zones import parse_offset_min
from badc_core.settings import is_fixed_offset
from badc_core.site.stations import Station
from badc_core.sun.days import find_local_day

_STATIONS = """
    SELECT study_area, location, avg(lat) AS latitude, avg(lon) AS longitude,
        mode(timezone) AS timezone, mode(utc_offset_min) AS utc_offset_min
    FROM recordings WHERE lat IS NOT NULL AND lon IS NOT NULL
    GROUP BY study_area, location ORDER BY sum(duration_s) DESC, study_area, location
"""
_NEAR_LATITUDE, _NEAR_LONGITUDE = 1.0, 2.0
"""Degrees within which sunrise differs by some minutes: less than a line is wide."""


@dataclass(frozen=True)
class SunPlace:
    """A station at which the sun rises and sets.

    Attributes:
        zone: IANA name or fixed offset of its clocks.
    """

    station: Station
    latitude: float
    longitude: float
    zone: str


def read_places(connection: duckdb.DuckDBPyConnection) -> list[SunPlace]:
    """Returns the stations whose place and time zone are known, the busiest first."""
    return [
        SunPlace(
            Station(one["study_area"], one["location"]),
            round(one["latitude"], 2),
            round(one["longitude"], 2),
            one["timezone"] or format_offset(one["utc_offset_min"]),
        )
        for one in query(connection, _STATIONS)
        if one["timezone"] or one["utc_offset_min"] is not None
    ]


def choose_place(places: Sequence[SunPlace]) -> SunPlace | None:
    """Returns the first of some stations if the sun rises and sets at all of them at its times."""
    if not places:
        return None
    first = places[0]
    is_near = all(
        one.zone == first.zone
        and abs(one.latitude - first.latitude) <= _NEAR_LATITUDE
        and abs(one.longitude - first.longitude) <= _NEAR_LONGITUDE
        for one in places
    )
    return first if is_near else None


def find_sun_hours(
    place: SunPlace, days: Iterable[date]
) -> list[tuple[float | None, float | None]]:
    """Returns hours of sunrise and sunset by clocks there, 0 to 24; None where there is none."""
    key = place.latitude, place.longitude, place.zone
    return [_find_hours(*key, day) for day in days]


@lru_cache(maxsize=65536)
def _find_hours(
    latitude: float, longitude: float, zone: str, day: date
) -> tuple[float | None, float | None]:
    sun = find_local_day(latitude, longitude, day, _to_zone(zone))
    return _hour(sun.sunrise), _hour(sun.sunset)


def _to_zone(name: str) -> tzinfo:
    if is_fixed_offset(name):
        return timezone(timedelta(minutes=parse_offset_min(name) or 0))
    return ZoneInfo(name)


def _hour(time: datetime | None) -> float | None:
    return time.hour + time.minute / 60 + time.second / 3600 if time else None
