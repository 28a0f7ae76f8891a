"""Views over the files of a corpus's parts, under the names that its tables and views have."""

from collections.abc import Mapping, Sequence
from functools import cache

import duckdb

from badc_core.corpus.database import TABLES, VIEWS, create_empty, create_views
from badc_core.corpus.parquet_files import source
from badc_core.corpus.parts import ROWS, SUMMARIES
from badc_core.sun.sunrises import SUNRISES

# What `schema.make_detection_id` returns: 20 of 32 bytes that a detection would need.
_DERIVED = {
    "detection_id": "sha1(concat_ws(chr(31), recording_id, absolute_time_ms, absolute_end_ms, "
    "label, runner, model_version))"
}

# A station's parts of two months have rows for the same hour or half-hour.
_SUMMED = {
    "effort_by_hour": "SELECT study_area, location, local_date, local_hour, "
    "sum(effort_s) AS effort_s FROM ({}) GROUP BY ALL ORDER BY ALL",
    "effort_by_sunrise": "SELECT study_area, location, minutes_from_sunrise, without_sunrise, "
    "sum(effort_s) AS effort_s FROM ({}) GROUP BY ALL ORDER BY ALL",
}


def show_parts(connection: duckdb.DuckDBPyConnection, files: Mapping[str, Sequence[str]]) -> None:
    """Creates views with the rows of parts, and all views of them.

    Args:
        connection: to a database with the tables `recordings` and `settings`.
        files: table or summary -> patterns of files.
    """
    if not files or not files[ROWS[0]]:
        for name in ROWS:
            create_empty(connection, name, TABLES[name])
        create_empty(connection, "sunrises", SUNRISES)
        create_views(connection)
        return
    show_rows(connection, files)
    for name in VIEWS:
        if name not in SUMMARIES:
            create_views(connection, [name])
            continue
        rows = f"SELECT * FROM {source(_list(files[name]))}"  # noqa: S608
        content = _SUMMED.get(name, "{}").format(rows)
        connection.execute(f'CREATE VIEW "{name}" AS {content}')


def show_rows(connection: duckdb.DuckDBPyConnection, files: Mapping[str, Sequence[str]]) -> None:
    """Creates views with the rows of parts; arguments as for `show_parts`."""
    for name in ROWS:
        columns = ", ".join(typed_columns(name))
        rows = f"SELECT {columns} FROM {source(_list(files[name]))}"  # noqa: S608
        connection.execute(f'CREATE VIEW "{name}" AS {rows}')


@cache
def typed_columns(name: str, *, stored: bool = False) -> tuple[str, ...]:
    """Returns the columns of a table, as they are selected from files.

    Args:
        name: `detections` or `chunks`.
        stored: only those that the files of parts have, of their types.
    """
    with duckdb.connect(":memory:", config={"threads": "1"}) as connection:
        create_empty(connection, name, TABLES[name])
        types = connection.execute(f'DESCRIBE "{name}"').fetchall()
    return tuple(
        f'CAST({_DERIVED.get(column, column)} AS {kind}) AS "{column}"'
        for column, kind, *_ in types
        if not (stored and column in _DERIVED)
    )


def _list(patterns: Sequence[str]) -> str:
    return "[" + ", ".join("'" + one.replace("'", "''") + "'" for one in patterns) + "]"
