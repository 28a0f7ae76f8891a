"""Reading many Parquet files of one kind with DuckDB, refused by name where one cannot be read.

What is done with their rows is in `corpus.py` and `snapshot.py`.
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from badc_core.detections.schema import SCHEMA_VERSION
from badc_core.detections.store import SCHEMA_KEY, is_readable
from badc_core.errors import DetectionsInvalid
from badc_core.reports.database import query

_REMEDY = "Materialise the recording's detections again: badc run"


def read_versions(
    connection: duckdb.DuckDBPyConnection, patterns: Sequence[str]
) -> set[str | None]:
    """Returns the schema versions of files.

    Args:
        connection: any.
        patterns: the files, as `exact_pattern` returns them.

    Raises:
        DetectionsInvalid: one has a version that cannot be read here.
    """
    found = query(
        connection,
        """
        WITH versions AS (
            SELECT file_name, any_value(decode(value)) FILTER (decode(key) = $2) AS version
            FROM parquet_kv_metadata($1) GROUP BY file_name
        )
        SELECT version, min(file_name) AS file_name FROM versions GROUP BY version
        """,
        list(patterns),
        SCHEMA_KEY,
    )
    for one in found:
        if not is_readable(one["version"]):
            what = f"follows schema {one['version']}, expected {SCHEMA_VERSION}"
            raise DetectionsInvalid(what, one["file_name"], _REMEDY)
    return {one["version"] for one in found}


def exact_pattern(path: Path) -> str:
    """Returns a path as a DuckDB pattern that matches only this file."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(path))
