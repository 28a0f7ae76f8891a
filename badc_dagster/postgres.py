"""The Postgres database of one or more Dagster homes: made ready whole and once, and its errors."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from sqlalchemy.engine import URL, Connection

_LOCK_KEY = 0xBADC
_CONNECT_TIMEOUT_S = 10


@contextmanager
def one_at_a_time(url: "URL") -> Iterator["Connection"]:
    """Yields a connection in a transaction; other homes that ask for one wait until it ends.

    Raises:
        DBAPIError: there is no such database, or it refuses.
    """
    import sqlalchemy as sa  # noqa: PLC0415  (with Dagster)

    with _connected(url) as connection, connection.begin():
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        yield connection


def require_reachable(url: "URL") -> None:
    """Returns if the database answers; Dagster would try for seconds and warn each time.

    Raises:
        DBAPIError: it does not.
    """
    with _connected(url):
        pass


def create_tables(url: "URL") -> None:
    """Creates Dagster's tables in an empty database, all or none.

    Dagster creates them one by one: those that a killed process leaves it takes for all.

    Raises:
        DBAPIError: there is no such database, or it refuses.
    """
    import dagster_postgres.event_log  # noqa: PLC0415  (an extra)
    import sqlalchemy as sa  # noqa: PLC0415
    from dagster_postgres.utils import pg_alembic_config  # noqa: PLC0415

    from badc_dagster.dagster_private import METADATA_OF_STORAGES, stamp_alembic_rev  # noqa: PLC0415

    with one_at_a_time(url) as connection:
        if METADATA_OF_STORAGES[0].tables.keys() & set(sa.inspect(connection).get_table_names()):
            return
        for metadata in METADATA_OF_STORAGES:
            metadata.create_all(connection)
        migrations = pg_alembic_config(dagster_postgres.event_log.__file__)
        stamp_alembic_rev(migrations, connection)


def note_migrations(instance: "DagsterInstance") -> None:
    """Notes in new tables that nothing has to be migrated, as Dagster does of those it creates."""
    instance.event_log_storage.reindex_events()
    instance.event_log_storage.reindex_assets()
    for storage in (instance.run_storage, instance.schedule_storage):
        if storage:
            storage.migrate()
            storage.optimize()


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
