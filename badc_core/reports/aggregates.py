"""Reports over Parquet files of detections, whoever wrote them; no dataset is needed.

Those of `badc run`, of `badc infer aggregate` and of the original BADC are read. Their views are
those of every report database (`sql/*.sql`), the tables made of them are in `summaries.py`;
bundles are written in `table_bundle.py`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from badc_core.atomic import naming_storage_trouble
from badc_core.corpus.database import SUMMARY_VIEWS, create_empty, create_views, query
from badc_core.corpus.duckdb_errors import is_disk_full, naming_duckdb_trouble
from badc_core.corpus.finished_database import first_line
from badc_core.corpus.parquet_files import VERSIONS, exact_pattern, source
from badc_core.corpus.summaries import SummaryTable, run_query
from badc_core.detections.schema import DETECTIONS, SCHEMA_VERSION
from badc_core.detections.store import RUNNER_KEY, SCHEMA_KEY, is_readable
from badc_core.detectors import stub
from badc_core.errors import DetectionsInvalid, OptionInvalid
from badc_core.file_names import explain_no_folder
from badc_core.provenance.fetching import require_fetched_all
from badc_core.units import counted

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

_SPILLED = Path(".tmp")
"""Where DuckDB puts what does not fit into memory."""

_BY_NAME = ", union_by_name = true"
"""Files of other programs, and of other versions, have other columns."""

_MAKE_ONE = "Make one: badc infer aggregate DIR --parquet FILE"


@contextmanager
def open_aggregates(
    paths: Sequence[Path], bucket_minutes: int = DEFAULT_BUCKET_MINUTES
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yields a database in memory with the detections of some files and the summary views.

    Args:
        paths: Parquet files; each is read once.
        bucket_minutes: width of a bucket of the timeline.

    Raises:
        ContentMissing: a file is annexed and could not be fetched.
        DetectionsInvalid: a file is not there, damaged, or no table of detections; a recording is
            in several files.
        StorageFull: what does not fit into memory does not fit on the disk either.
    """
    with duckdb.connect(":memory:") as connection:
        with naming_storage_trouble(_SPILLED), naming_duckdb_trouble(_SPILLED):
            fill_tables(connection, paths, bucket_minutes)
        yield connection


def find_parquets(folder: Path) -> list[Path]:
    """Returns the Parquet files in a folder by name, whatever comes before their ending.

    Raises:
        DetectionsInvalid: there is no such folder, or none in it.
    """
    if not folder.is_dir():
        why = explain_no_folder(folder)
        raise DetectionsInvalid(why, folder, "Give a folder of Parquet files")
    found = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() == ".parquet" and not path.name.startswith(".")
    )
    if not found:
        raise DetectionsInvalid("no Parquet file in this folder", folder, _MAKE_ONE)
    return found


def require_groups(groups: Sequence[str]) -> None:
    """Returns if detections can be counted by these.

    Raises:
        OptionInvalid: a name is not in `GROUPS`, or there is none.
    """
    unknown = [one for one in groups if one not in GROUPS]
    if unknown or not groups:
        what = f"cannot group by {unknown[0]!r}" if unknown else "nothing to group by"
        raise OptionInvalid(what, "--group-by", f"Give some of: {', '.join(GROUPS)}")


def summarize(connection: duckdb.DuckDBPyConnection, groups: Sequence[str]) -> SummaryTable:
    """Returns how many detections there are of each group, and their mean score.

    Args:
        connection: of `open_aggregates`.
        groups: names in `GROUPS`.

    Raises:
        OptionInvalid: a name is not among them.
    """
    require_groups(groups)
    names = list(dict.fromkeys(groups))
    columns = ", ".join(f'{GROUPS[one]} AS "{one}"' for one in names)
    order = ", ".join(f'"{one}"' for one in names)
    return run_query(
        connection,
        f"SELECT {columns}, count(*) AS detections, "  # noqa: S608  (names of ours)
        "round(avg(confidence), 6) AS avg_confidence "
        f"FROM real_detections GROUP BY ALL ORDER BY detections DESC, {order}",
    )


def count_stub(paths: Sequence[Path]) -> int:
    """Returns how many of the files say that no model ran, but the stub runner.

    Args:
        paths: files that `open_aggregates` has read.
    """
    with duckdb.connect(":memory:") as connection:
        (found,) = query(
            connection,
            """
            SELECT count(*) AS n FROM parquet_kv_metadata($1)
            WHERE decode(key) = $2 AND decode(value) = $3
            """,
            [exact_pattern(path) for path in paths],
            RUNNER_KEY,
            stub.NAME,
        )
    return int(found["n"])


def fill_tables(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], bucket_minutes: int
) -> None:
    """Creates the tables `settings` and `detections`, and views of recordings and the sums.

    Args:
        connection: to an empty database.
        paths: Parquet files; each is read once.
        bucket_minutes: width of a bucket of the timeline.

    Raises:
        ContentMissing, DetectionsInvalid: as for `open_aggregates`.
    """
    _require_there(paths)
    create_empty(connection, "detections", DETECTIONS)
    connection.execute(
        "CREATE TABLE settings AS SELECT ?::BIGINT AS bucket_minutes", [bucket_minutes]
    )
    try:
        columns = _check(connection, paths)
        _require_once(connection, paths)
        connection.execute(
            f"INSERT INTO detections BY NAME SELECT {_select(columns)} "  # noqa: S608
            f"FROM {source(more=_BY_NAME)}",
            [[exact_pattern(path) for path in paths]],
        )
    except duckdb.Error as error:
        if is_disk_full(error):
            raise
        raise _damaged(paths, error) from error
    connection.execute(
        "CREATE VIEW recordings AS SELECT recording_id, any_value(study_area) AS study_area, "
        "any_value(location) AS location FROM detections GROUP BY recording_id"
    )
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
        f"""
        SELECT file_name, list(DISTINCT name) AS columns, any_value(version) AS version
        FROM parquet_schema($1) LEFT JOIN {VERSIONS} USING (file_name)
        GROUP BY file_name ORDER BY file_name
        """,  # noqa: S608
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


def _require_once(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> None:
    """Raises DetectionsInvalid where a recording is in several files, as it would count in each."""
    if len(paths) == 1:
        return
    found = query(
        connection,
        f"""
        SELECT recording_id, list(DISTINCT filename ORDER BY filename) AS files
        FROM {source(more=f"{_BY_NAME}, filename = true")}
        GROUP BY recording_id HAVING count(DISTINCT filename) > 1 ORDER BY recording_id
        """,  # noqa: S608
        [exact_pattern(path) for path in paths],
    )
    if found:
        names = " and ".join(Path(name).name for name in found[0]["files"])
        recordings = counted(len(found), "recording")
        what = f"{recordings} in several files, such as {found[0]['recording_id']} in {names}"
        raise DetectionsInvalid(
            f"{what}: detections would count twice", paths[0].parent, "Move all but one away"
        )


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


def _damaged(paths: Sequence[Path], error: duckdb.Error) -> DetectionsInvalid:
    """Returns the error that names the file that cannot be read."""
    for path in paths:
        try:
            # Not in the transaction that failed.
            with duckdb.connect() as own_connection:
                own_connection.execute("SELECT * FROM parquet_schema($1)", [exact_pattern(path)])
        except duckdb.Error as own:
            return _unreadable(path, own)
    return _unreadable(paths[0] if len(paths) == 1 else paths[0].parent, error)


def _unreadable(path: Path, error: duckdb.Error) -> DetectionsInvalid:
    what = f"not a readable Parquet file ({first_line(error)})"
    return DetectionsInvalid(what, path, _MAKE_ONE)
