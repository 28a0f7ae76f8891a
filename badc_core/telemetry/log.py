"""Append-only logs of measurements, one JSON object a line.

Each line is one write to a file opened for appending, so several processes may share a log and a
crash can tear only the last line it was writing.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from badc_core.atomic import naming_full_storage

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
        """Adds an event, stamped with the schema version and the time in UTC.

        Raises:
            StorageFull: the disk or a quota is full.
        """
        stamped = {"schema": SCHEMA_VERSION, "timestamp": datetime.now(UTC).isoformat(), **event}
        line = (json.dumps(stamped) + "\n").encode()
        with naming_full_storage(self.path):
            if self._descriptor is None:
                self._descriptor = self._open()
            os.write(self._descriptor, line)

    def _open(self) -> int:
        """Returns a descriptor at a line's beginning, whatever a crash left there."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        is_torn = _is_torn(self.path)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o644)
        if is_torn:
            os.write(descriptor, b"\n")
        return descriptor


def read_events(path: Path) -> list[dict[str, Any]]:
    """Returns the events of a log; lines that a crash tore are left out."""
    events = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            events.append(event)
    return events


def _is_torn(path: Path) -> bool:
    """Tells whether a file's last line has no end."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
