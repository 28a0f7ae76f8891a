"""Reading a corpus: the one way in for whoever wants its tables, views and parts.

What is opened is of one moment: renewing the corpus meanwhile neither changes it nor waits for it.
Without a corpus, `snapshot.py` reads every recording's own files.
"""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from badc_core.annexed_files import lacks_content, require_fetched
from badc_core.corpus.database import TABLES, create_views, query
from badc_core.corpus.finished_database import first_line
from badc_core.corpus.part_views import show_parts
from badc_core.corpus.parts import ROWS, SUMMARIES
from badc_core.corpus.root import absolute_paths
from badc_core.corpus.speech_tables import IN_SPEECH, SPEECH
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.provenance.fetching import require_fetched_all

_STORED = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'corpus' ORDER BY ALL"
_FILES = "SELECT name, list(path ORDER BY path) AS paths FROM corpus.parts GROUP BY name"


@contextmanager
def open_corpus(dataset: Dataset) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yields a connection with a corpus's tables and views, which may add views of its own.

    There are `detections`, `chunks`, `recordings`, `missing`, `settings`, what is searched for
    about speech, and `database.VIEWS`. What is annexed is fetched.

    Raises:
        ContentMissing: a file is annexed, and could not be fetched.
        DatasetInvalid: there is no corpus yet, it is damaged, or of another version.
    """
    remedy = f"Run: badc run {shlex.quote(str(dataset.root))}"
    require_fetched_all([dataset.corpus.duckdb])
    if not dataset.corpus.duckdb.exists():
        raise DatasetInvalid("there is no corpus yet", dataset.corpus.duckdb, remedy)
    with duckdb.connect(":memory:") as connection:
        files = attach_corpus(connection, dataset)
        require_fetched_all([Path(one) for one in files if lacks_content(one)])
        show_corpus(connection, dataset)
        yield connection


def has_corpus(dataset: Dataset) -> bool:
    """Returns whether there is one, here or elsewhere."""
    return os.path.lexists(dataset.corpus.duckdb)


def attach_corpus(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> list[str]:
    """Attaches the database of a corpus, and returns the files of its parts.

    Args:
        connection: to a database of its own, since DuckDB would take a replaced file at a path for
            the old one.
        dataset: the corpus's.

    Raises:
        ContentMissing: it is annexed, and not here.
        DatasetInvalid: it is damaged, or of another version.
    """
    path = dataset.corpus.duckdb
    require_fetched(path)
    quoted = str(path).replace("'", "''")
    connection.execute("SET TimeZone = 'UTC'")  # else the machine's
    try:
        connection.execute(f"ATTACH '{quoted}' AS corpus (READ_ONLY)")
        stored = {one["table_name"] for one in query(connection, _STORED)}
        if "parts" not in stored:
            raise _refuse(dataset, "it is of another version of BADC: it has no parts")
        files = query(connection, _FILES)
    except duckdb.Error as error:
        what = f"the database cannot be read ({first_line(error)})"
        raise _refuse(dataset, what) from error
    folder = dataset.corpus.folder
    return [f"{folder}/{path}" for one in files for path in one["paths"]]


def show_corpus(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> None:
    """Creates the views of a corpus whose database is attached, and whose files are here.

    Raises:
        DatasetInvalid: a file is missing, damaged, or of another version.
    """
    try:
        for one in query(connection, _STORED):
            name = one["table_name"]
            if name not in ("parts", "sunrises", *ROWS):
                connection.execute(f'CREATE VIEW "{name}" AS SELECT * FROM corpus."{name}"')  # noqa: S608
        # Views of a table that lacks a column cannot be created, nor say whose column it is.
        for name in TABLES.keys() - set(ROWS):
            _require_columns(connection, dataset, name)
        files = {one["name"]: one["paths"] for one in query(connection, _FILES)}
        if files and (lacking := {*ROWS, *SUMMARIES} - files.keys()):
            raise _refuse(dataset, f"it is of another version of BADC: it has no {min(lacking)}")
        show_parts(connection, absolute_paths(dataset.corpus.folder, files))
        if {"table_name": SPEECH} in query(connection, _STORED):
            create_views(connection, [IN_SPEECH])
        for name in ROWS:
            _require_columns(connection, dataset, name)
    except duckdb.Error as error:
        raise _refuse(dataset, f"its parts cannot be read ({first_line(error)})") from error


def _require_columns(connection: duckdb.DuckDBPyConnection, dataset: Dataset, name: str) -> None:
    found = {one["column_name"] for one in query(connection, f'DESCRIBE "{name}"')}
    missing, unknown = {*TABLES[name].names} - found, found - {*TABLES[name].names}
    if missing or unknown:
        wrong = f"has no column {min(missing)}" if missing else f"has a column {min(unknown)}"
        what = f"its table {name} is of another version of BADC: it {wrong}"
        raise _refuse(dataset, what)


def _refuse(dataset: Dataset, what: str) -> DatasetInvalid:
    remedy = f"Delete it, then: badc run {shlex.quote(str(dataset.root))}"
    return DatasetInvalid(what, dataset.corpus.duckdb, remedy)
