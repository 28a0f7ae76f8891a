"""Bundles and databases made of one Parquet file of detections, whoever wrote it.

How the file is read is in `aggregates.py`. The bundles of `badc run`, which have effort, stations
and a page too, are written in `bundle.py`.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import duckdb

from badc_core.corpus.database import SUMMARY_VIEWS, new_database, replacing_database
from badc_core.corpus.finished_database import first_line
from badc_core.corpus.summaries import (
    Summaries,
    adding_to_folder,
    write_exports,
    write_parquet_report,
    write_quicklook,
)
from badc_core.datasets.dataset import BundlePaths
from badc_core.errors import OutputUnwritable
from badc_core.provenance.fetching import fetch_removed, require_fetched_all
from badc_core.reports.aggregates import DEFAULT_BUCKET_MINUTES, fill_tables, open_aggregates

_TABLES = ("detections", "settings")
_OF_A_RUN = "chunks"
"""Only databases of `badc run` have this table."""

_ELSEWHERE = "Give another place"


@dataclass(frozen=True)
class BundleParts:
    """Where the parts of a bundle go; None for one that is not wanted.

    Attributes:
        exports: belongs to the database.
    """

    quicklook: Path | None
    parquet_report: Path | None
    database: Path | None
    exports: Path | None

    @classmethod
    def at(cls, prefix: Path) -> "BundleParts":
        """Returns all parts under the names that bundles have.

        Args:
            prefix: folder and beginning of the names.
        """
        paths = BundlePaths(prefix)
        return cls(paths.quicklook, paths.parquet_report, paths.duckdb, paths.duckdb_exports)

    def named(self) -> dict[str, Path]:
        """Returns name -> place of the parts that are wanted."""
        parts = {
            "Quicklook": self.quicklook,
            "Parquet report": self.parquet_report,
            "Database": self.database,
            "Exports": self.exports,
        }
        return {name: path for name, path in parts.items() if path is not None}


def write_bundle_of(
    parquet: Path, parts: BundleParts, bucket_minutes: int = DEFAULT_BUCKET_MINUTES
) -> None:
    """Writes a bundle's tables and database from a Parquet file; nothing if one is impossible.

    Args:
        parquet: detections of one or many recordings.
        parts: where to; what else is in these folders stays.
        bucket_minutes: width of a bucket of the timeline.

    Raises:
        DetectionsInvalid: the file is not there, damaged, or has no detections in it.
        OutputUnwritable: there is something else at the database's place, such as a database of
            `badc run`, which has more in it.
        StorageFull: the disk or a quota is full.
    """
    if parts.database is not None:
        require_replaceable(parts.database)
    with open_aggregates([parquet], bucket_minutes) as connection:
        summaries = Summaries(connection)
        if parts.quicklook is not None:
            with adding_to_folder(parts.quicklook) as folder:
                write_quicklook(summaries, folder)
        if parts.parquet_report is not None:
            with adding_to_folder(parts.parquet_report) as folder:
                write_parquet_report(summaries, folder)
    if parts.database is not None:
        write_database(parquet, parts.database, bucket_minutes, parts.exports)


def write_database(
    parquet: Path, database: Path, bucket_minutes: int, exports: Path | None = None
) -> None:
    """Writes a DuckDB file with the table `detections` and the summary views.

    Args:
        parquet: detections of one or many recordings.
        database: replaced as a whole.
        bucket_minutes: width of a bucket of the timeline.
        exports: folder for the views as CSV; None for none.

    Raises:
        DetectionsInvalid: the file is not there, damaged, or has no detections in it.
        OutputUnwritable: there is something else at the database's place.
        StorageFull: the disk or a quota is full.
    """
    require_replaceable(database)

    def fill(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("BEGIN")
        fill_tables(connection, [parquet], bucket_minutes)
        connection.execute("COMMIT")

    with (
        replacing_database(database) as aside,
        new_database(aside, fill, _TABLES) as connection,
    ):
        if exports is not None:
            with adding_to_folder(exports) as folder:
                write_exports(Summaries(connection), folder)


def require_replaceable(database: Path) -> None:
    """Returns if there is nothing at a path, or a database as `write_database` writes them.

    One that was removed and that git tracks is put back, if the new one may take its place: with
    the same content that will stay as it is, to the byte.

    Raises:
        ContentMissing: it is annexed and could not be fetched.
        OutputUnwritable: it is something else, or cannot be read.
    """
    is_back = fetch_removed(database)
    require_fetched_all([database])
    if not os.path.lexists(database):
        return
    try:
        _require_own(database)
    except OutputUnwritable:
        if not is_back:
            raise
        database.unlink()  # removed by the user, perhaps since this refused it


def _require_own(database: Path) -> None:
    """Returns if a file is a database as `write_database` writes them."""
    try:
        with duckdb.connect(database, read_only=True) as connection:
            rows = connection.execute(
                "SELECT table_name FROM duckdb_tables() "
                "UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal"
            ).fetchall()
    except duckdb.Error as error:
        what = f"there is something that cannot be read as a DuckDB file ({first_line(error)})"
        raise OutputUnwritable(what, database, f"{_ELSEWHERE}, or remove it") from error
    names = {name for (name,) in rows}
    if _OF_A_RUN in names:
        raise OutputUnwritable(
            "badc run wrote this, with effort and stations in it",
            database,
            f"{_ELSEWHERE}, or set report.bucket_minutes in badc.toml and run: badc run",
        )
    foreign = sorted(names.difference(_TABLES, SUMMARY_VIEWS, ["recordings"]))
    if foreign:
        what = f"there is a database with something else in it: {', '.join(foreign)}"
        raise OutputUnwritable(what, database, _ELSEWHERE)
