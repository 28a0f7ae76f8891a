"""The tables and views of a report database, the same for one recording and for a corpus.

The views are `sql/*.sql`. A corpus is filled in `root.py`, and opened in `reading.py`.
"""

import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib import resources
from itertools import zip_longest
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from badc_core.atomic import damaged_write, replacing
from badc_core.corpus.duckdb_errors import naming_duckdb_trouble
from badc_core.corpus.recordings_table import RECORDINGS, recordings_table
from badc_core.corpus.speech_tables import IN_SPEECH
from badc_core.datasets.dataset import Dataset
from badc_core.detections.schema import DETECTIONS, EFFORT
from badc_core.detections.store import read_detections, read_effort
from badc_core.recordings.recording import read_recording
from badc_core.settings import Settings
from badc_core.sun.sunrises import SUNRISES, find_sunrises

VIEWS = (
    *("real_detections", "counts_by_recording", "counts_by_station", "counts_by_minute"),
    *("totals_by_recording", "label_summary", "recording_summary", "timeline_summary"),
    *("counts_by_hour", "detectors_by_recording", "chunks_by_recording"),
    *("effort_by_recording", "effort_by_hour", "effort_by_station_day", "recorded_by_day"),
    *("coverage_by_station_day", "species_by_station", "activity_by_hour"),
    *("left_out_by_recording", "expected_summary"),
    *("effort_by_sunrise", "counts_by_sunrise", "activity_by_sunrise"),
)
"""In the order in which one needs another."""

SUMMARY_VIEWS = VIEWS[:8]
"""Those that need nothing but `detections`, `settings`, and the stations of `recordings`."""

TABLES = {"detections": DETECTIONS, "chunks": EFFORT, "recordings": RECORDINGS}

# Makes the file of a short recording a tenth as large as the default of 256 KiB does.
_BLOCK_BYTES = 16384

_empty: list[bytes] = []
"""The file of a database without rows, once one has been written."""


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates the tables that the views need, empty."""
    connection.execute("CREATE TABLE settings (bucket_minutes BIGINT, min_score DOUBLE)")
    for name, schema in {**TABLES, "sunrises": SUNRISES}.items():
        create_empty(connection, name, schema)


def create_table(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    """Creates a table with an Arrow table's content."""
    with _arriving(connection, table):
        connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM arriving')  # noqa: S608


def create_empty(connection: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema) -> None:
    """Creates a table without rows."""
    # `Schema.empty_table` would import pandas, which takes as long as the rest of a short command.
    create_table(connection, name, pa.Table.from_batches([], schema))


def insert(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    """Adds an Arrow table's rows to a table with the same columns."""
    with _arriving(connection, table):
        connection.execute(f'INSERT INTO "{name}" SELECT * FROM arriving')  # noqa: S608


def insert_recordings(connection: duckdb.DuckDBPyConnection, table: pa.Table) -> None:
    """Adds recordings by `RECORDINGS`, and the sunrises that their moments belong to."""
    insert(connection, "recordings", table)
    insert(connection, "sunrises", find_sunrises(table))


def create_speech(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, pa.Table]) -> None:
    """Creates the tables about speech and the view of them; nothing where there are none."""
    for name, table in tables.items():
        create_table(connection, name, table)
    if tables:
        create_views(connection, [IN_SPEECH])


def insert_settings(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Fills the one-row table that the views read their settings from."""
    connection.execute(
        "INSERT INTO settings VALUES (?, ?)",
        [settings.report.bucket_minutes, settings.detector.min_score],
    )


def create_views(connection: duckdb.DuckDBPyConnection, names: Sequence[str] = VIEWS) -> None:
    """Creates views; the tables must exist."""
    for name in names:
        view = resources.files(__package__).joinpath("sql", f"{name}.sql")
        connection.execute(view.read_text(encoding="utf-8"))


def query(connection: duckdb.DuckDBPyConnection, sql: str, *values: object) -> list[dict[str, Any]]:
    """Returns the rows of a query, each as column -> value."""
    cursor = connection.execute(sql, values)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@contextmanager
def new_recording_database(
    dataset: Dataset,
    recording_id: str,
    path: Path,
    speech: Mapping[str, pa.Table] | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yields a new database with one recording's tables and views.

    Args:
        dataset: the recording's.
        recording_id: which.
        path: of the database.
        speech: tables about speech, if it was searched for.

    Raises:
        DatasetInvalid: the recording has not been described.
        DetectionsInvalid: its detections or effort cannot be read.
    """
    recording = read_recording(dataset.recording(recording_id))
    detections = read_detections(dataset.detections(recording_id))
    effort = read_effort(dataset.effort(recording_id))
    _write_empty(path)
    with naming_duckdb_trouble(path), _attached(path) as connection:
        connection.execute("BEGIN")
        insert_settings(connection, dataset.settings)
        insert(connection, "detections", detections)
        insert(connection, "chunks", effort)
        insert_recordings(connection, recordings_table([recording]))
        create_speech(connection, speech or {})
        connection.execute("COMMIT")
        n_rows = write_out(connection, (*TABLES, *(speech or ())))
    with read_back(path, n_rows) as connection:
        yield connection


@contextmanager
def new_database(
    path: Path, fill: Callable[[duckdb.DuckDBPyConnection], None], tables: Collection[str]
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yields a new database, read back.

    Args:
        path: of its file.
        fill: creates tables and views, and their content.
        tables: their names, whose rows are counted.
    """
    with naming_duckdb_trouble(path), _attached(path) as connection:
        fill(connection)
        n_rows = write_out(connection, tables)
    with read_back(path, n_rows) as connection:
        yield connection


def write_out(
    connection: duckdb.DuckDBPyConnection, tables: Collection[str] = tuple(TABLES)
) -> dict[str, int]:
    """Writes everything to the database's file, and returns how many rows each table has.

    Closing does so too, but says nothing where that fails.
    """
    connection.execute("CHECKPOINT")
    return _count_rows(connection, tables)


@contextmanager
def read_back(path: Path, n_rows: Mapping[str, int]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yields a read-only connection to a database file that is whole.

    Args:
        path: the file, closed by its writer.
        n_rows: of each table, as `write_out` returned it.

    Raises:
        OSError: something else is in the file, or not all of it.
    """
    if path.with_name(f"{path.name}.wal").exists():
        raise damaged_write(path)
    with naming_duckdb_trouble(path), _attached(path, "READ_ONLY") as connection:
        if _count_rows(connection, n_rows) != n_rows:
            raise damaged_write(path)
        yield connection


@contextmanager
def replacing_database(path: Path) -> Iterator[Path]:
    """Yields a path to write a database to, which then is at `path`; raises as `replacing` does.

    One with the same content stays as it is, to the byte: DuckDB leaves random bytes in its files.
    """
    with replacing(path) as aside:
        yield aside
        if _hold_the_same(path, aside):
            shutil.copyfile(path, aside)


def _hold_the_same(path: Path, other: Path) -> bool:
    """Whether two files are whole databases with the same tables, rows and views."""
    try:
        return path.exists() and all(
            one == its for one, its in zip_longest(_sum_up(path), _sum_up(other))
        )
    except duckdb.Error:
        return False


def _sum_up(path: Path) -> Iterator[list[tuple[Any, ...]]]:
    """Yields what a database holds, in few numbers; what is quickly told comes first."""
    with duckdb.connect(path, read_only=True, config={"threads": "1"}) as connection:
        named = "SELECT table_name, sql FROM duckdb_tables() ORDER BY table_name"
        tables = connection.execute(named).fetchall()
        views = "SELECT view_name, sql FROM duckdb_views() WHERE NOT internal ORDER BY view_name"
        yield [*tables, *connection.execute(views).fetchall()]
        for name, _ in tables:
            sums = f'SELECT count(*), sum(hash(one)) FROM "{name}" one'  # noqa: S608
            yield connection.execute(sums).fetchall()


def _count_rows(connection: duckdb.DuckDBPyConnection, tables: Collection[str]) -> dict[str, int]:
    # Asking for the names of tables would look into the files of all threads, and a file that is
    # looked into cannot be detached, nor then attached again.
    counts = ", ".join(f'(SELECT count(*) FROM "{name}")' for name in tables)  # noqa: S608
    row = connection.execute(f"SELECT {counts}").fetchone()
    return dict(zip(tables, row or (), strict=True))


@contextmanager
def _attached(
    path: Path, option: str = f"BLOCK_SIZE {_BLOCK_BYTES}"
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yields a connection to a database file, closed afterwards."""
    name = f"bundle_{os.urandom(8).hex()}"
    quoted = str(path).replace("'", "''")
    with _engine().cursor() as connection:
        connection.execute(f"ATTACH '{quoted}' AS {name} ({option})")
        try:
            connection.execute(f"USE {name}")
            yield connection
        finally:
            with suppress(duckdb.Error):  # that there is no transaction left open
                connection.execute("ROLLBACK")
            connection.execute("USE memory")
            connection.execute(f"DETACH {name}")


@cache
def _engine() -> duckdb.DuckDBPyConnection:
    """Returns this process's DuckDB: starting one costs 15 ms, attaching a file to it 2 ms."""
    return duckdb.connect(":memory:", config={"threads": "1"})


def _write_empty(path: Path) -> None:
    """Writes a database with empty tables and all views, which cost 20 ms to create anew."""
    if not _empty:
        with naming_duckdb_trouble(path), _attached(path) as connection:
            create_tables(connection)
            create_views(connection)
            n_rows = write_out(connection)
        with read_back(path, n_rows):
            _empty.append(path.read_bytes())
    path.write_bytes(_empty[0])


@contextmanager
def _arriving(connection: duckdb.DuckDBPyConnection, table: pa.Table) -> Iterator[None]:
    connection.register("arriving", table)
    try:
        yield
    finally:
        connection.unregister("arriving")
