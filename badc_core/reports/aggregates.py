"""Reports over Parquet files of detections, whoever wrote them; no dataset is needed.

Those of `badc run`, of `badc infer aggregate` and of the original BADC are read. Their views are
those of every report database (`sql/*.sql`), the tables made of them are in `summaries.py`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from badc_core.atomic import replacing
from badc_core.datasets.dataset import BundlePaths
from badc_core.detections.schema import DETECTIONS, SCHEMA_VERSION
from badc_core.detections.store import SCHEMA_KEY, is_readable
from badc_core.errors import ConfigInvalid, DetectionsInvalid, OutputUnwritable
from badc_core.provenance.fetching import require_fetched_all
from badc_core.reports.database import (
    SUMMARY_VIEWS,
    create_table,
    create_views,
    new_database,
    query,
)
from badc_core.reports.parquet_files import exact_pattern
from badc_core.reports.summaries import (
    Summaries,
    SummaryTable,
    run_query,
    write_exports,
    write_parquet_report,
    write_quicklook,
)

DEFAULT_BUCKET_MINUTES = 60

_NEEDED = frozenset(
    ("recording_id", "chunk_id", "chunk_start_ms", "absolute_time_ms", "label", "confidence")
)
_LOCAL = "recording_start_local::TIMESTAMP + to_milliseconds(absolute_time_ms)"
GROUPS = {
    "label": "label",
    "label_name": "label_name",
    "scientific_name": "scientific_name",
    "recording_id": "recording_id",
    "study_area": "study_area",
    "location": "location",
    "date": f"({_LOCAL})::DATE",
    "hour": f"hour({_LOCAL})",
    "week": f"strftime({_LOCAL}, '%G-W%V')",
}
"""What detections can be grouped by, and how it is computed.

Local time is that of the recording's start: a file of detections has no time zone.
"""

_MAKE_ONE = "Make one: badc infer aggregate DIR --parquet FILE"


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


@contextmanager
def open_aggregates(
    paths: Sequence[Path], bucket_minutes: int = DEFAULT_BUCKET_MINUTES
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yields a database in memory with the detections of some files and the summary views.

    Args:
        paths: Parquet files; each is read once.
        bucket_minutes: width of a bucket of the timeline.

    Raises:
        DetectionsInvalid: a file is not there, damaged, or has no detections in it.
    """
    with duckdb.connect(":memory:") as connection:
        _fill(connection, paths, bucket_minutes)
        yield connection


def find_parquets(folder: Path) -> list[Path]:
    """Returns the Parquet files in a folder by name, whatever comes before their ending.

    Raises:
        DetectionsInvalid: there is no such folder, or none in it.
    """
    if not folder.is_dir():
        raise DetectionsInvalid("no such folder", folder, "Give a folder of Parquet files")
    found = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() == ".parquet" and not path.name.startswith(".")
    )
    if not found:
        raise DetectionsInvalid("no Parquet file in this folder", folder, _MAKE_ONE)
    return found


def find_repeated(paths: Sequence[Path]) -> list[tuple[str, list[str]]]:
    """Returns the recordings with detections in several files, which then count several times.

    Args:
        paths: files that `open_aggregates` reads.

    Returns:
        recording_id and names of its files.
    """
    if len(paths) == 1:
        return []
    with duckdb.connect(":memory:") as connection:
        found = connection.execute(
            """
            SELECT recording_id, list(DISTINCT filename ORDER BY filename)
            FROM read_parquet($1, union_by_name = true, filename = true)
            GROUP BY recording_id HAVING count(DISTINCT filename) > 1 ORDER BY recording_id
            """,
            [[exact_pattern(path) for path in paths]],
        ).fetchall()
    return [(one, [Path(name).name for name in names]) for one, names in found]


def summarize(connection: duckdb.DuckDBPyConnection, groups: Sequence[str]) -> SummaryTable:
    """Returns how many detections there are of each group, and their mean score.

    Args:
        connection: of `open_aggregates`.
        groups: names in `GROUPS`.

    Raises:
        ConfigInvalid: a name is not among them.
    """
    unknown = [one for one in groups if one not in GROUPS]
    if unknown or not groups:
        what = f"cannot group by {unknown[0]!r}" if unknown else "nothing to group by"
        raise ConfigInvalid(what, "--group-by", f"Give some of: {', '.join(GROUPS)}")
    names = list(dict.fromkeys(groups))
    columns = ", ".join(f'{GROUPS[one]} AS "{one}"' for one in names)
    order = ", ".join(f'"{one}"' for one in names)
    return run_query(
        connection,
        f"SELECT {columns}, count(*) AS detections, "  # noqa: S608  (names of ours)
        "round(avg(confidence), 6) AS avg_confidence "
        f"FROM real_detections GROUP BY ALL ORDER BY detections DESC, {order}",
    )


def write_bundle_of(
    parquet: Path, parts: BundleParts, bucket_minutes: int = DEFAULT_BUCKET_MINUTES
) -> None:
    """Writes a bundle's tables and database from a Parquet file; each part as a whole.

    Args:
        parquet: detections of one or many recordings.
        parts: where to.
        bucket_minutes: width of a bucket of the timeline.

    Raises:
        DetectionsInvalid: the file is not there, damaged, or has no detections in it.
        OutputUnwritable: there is a database of `badc run`, which has more in it.
        StorageFull: the disk or a quota is full.
    """
    with open_aggregates([parquet], bucket_minutes) as connection:
        summaries = Summaries(connection)
        if parts.quicklook is not None:
            write_quicklook(summaries, parts.quicklook)
        if parts.parquet_report is not None:
            write_parquet_report(summaries, parts.parquet_report)
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
        OutputUnwritable: there is a database of `badc run`, which has more in it.
        StorageFull: the disk or a quota is full.
    """
    if has_effort(database):
        raise OutputUnwritable(
            "badc run wrote this, with effort and stations in it",
            database,
            "Give another place, or set report.bucket_minutes in badc.toml and run: badc run",
        )

    def fill(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute("BEGIN")
        _fill(connection, [parquet], bucket_minutes)
        connection.execute("COMMIT")

    with (
        replacing(database) as aside,
        new_database(aside, fill, ("detections", "settings")) as connection,
    ):
        if exports is not None:
            write_exports(Summaries(connection), exports)


def has_effort(path: Path) -> bool:
    """Returns whether a file is a report database of `badc run`."""
    try:
        with duckdb.connect(path, read_only=True) as connection:
            tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    except duckdb.Error:
        return False
    return ("chunks",) in tables


def _fill(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], bucket_minutes: int
) -> None:
    """Creates the tables `settings` and `detections` and the summary views."""
    _require_there(paths)
    create_table(connection, "detections", DETECTIONS.empty_table())
    connection.execute(
        "CREATE TABLE settings AS SELECT ?::BIGINT AS bucket_minutes", [bucket_minutes]
    )
    try:
        columns = _check(connection, paths)
        connection.execute(
            f"INSERT INTO detections BY NAME SELECT {_select(columns)} "  # noqa: S608
            "FROM read_parquet($1, union_by_name = true)",
            [[exact_pattern(path) for path in paths]],
        )
    except duckdb.Error as error:
        raise _damaged(connection, paths, error) from error
    create_views(connection, SUMMARY_VIEWS)


def _require_there(paths: Sequence[Path]) -> None:
    """Raises ContentMissing or DetectionsInvalid where a file is not here."""
    require_fetched_all(paths)
    for path in paths:
        if not path.is_file():
            raise DetectionsInvalid("there is no such file", path, _MAKE_ONE)


def _check(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> set[str]:
    """Returns the columns that some of the files have.

    Raises:
        DetectionsInvalid: one lacks a column that is needed, or follows a newer schema.
    """
    found = query(
        connection,
        """
        WITH versions AS (
            SELECT file_name, any_value(decode(value)) FILTER (decode(key) = $2) AS version
            FROM parquet_kv_metadata($1) GROUP BY file_name
        )
        SELECT file_name, list(DISTINCT name) AS columns, any_value(version) AS version
        FROM parquet_schema($1) LEFT JOIN versions USING (file_name)
        GROUP BY file_name ORDER BY file_name
        """,
        [exact_pattern(path) for path in paths],
        SCHEMA_KEY,
    )
    for one in found:
        lacking = sorted(_NEEDED.difference(one["columns"]))
        if lacking:
            what = f"not a table of detections: it has no column {', '.join(lacking)}"
            raise DetectionsInvalid(what, one["file_name"], _MAKE_ONE)
        if one["version"] is not None and not is_readable(one["version"]):
            what = f"follows schema {one['version']}, expected {SCHEMA_VERSION}"
            raise DetectionsInvalid(what, one["file_name"], _MAKE_ONE)
    return {name for one in found for name in one["columns"]}


def _select(columns: set[str]) -> str:
    """Returns what is selected of files: the schema's columns; others are left out.

    The original BADC has a row with the label `none` for each chunk without detections, and does
    not say that it is none.
    """
    known = [name for name in DETECTIONS.names if name in columns]
    own = {"label_name": "coalesce(label_name, label)"}
    own["is_detection"] = "coalesce(is_detection, label <> 'none')"
    parts = [f'{own.get(name, name)} AS "{name}"' for name in known]
    if "label_name" not in columns:
        parts.append("label AS label_name")
    if "is_detection" not in columns:
        parts.append("label <> 'none' AS is_detection")
    return ", ".join(parts)


def _damaged(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], error: duckdb.Error
) -> DetectionsInvalid:
    """Returns the error that names the file that cannot be read."""
    for path in paths:
        try:
            connection.execute("SELECT count(*) FROM parquet_schema($1)", [exact_pattern(path)])
        except duckdb.Error as own:
            return _unreadable(path, own)
    return _unreadable(paths[0] if len(paths) == 1 else paths[0].parent, error)


def _unreadable(path: Path, error: duckdb.Error) -> DetectionsInvalid:
    why = str(error).splitlines()[0]
    return DetectionsInvalid(f"not a readable Parquet file ({why})", path, _MAKE_ONE)
