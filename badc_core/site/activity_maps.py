"""Heat maps of when species are active: by hour of the day, and by time from sunrise.

Every column shows detections per hour analysed, since what is listened to more has more of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from badc_core.corpus.database import query
from badc_core.reports.charts import Cell, HeatMap
from badc_core.units import counted, format_duration

NO_SUNRISE = """
    SELECT without_sunrise, sum(effort_s) AS effort_s FROM effort_by_sunrise
    WHERE without_sunrise IS NOT NULL GROUP BY without_sunrise ORDER BY effort_s DESC
"""
_HALF_HOUR_MIN = 30
_BY_HOUR = (
    "SELECT local_hour, sum(effort_s) FROM effort_by_hour GROUP BY local_hour",
    "SELECT *, local_hour AS at FROM activity_by_hour",
)
_BY_SUNRISE = (
    """
    SELECT minutes_from_sunrise, sum(effort_s) FROM effort_by_sunrise
    WHERE minutes_from_sunrise IS NOT NULL GROUP BY minutes_from_sunrise
    """,
    "SELECT *, minutes_from_sunrise AS at FROM activity_by_sunrise",
)


def map_by_hour(
    connection: duckdb.DuckDBPyConnection, species: Sequence[Mapping[str, Any]]
) -> HeatMap | None:
    """Returns activity by species and hour of the local day; None where nothing is known of it.

    Args:
        connection: to a corpus.
        species: those shown, with `label` and `label_name`.
    """
    columns = {hour: (f"{hour:02d}", f"{hour:02d}:00") for hour in range(24)}
    return _map(connection, species, _BY_HOUR, columns)


def map_by_sunrise(
    connection: duckdb.DuckDBPyConnection, species: Sequence[Mapping[str, Any]]
) -> HeatMap | None:
    """Returns activity by species and half-hour from sunrise, from the first to the last heard."""
    heard = [at for at, _ in connection.execute(_BY_SUNRISE[0]).fetchall()]
    if not heard:
        return None
    shown = range(min(heard), max(heard) + _HALF_HOUR_MIN, _HALF_HOUR_MIN)
    return _map(connection, species, _BY_SUNRISE, {at: _name_half_hour(at) for at in shown})


def _map(
    connection: duckdb.DuckDBPyConnection,
    species: Sequence[Mapping[str, Any]],
    queries: tuple[str, str],
    columns: Mapping[int, tuple[str, str]],
) -> HeatMap | None:
    """Returns a heat map.

    Args:
        connection: to a corpus.
        species: a row each.
        queries: for the seconds analysed, and for the activity of species, of each column.
        columns: column -> its name below the map, and that in titles.
    """
    effort_s: dict[int, float] = dict(connection.execute(queries[0]).fetchall())
    if not effort_s or not species:
        return None
    found: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    for one in query(connection, queries[1]):
        found.setdefault((one["label"], one["label_name"]), {})[one["at"]] = one
    rows = []
    for shown in species:
        name = shown["label_name"]
        active = found.get((shown["label"], name), {})
        most = max((cell["detections_per_hour"] or 0.0 for cell in active.values()), default=0.0)
        cells = [
            _cell(f"{name}, {title}", active.get(at), effort_s.get(at, 0.0), most or 1.0)
            for at, (_, title) in columns.items()
        ]
        rows.append((name, tuple(cells)))
    return HeatMap(tuple(short for short, _ in columns.values()), tuple(rows), dense=True)


def _cell(title: str, active: Mapping[str, Any] | None, effort_s: float, most: float) -> Cell:
    if not effort_s:
        return Cell(None, f"{title}: nothing analysed")
    n, rate = (active["detections"], active["detections_per_hour"] or 0.0) if active else (0, 0.0)
    return Cell(
        rate / most, f"{title}: {counted(n, 'detection')} in {format_duration(effort_s)} analysed"
    )


def _name_half_hour(minutes: int) -> tuple[str, str]:
    """Returns the short name of a half-hour from sunrise, none within an hour, and a long one."""
    begin, end = abs(minutes) / 60, abs(minutes + _HALF_HOUR_MIN) / 60
    hours = f"{begin:g} to {end:g} h" if minutes >= 0 else f"{end:g} to {begin:g} h"
    short = "" if minutes % 60 else f"{minutes // 60:+d}" if minutes else "0"
    return short, f"{hours} {'after' if minutes >= 0 else 'before'} sunrise"
