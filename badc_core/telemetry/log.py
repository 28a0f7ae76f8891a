"""Append-only logs of measurements, one JSON object a line.

Each line is one write to a file opened for appending, so several processes may share a log and a
crash can tear only the last line.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SCHEMA_VERSION = 1


class TelemetryLog:
    """An open log; use as a context manager.

    Args:
        path: created with its folder at the first line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def append(self, **event: Any) -> None:
        """Adds an event, stamped with the schema version and the time in UTC."""
        if self._descriptor is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._descriptor = os.open(self.path, flags, 0o644)
        stamped = {"schema": SCHEMA_VERSION, "timestamp": datetime.now(UTC).isoformat(), **event}
        os.write(self._descriptor, (json.dumps(stamped) + "\n").encode())


def read_events(path: Path) -> list[dict[str, Any]]:
    """Returns the events of a log; a torn last line is left out."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]
