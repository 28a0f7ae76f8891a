"""A real Postgres server on loopback, with a data folder of its own; Debian's, or one on PATH."""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT

import sqlalchemy as sa

from support.lacking import lacking
from support.waiting import wait_until
from support.web_server import free_port

PASSWORD = "s3cr:t\\of/the@badc"  # noqa: S105


class PostgresServer:
    """A server that runs.

    Attributes:
        port: its port of 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self.port = port

    def url(self, database: str, password: str | None = PASSWORD) -> sa.URL:
        """Returns the address of a database, for its owner `badc`."""
        return sa.URL.create("postgresql", "badc", password, "127.0.0.1", self.port, database)

    def create_database(self) -> str:
        """Returns the name of a new, empty database."""
        name = f"badc_{uuid.uuid4().hex[:8]}"
        self._say("postgres", f"CREATE DATABASE {name}")
        return name

    def ask(self, database: str, question: str) -> list[tuple]:
        """Returns the rows that a query gives."""
        with self._connect(database) as connection:
            return [tuple(row) for row in connection.execute(sa.text(question))]

    def _say(self, database: str, statement: str) -> None:
        with self._connect(database) as connection:
            connection.execute(sa.text(statement))

    @contextmanager
    def _connect(self, database: str) -> Iterator[sa.Connection]:
        url = self.url(database).set(drivername="postgresql+psycopg2")
        engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            yield connection


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Starts a server until the block ends; ends the test where none is installed."""
    programs = _find_programs()
    # Not below pytest's folder, which the user that the server runs as may not enter.
    folder = Path(tempfile.mkdtemp(prefix="badc-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        (passwords := folder / "password").write_text(PASSWORD, encoding="utf-8")
        passwords.chmod(0o644)
        subprocess.run(
            [
                *(programs / "initdb", "-D", folder / "data", "-U", "badc", "-A", "scram-sha-256"),
                *("--pwfile", passwords, "--no-sync", "-E", "UTF8", "--locale", "C"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            **_as_server(),
        )
        port = free_port()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    *(programs / "postgres", "-D", folder / "data", "-h", "127.0.0.1"),
                    *("-p", str(port), "-k", "", "-c", "max_connections=200", "-c", "fsync=off"),
                ],
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=folder,
                **_as_server(),
            )
        try:
            server = PostgresServer(port)
            wait_until(lambda: process.poll() is not None or _answers(server))
            assert process.poll() is None, (folder / "log").read_text(encoding="utf-8")
            yield server
        finally:
            process.send_signal(SIGINT)  # has it end connections, then itself
            process.wait(60)
    finally:
        shutil.rmtree(folder)


def _answers(server: PostgresServer) -> bool:
    try:
        return server.ask("postgres", "SELECT 1") == [(1,)]
    except sa.exc.OperationalError:
        return False


def _find_programs() -> Path:
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = shutil.which("initdb") or (debian and debian[-1])
    if not found:
        lacking("a Postgres server (apt-get install postgresql)")
    return Path(found).resolve().parent


def _as_server() -> dict[str, str]:
    """Returns how to start a program as a user that Postgres accepts, which is not root."""
    if os.geteuid():
        return {}
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        lacking("the user postgres")
    return {"user": "postgres", "group": "postgres"}
