"""The heat map of how long each station was analysed on each day."""

from collections.abc import Iterable
from datetime import date, timedelta

import duckdb

from badc_core.corpus.database import query
from badc_core.reports.charts import Cell, HeatMap
from badc_core.site.stations import Station
from badc_core.units import format_duration

_MAX_ROWS = 25
_MAX_COLUMNS = 62

_DAYS = """
    SELECT * FROM (
        SELECT *, sum(effort_s) OVER (PARTITION BY study_area, location) AS station_s
        FROM effort_by_station_day WHERE local_date IS NOT NULL
    )
    QUALIFY dense_rank() OVER (ORDER BY station_s DESC, study_area, location) <= $1
    ORDER BY study_area, location, local_date
"""


def map_effort(connection: duckdb.DuckDBPyConnection) -> HeatMap | None:
    """Returns hours analysed by station and day, or longer spans if there are many days.

    Of many stations, those with most time analysed are in it; None where no date is known.
    """
    found = query(connection, _DAYS, _MAX_ROWS)
    if not found:
        return None
    days: list[date] = [one["local_date"] for one in found]
    first, span_days = min(days), _span_days(min(days), max(days))
    n_columns = (max(days) - first).days // span_days + 1
    hours: dict[str, list[float]] = {}
    for one in found:
        row = hours.setdefault(Station(one["study_area"], one["location"]).name, [0.0] * n_columns)
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
