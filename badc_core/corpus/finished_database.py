"""Report databases that are there: whether one can be whole.

Writing one is in `database.py`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

import duckdb

from badc_core.corpus.database import query

_HEAD_BYTES = 12288
"""Three headers of 4 KiB, before the first block. Source: https://duckdb.org/docs/internals/storage"""

_IN_USE = "Could not set lock"
"""Said where another program has it open for writing."""


def explain_damage(path: Path) -> str:
    """Returns why a database file cannot be whole; empty if nothing speaks against it.

    Looks at its head and its length only, at a cost that does not depend on its size. Damage in
    between is found by whoever reads that part.
    """
    try:
        with duckdb.connect(path, read_only=True) as connection:
            (size,) = query(connection, "CALL pragma_database_size()")
    except duckdb.Error as error:
        return "" if is_in_use(error) else first_line(error)
    n_bytes = _HEAD_BYTES + size["total_blocks"] * size["block_size"]
    return "it is cut off" if path.stat().st_size < n_bytes else ""


def is_in_use(error: duckdb.Error) -> bool:
    """Returns whether a database cannot be read since another program may write to it."""
    return _IN_USE in str(error)


@contextmanager
def reading_database(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yields a connection to a database, or to a copy of one that another program has in use.

    Raises:
        duckdb.Error: it is not there, or damaged.
    """
    try:
        connection = duckdb.connect(path, read_only=True)
    except duckdb.Error as error:
        if not is_in_use(error):
            raise
    else:
        with connection:
            yield connection
        return
    with TemporaryDirectory(prefix="badc-") as folder:
        copy = Path(folder, path.name)
        copyfile(path, copy)
        with duckdb.connect(copy, read_only=True) as connection:
            yield connection


def first_line(error: duckdb.Error) -> str:
    """Returns what an error of DuckDB says, without the query and advice that may follow."""
    return str(error).splitlines()[0]
