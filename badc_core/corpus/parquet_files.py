"""Reading many Parquet files of one kind with DuckDB, refused by name where one cannot be read.

What is done with their rows is in `part_writing.py`, `snapshot.py` and `reports/aggregates.py`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from badc_core.corpus.database import query
from badc_core.corpus.duckdb_errors import is_disk_full
from badc_core.corpus.finished_database import first_line
from badc_core.detections.schema import SCHEMA_VERSION
from badc_core.detections.store import SCHEMA_KEY, is_readable, read_metadata
from badc_core.errors import DetectionsInvalid

_REMEDY = "Materialise the recording's detections again: badc run"

_EXACT = str.maketrans({letter: f"[{letter}]" for letter in "*?["})

VERSIONS = """(
    SELECT file_name, any_value(decode(value)) FILTER (decode(key) = $2) AS version
    FROM parquet_kv_metadata($1) GROUP BY file_name
)"""
"""File and schema version of the files that match $1; $2 is `SCHEMA_KEY`."""


def source(files: str = "$1", more: str = "") -> str:
    """Returns what rows of Parquet files are selected from.

    Args:
        files: the value that has their patterns, as `exact_pattern` returns them.
        more: further arguments.
    """
    return f"read_parquet({files}, hive_partitioning = false{more})"


@contextmanager
def reading_results(
    connection: duckdb.DuckDBPyConnection, name: str, paths: Sequence[Path]
) -> Iterator[list[str]]:
    """Yields the patterns of files of recordings, which all have the same columns.

    Args:
        connection: any.
        name: what they are called where one cannot be read.
        paths: the files.

    Raises:
        DetectionsInvalid: one cannot be read, or has a version that cannot be read here.
    """
    patterns = [exact_pattern(path) for path in paths]
    try:
        _require_version(connection, patterns)
        yield patterns
    except duckdb.Error as error:
        if is_disk_full(error):
            raise
        for path in paths:
            read_metadata(path)  # which names the damaged one
        what = f"{name} cannot be read ({first_line(error)})"
        raise DetectionsInvalid(what, paths[0].parent) from error


def _require_version(connection: duckdb.DuckDBPyConnection, patterns: list[str]) -> None:
    sql = f"SELECT version, min(file_name) AS file_name FROM {VERSIONS} GROUP BY version"  # noqa: S608
    for one in query(connection, sql, patterns, SCHEMA_KEY):
        if not is_readable(one["version"]):
            what = f"follows schema {one['version']}, expected {SCHEMA_VERSION}"
            raise DetectionsInvalid(what, one["file_name"], _REMEDY)


def exact_pattern(path: Path | str) -> str:
    """Returns a path as a DuckDB pattern that matches only this file."""
    return str(path).translate(_EXACT)
