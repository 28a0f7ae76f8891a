"""The sunrise that each moment of a recording belongs to: the nearest one.

The views of activity by sunrise (`sql/*_by_sunrise.sql`) join this table.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pyarrow as pa

from badc_core.sun.days import SunDay, find_sun_day

NO_UTC = "no UTC time"
NO_COORDINATES = "no coordinates"

SUNRISES = pa.schema(
    [
        ("recording_id", pa.string()),
        ("from_ms", pa.int64()),
        ("to_ms", pa.int64()),
        ("sunrise_ms", pa.int64()),
        ("without_sunrise", pa.string()),
    ]
)
"""Times are from the recording's start. Spans of a recording do not overlap and cover all of it.

Without a sunrise they say why: `polar day`, `polar night`, `no UTC time` (its start in UTC is not
known) or `no coordinates` (its coordinates are not).
"""

_HALF_DAY = timedelta(hours=12)
_DAY = timedelta(days=1)
_MS = timedelta(milliseconds=1)
_BEYOND_MS = 3_600_000
"""How far the last span reaches beyond the end, as a detection there may."""

_WHOLE = {"from_ms": 0, "to_ms": 2**62, "sunrise_ms": None}


def find_sunrises(recordings: pa.Table) -> pa.Table:
    """Returns a table by `SUNRISES`.

    Args:
        recordings: with the columns recording_id, start_utc, duration_s, lat and lon.
    """
    columns = ["recording_id", "start_utc", "duration_s", "lat", "lon"]
    rows = recordings.select(columns).to_pylist()
    spans = [{"recording_id": row["recording_id"], **span} for row in rows for span in _spans(row)]
    return pa.Table.from_pylist(spans, schema=SUNRISES)


def _spans(recording: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the spans of a recording, in order."""
    start = recording["start_utc"]
    if start is None:
        yield {**_WHOLE, "without_sunrise": NO_UTC}
        return
    if recording["lat"] is None or recording["lon"] is None:
        yield {**_WHOLE, "without_sunrise": NO_COORDINATES}
        return
    # A kilometre or less, seconds of sunrise: GPS positions of one station share their days.
    latitude, longitude = round(recording["lat"], 2), round(recording["lon"], 2)
    start = start.astimezone(UTC)
    length_ms = round(recording["duration_s"] * 1000) + _BEYOND_MS
    first = _solar_date(start, longitude) - _DAY
    last = _solar_date(start + length_ms * _MS, longitude) + _DAY
    # One more on both sides, which only say where the first and the last begin and end.
    dates = [first + n * _DAY for n in range(-1, (last - first).days + 2)]
    days = [find_sun_day(latitude, longitude, one) for one in dates]
    borders = [_border(one, other) for one, other in pairwise(days)]
    for day, (begin, end) in zip(days[1:-1], pairwise(borders), strict=True):
        span = {
            "from_ms": max(0, round((begin - start) / _MS)),
            "to_ms": min(length_ms, round((end - start) / _MS)),
            "sunrise_ms": day.sunrise and round((day.sunrise - start) / _MS),
            "without_sunrise": day.without_sunrise,
        }
        if span["from_ms"] < span["to_ms"]:
            yield span


def _border(one: SunDay, following: SunDay) -> datetime:
    """Returns the moment up to which times belong to a day, and from which to the next."""
    if one.sunrise and following.sunrise:
        return one.sunrise + (following.sunrise - one.sunrise) / 2
    if one.sunrise:
        return one.sunrise + _HALF_DAY
    if following.sunrise:
        return following.sunrise - _HALF_DAY
    return one.noon + _HALF_DAY


def _solar_date(moment: datetime, longitude: float) -> date:
    """Returns the date by the mean time of the sun at a longitude."""
    return (moment + timedelta(hours=longitude / 15)).date()
