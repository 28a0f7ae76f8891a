"""Append-only logs of measurements, one JSON object a line.

Each line is one write to a file opened for appending, so several processes may share a log and a
crash can tear only the last line it was writing. What the lines say is in `attempts.py`.
"""

import json
import os
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from badc_core.atomic import naming_storage_trouble
from badc_core.datasets.dataset import Dataset
from badc_core.errors import ConfigInvalid
from badc_core.settings import Settings

SCHEMA_VERSION = 2
"""Raised whenever the fields of a line change (`attempts.py`)."""

OUTSIDE_DATASETS = Path("data", "telemetry", "infer")
"""Where a run outside a dataset puts its log, below the folder it was started in."""

_BLOCK_BYTES = 1 << 18


class TelemetryLog:
    """An open log; use as a context manager.

    Args:
        path: created with its folder at the first line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._is_torn = False

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
        with naming_storage_trouble(self.path):
            if self._descriptor is None:
                self._descriptor = self._open()
            while not self._write(self._descriptor, line):
                pass

    def _write(self, descriptor: int, line: bytes) -> bool:
        """Writes a line on a line of its own; False if the file took only some of it.

        What it took stays behind as a torn line. To finish it instead could put its end behind
        another process's line.
        """
        begun = b"\n" + line if self._is_torn else line
        self._is_torn = True
        self._is_torn = os.write(descriptor, begun) != len(begun)
        return not self._is_torn

    def _open(self) -> int:
        """Returns a descriptor to append to, and sees whether a crash left half a line there."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._is_torn = _is_torn(self.path)
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)


class Tail:
    """Reads a log as it grows: each event once, and never what was read before.

    A last line without an end is read once it has one. A log that is not there yet is empty; one
    that was replaced or cut is read from its start.

    Args:
        path: the log.
        from_start: whether events that are there already count.
    """

    def __init__(self, path: Path, from_start: bool = True) -> None:
        self._path = path
        self._file_number: int | None = None
        self._offset_bytes = 0
        if not from_start and path.exists():
            found = path.stat()
            self._file_number, self._offset_bytes = found.st_ino, found.st_size

    def read(self) -> Iterator[dict[str, Any]]:
        """Yields what was added since the last call; torn lines are left out."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            # The next file of this name may get the number of the one that is gone.
            self._file_number, self._offset_bytes = None, 0
            return
        with file:
            found = os.fstat(file.fileno())
            if found.st_ino != self._file_number or found.st_size < self._offset_bytes:
                self._file_number, self._offset_bytes = found.st_ino, 0
            file.seek(self._offset_bytes)
            rest = b""
            while block := file.read(_BLOCK_BYTES):
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    self._offset_bytes += len(line) + 1
                    yield from _parse(line)


class NewestLog:
    """The newest telemetry log below a folder, looked for again and again.

    Of the logs that are there at the first look it is the one written last; later, any that has
    come since. So it does not go to and fro between two runs that are at work at the same time.

    Args:
        root: a dataset's folder, or one that runs outside a dataset are started in.
    """

    def __init__(self, root: Path) -> None:
        inside = Dataset(root, Settings()).telemetry("any").parent
        self._folders = (inside, root / OUTSIDE_DATASETS)
        self._seen: set[Path] = set()
        self._newest: Path | None = None

    def look(self) -> Path | None:
        """Returns the newest log as of now; None where there is none."""
        logs = {path for folder in self._folders for path in folder.glob("*.jsonl")}
        if new := logs - self._seen:
            self._newest = max(new, key=lambda path: (path.stat().st_mtime_ns, path))
        self._seen |= new
        return self._newest


def require_telemetry(path: Path) -> None:
    """Raises ConfigInvalid where a file is something else than a telemetry log, or none yet."""
    if is_something_else(path):
        raise ConfigInvalid(
            "this file is no telemetry log", path, "Name a new one; nothing was written"
        )


def is_something_else(path: Path) -> bool:
    """Tells whether a file's first line is no event: such a file must not be appended to.

    Files that are not there, or empty, are fine; so is a first line that a full disk cut off.
    """
    if not path.is_file():
        return False
    with path.open("rb") as file:
        line = file.readline(_BLOCK_BYTES)
    if events := _parse(line):
        return not {"chunk_id", "status"} <= events[0].keys()
    return bool(line) and not line.startswith(b'{"')


def read_events(path: Path) -> list[dict[str, Any]]:
    """Returns the events of a log; lines that a crash tore are left out."""
    return [event for line in path.read_bytes().split(b"\n")[:-1] for event in _parse(line)]


def read_last_events(path: Path, limit: int) -> list[dict[str, Any]]:
    """Returns the last events of a log, oldest first, without reading what comes before.

    Args:
        path: the log.
        limit: how many at most.
    """
    events: deque[dict[str, Any]] = deque()
    with path.open("rb") as file:
        lines = _lines_backwards(file)
        next(lines)  # behind the last line's end: nothing, or a line that is not finished
        while len(events) < limit and (line := next(lines, None)) is not None:
            events.extendleft(_parse(line))
    return list(events)


def _parse(line: bytes) -> list[dict[str, Any]]:
    """Returns the event in a line, or nothing where a crash tore it."""
    try:
        event = json.loads(line)
    except ValueError:
        return []
    return [event] if isinstance(event, dict) else []


def _lines_backwards(file: BinaryIO) -> Iterator[bytes]:
    """Yields what lies between line ends, from the end of a file to its start."""
    position = file.seek(0, os.SEEK_END)
    begun = b""
    while position:
        n_bytes = min(_BLOCK_BYTES, position)
        position = file.seek(position - n_bytes)
        begun, *lines = (file.read(n_bytes) + begun).split(b"\n")
        yield from reversed(lines)
    yield begun


def _is_torn(path: Path) -> bool:
    """Tells whether a file's last line has no end."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
