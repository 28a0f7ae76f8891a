"""What calendars and maps of dates and hours are made of, read from a corpus or a part of it."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import duckdb
from numpy.typing import NDArray

from badc_core.site.calendar import EffortCalendar, make_calendar
from badc_core.site.date_hour_map import DateColumns, DateHourMap, make_date_hour_map
from badc_core.site.sun_lines import SunPlace

_EFFORT_BY_DAY = """
    SELECT local_date, sum(effort_s) FROM effort_by_hour GROUP BY local_date
"""
_RECORDED_DAYS = """
    SELECT DISTINCT unnest(generate_series(
        start_local::DATE::TIMESTAMP,
        greatest(start_local, start_local + to_milliseconds((duration_s * 1000)::BIGINT - 1)),
        INTERVAL 1 DAY
    ))::DATE FROM recordings WHERE start_local IS NOT NULL
"""
_SPAN = "SELECT min(local_date), max(local_date) FROM effort_by_hour"
_EFFORT = """
    SELECT local_date, local_hour, sum(effort_s) AS amount FROM effort_by_hour GROUP BY ALL
"""
_FOUND = """
    SELECT local_date, local_hour, sum(detections)::DOUBLE AS amount
    FROM counts_by_hour GROUP BY ALL
"""


def read_calendar(connection: duckdb.DuckDBPyConnection) -> EffortCalendar | None:
    """Returns the effort calendar of all recordings; None where no date is known."""
    effort_s: dict[date, float] = dict(connection.execute(_EFFORT_BY_DAY).fetchall())
    recorded = {day for (day,) in connection.execute(_RECORDED_DAYS).fetchall()}
    return make_calendar(effort_s, recorded)


def read_date_hour_map(
    connection: duckdb.DuckDBPyConnection, place: SunPlace | None
) -> DateHourMap | None:
    """Returns the map of all detections; None where no date is known.

    Args:
        connection: to a corpus.
        place: whose sunrise and sunset are drawn.
    """
    columns = read_columns(connection)
    if columns is None:
        return None
    effort_s, found = (columns.count(*fetch_arrays(connection, one)) for one in (_EFFORT, _FOUND))
    return make_date_hour_map(columns, effort_s, found, place)


def fetch_arrays(
    connection: duckdb.DuckDBPyConnection, sql: str, *values: object
) -> list[NDArray[Any]]:
    """Returns the columns of a query, masked where a value is missing."""
    columns: Mapping[str, Any] = connection.execute(sql, values).fetchnumpy()
    return list(columns.values())


def read_columns(connection: duckdb.DuckDBPyConnection) -> DateColumns | None:
    """Returns the columns from the first day analysed to the last."""
    first, last = connection.execute(_SPAN).fetchone() or (None, None)
    return DateColumns.of(first, last) if first else None
