"""The Postgres database of one or more Dagster homes: made ready whole and once, and its errors."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection

LOCK_KEY = 0xBADC
"""Of the advisory lock of those who create tables."""
_CONNECT_TIMEOUT_S = 10


def make_tables(url: "URL") -> None:
    """Creates Dagster's tables if the database has none, all of them or, if killed, none.

    Dagster creates them one by one: those that a killed process leaves it takes for all. Other
    homes that want to create them wait.

    Raises:
        DBAPIError: there is no such database, or it refuses.
    """
    import sqlalchemy as sa  # noqa: PLC0415  (with Dagster)

    with _connected(url) as connection, connection.begin():
        if _has_tables(connection):
            return
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
        if not _has_tables(connection):
            _create_tables(connection)


def kinds_of_postgres_error() -> tuple[type[Exception], ...]:
    """Returns what Dagster raises when it has tried in vain to connect, if it may use Postgres."""
    module = sys.modules.get("dagster_postgres.utils")
    return (module.DagsterPostgresException,) if module else ()


def explain_postgres_error(error: BaseException) -> str:
    """Returns the first line of what Postgres said; nothing where the error is not from there."""
    for one in (error, error.__cause__):
        said = getattr(one, "orig", None)
        if type(said).__module__.partition(".")[0] == "psycopg2":
            return str(said).strip().partition("\n")[0]
    return str(error) if isinstance(error, kinds_of_postgres_error()) else ""


def _has_tables(connection: "Connection") -> bool:
    import sqlalchemy as sa  # noqa: PLC0415

    from badc_dagster.dagster_private import METADATA_OF_STORAGES  # noqa: PLC0415

    found = sa.inspect(connection).get_table_names()
    return not METADATA_OF_STORAGES[0].tables.keys().isdisjoint(found)


def _create_tables(connection: "Connection") -> None:
    import dagster_postgres.event_log  # noqa: PLC0415  (an extra)
    import sqlalchemy as sa  # noqa: PLC0415
    from dagster_postgres.utils import pg_alembic_config  # noqa: PLC0415

    from badc_dagster.dagster_private import (  # noqa: PLC0415
        DATA_MIGRATIONS,
        METADATA_OF_STORAGES,
        stamp_alembic_rev,
    )

    for metadata in METADATA_OF_STORAGES:
        metadata.create_all(connection)
    # Nothing has to be migrated, which Dagster notes too of tables that it creates.
    notes = METADATA_OF_STORAGES[0].tables["secondary_indexes"].insert()
    done = [{"name": name} for name in DATA_MIGRATIONS]
    connection.execute(notes.values(migration_completed=sa.func.now()), done)
    stamp_alembic_rev(pg_alembic_config(dagster_postgres.event_log.__file__), connection)


@contextmanager
def _connected(url: "URL") -> Iterator["Connection"]:
    import sqlalchemy as sa  # noqa: PLC0415

    engine = sa.create_engine(
        url,
        poolclass=sa.NullPool,
        connect_args={"connect_timeout": _CONNECT_TIMEOUT_S},
    )
    with engine.connect() as connection:
        yield connection
