"""Dagster's web server as a process, and what it is asked."""

import http.client
import json
import random
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from signal import SIGINT
from typing import Any

from support.built_once import WORKER

_LOADED = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"


class WebServer:
    """A running web server.

    Attributes:
        port: its port of 127.0.0.1.
        process: the server, or the process that started the server and ends it.
    """

    def __init__(
        self, folder: Path, environment: Mapping[str, str], program: str, *words: object
    ) -> None:
        """Starts it.

        Args:
            folder: where it runs, and where its log is written.
            environment: all of its variables.
            program: the name of one that is installed with Dagster.
            words: what stands behind it, without host and port.
        """
        self.port = free_port()
        self._log = folder / f"{program}.log"
        place = ("-h", "127.0.0.1", "-p", str(self.port))
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [Path(sys.executable).with_name(program), *map(str, words), *place],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def ask(self, query: str, **variables: object) -> Any:
        """Returns the data of a GraphQL query."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            body = json.dumps({"query": query, "variables": variables})
            connection.request("POST", "/graphql", body, {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        assert not answer.get("errors"), answer
        return answer["data"]

    def is_up(self) -> bool:
        """Whether it has loaded what it shows."""
        assert self.process.poll() is None, self._log.read_text(encoding="utf-8")
        try:
            return bool(self.ask(_LOADED)["repositoriesOrError"].get("nodes"))
        except OSError:
            return False

    def stop(self) -> int:
        """Returns the server's exit code, after having ended it if it still ran."""
        if self.process.poll() is None:
            self.process.send_signal(SIGINT)
        return self.process.wait(60)


def free_port() -> int:
    """Returns a port that nothing listens on, out of the range of this test worker process."""
    first = 20_000 + 500 * int(WORKER.removeprefix("gw") or 0)
    for port in random.sample(range(first, first + 500), 50):
        with socket.socket() as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                candidate.bind(("127.0.0.1", port))
                return port
    raise AssertionError(f"no free port found from {first} on")
