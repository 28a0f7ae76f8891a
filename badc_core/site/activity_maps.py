"""Heat maps of when species are active: by hour of the day, and by time from sunrise.

Every column shows detections per hour analysed, since what is listened to more has more of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import duckdb

from badc_core.corpus.database import query
from badc_core.reports.charts import Cell, HeatMap
from badc_core.site.levels import SURE_S
from badc_core.units import counted, format_duration

NO_SUNRISE = """
    SELECT without_sunrise, sum(effort_s) AS effort_s FROM effort_by_sunrise
    WHERE without_sunrise IS NOT NULL GROUP BY without_sunrise ORDER BY effort_s DESC
"""
_HALF_HOUR_MIN = 30
_BY_HOUR = (
    "SELECT local_hour, sum(effort_s) FROM effort_by_hour GROUP BY local_hour",
    """
    SELECT label, label_name, local_hour AS at, sum(detections)::BIGINT AS detections
    FROM counts_by_hour WHERE label IN (SELECT unnest(?)) GROUP BY ALL
    """,
)
_BY_SUNRISE = (
    """
    SELECT minutes_from_sunrise, sum(effort_s) FROM effort_by_sunrise
    WHERE minutes_from_sunrise IS NOT NULL GROUP BY minutes_from_sunrise
    """,
    """
    SELECT label, label_name, minutes_from_sunrise AS at, sum(detections)::BIGINT AS detections
    FROM counts_by_sunrise
    WHERE label IN (SELECT unnest(?)) AND minutes_from_sunrise IS NOT NULL GROUP BY ALL
    """,
)


HOURS = {hour: (f"{hour:02d}", f"{hour:02d}:00") for hour in range(24)}
"""Columns of hours of the day, each with its name below the map, and that in titles."""


def half_hours(heard: Iterable[int]) -> dict[int, tuple[str, str]]:
    """Returns the columns of half-hours from sunrise, from the first to the last of some."""
    there = sorted(heard)
    shown = range(there[0], there[-1] + _HALF_HOUR_MIN, _HALF_HOUR_MIN) if there else ()
    return {at: _name_half_hour(at) for at in shown}


def map_by_hour(
    connection: duckdb.DuckDBPyConnection, species: Sequence[Mapping[str, Any]]
) -> HeatMap | None:
    """Returns activity by species and hour of the local day; None where nothing is known of it.

    Args:
        connection: to a corpus.
        species: those shown, with `label` and `label_name`, and `name` where that is another.
    """
    effort_s: dict[int, float] = dict(connection.execute(_BY_HOUR[0]).fetchall())
    found = _find_active(connection, _BY_HOUR[1], species)
    return map_rates(HOURS, effort_s, [(_name(one), found.get(_key(one), {})) for one in species])


def map_by_sunrise(
    connection: duckdb.DuckDBPyConnection, species: Sequence[Mapping[str, Any]]
) -> HeatMap | None:
    """Returns activity by species and half-hour from sunrise, from the first to the last heard."""
    effort_s: dict[int, float] = dict(connection.execute(_BY_SUNRISE[0]).fetchall())
    found = _find_active(connection, _BY_SUNRISE[1], species)
    rows = [(_name(one), found.get(_key(one), {})) for one in species]
    return map_rates(half_hours(effort_s), effort_s, rows)


def map_rates(
    columns: Mapping[int, tuple[str, str]],
    effort_s: Mapping[int, float],
    rows: Sequence[tuple[str, Mapping[int, int]]],
) -> HeatMap | None:
    """Returns a heat map of detections per hour analysed; None where nothing was analysed.

    Args:
        columns: column -> its name below the map, and that in titles.
        effort_s: column -> seconds analysed.
        rows: name, and column -> detections, of each.
    """
    if not effort_s or not rows:
        return None
    return HeatMap(
        tuple(short for short, _ in columns.values()),
        tuple((name, tuple(_cells(name, columns, effort_s, found))) for name, found in rows),
        dense=True,
    )


def _cells(
    name: str,
    columns: Mapping[int, tuple[str, str]],
    effort_s: Mapping[int, float],
    found: Mapping[int, int],
) -> Iterator[Cell]:
    heard = {at: effort_s[at] for at in columns if effort_s.get(at)}
    rates = {at: found.get(at, 0) / one for at, one in heard.items()}
    sure = [one for at, one in rates.items() if one and heard[at] >= SURE_S]
    most = max(sure or rates.values(), default=0.0) or 1.0
    for at, (_, title) in columns.items():
        if at not in heard:
            yield Cell(None, f"{name}, {title}: nothing analysed")
            continue
        n = found.get(at, 0)
        what = f"{counted(n, 'detection')} in {format_duration(heard[at])} analysed"
        yield Cell(min(rates[at] / most, 1.0), f"{name}, {title}: {what}")


def _find_active(
    connection: duckdb.DuckDBPyConnection, active: str, species: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, str], dict[int, int]]:
    """Returns label and its name -> column -> detections."""
    found: dict[tuple[str, str], dict[int, int]] = {}
    for one in query(connection, active, [one["label"] for one in species]):
        found.setdefault(_key(one), {})[one["at"]] = one["detections"]
    return found


def _name(one: Mapping[str, Any]) -> str:
    return str(one.get("name", one["label_name"]))


def _key(one: Mapping[str, Any]) -> tuple[str, str]:
    return one["label"], one["label_name"]


def _name_half_hour(minutes: int) -> tuple[str, str]:
    """Returns the short name of a half-hour from sunrise, none within an hour, and a long one."""
    begin, end = abs(minutes) / 60, abs(minutes + _HALF_HOUR_MIN) / 60
    hours = f"{begin:g} to {end:g} h" if minutes >= 0 else f"{end:g} to {begin:g} h"
    short = "" if minutes % 60 else f"{minutes // 60:+d}" if minutes else "0"
    return short, f"{hours} {'after' if minutes >= 0 else 'before'} sunrise"
