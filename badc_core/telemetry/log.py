"""Append-only logs of measurements, one JSON object a line.

Each line is one write to a file opened for appending, so several processes may share a log and a
crash can only damage the line that it was writing. Which file that is, until the log is closed, is
decided in `live.py`. The fields of a line are in `attempts.py`.
"""

import json
import os
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Self

from badc_core.atomic import naming_storage_trouble
from badc_core.datasets.dataset import Dataset
from badc_core.errors import ConfigInvalid
from badc_core.json_texts import parse_object
from badc_core.settings import Settings
from badc_core.telemetry.live import close_live, find_logs, is_torn, newest_part, open_live

SCHEMA_VERSION = 2
"""Raised whenever the fields of a line change (`attempts.py`)."""

OUTSIDE_DATASETS = Path("data", "telemetry", "infer")
"""Folder of the logs of runs outside a dataset, below the folder they were started in."""

_BLOCK_BYTES = 1 << 18


class TelemetryLog:
    """An open log; use as a context manager.

    Args:
        path: the file, which has all lines once every process that writes it has closed it. Until
            then they are in `live_path`, from the first line on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._is_torn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            close_live(self.path, self._descriptor)
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
        """Writes a line; returns False if only part of it was written.

        That part stays as a damaged line: writing the rest could append it to another process's
        line.
        """
        begun = b"\n" + line if self._is_torn else line
        self._is_torn = True
        self._is_torn = os.write(descriptor, begun) != len(begun)
        return not self._is_torn

    def _open(self) -> int:
        """Returns a descriptor to append to; checks whether a crash left half a line."""
        descriptor = open_live(self.path)
        self._is_torn = is_torn(descriptor)
        return descriptor


class Tail:
    """Reads a log as it grows, each event once.

    A last line is read once it is complete. A missing log is empty; one that was cut, or replaced
    by a file that does not begin as it did, is read from its start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file_number: int | None = None
        self._offset_bytes = 0
        self._last_line = b""

    def read(self) -> Iterator[dict[str, Any]]:
        """Yields the events added since the last call, without damaged lines."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            # The next file of this name may have the number of the deleted one.
            self._file_number, self._offset_bytes = None, 0
            return
        with file:
            found = os.fstat(file.fileno())
            if found.st_ino != self._file_number or found.st_size < self._offset_bytes:
                self._file_number = found.st_ino
                self._offset_bytes = self._offset_bytes if self._goes_on(file) else 0
            file.seek(self._offset_bytes)
            rest = b""
            while block := file.read(_BLOCK_BYTES):
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    self._offset_bytes += len(line) + 1
                    self._last_line = line + b"\n"
                    yield from _parse(line)

    def _goes_on(self, file: BinaryIO) -> bool:
        """Returns whether another file has what was read last, at the same place."""
        start_bytes = self._offset_bytes - len(self._last_line)
        if not self._last_line or start_bytes < 0:
            return False
        file.seek(start_bytes)
        return file.read(len(self._last_line)) == self._last_line


class NewestLog:
    """The newest telemetry log below a folder.

    At the first look it is the log that was written to last; later, the newest new file. So it does
    not alternate between two runs that work at the same time.

    Args:
        root: a dataset's folder, or one in which runs outside a dataset are started.
    """

    def __init__(self, root: Path) -> None:
        inside = Dataset(root, Settings()).telemetry("any").parent
        self._folders = (inside, root / OUTSIDE_DATASETS)
        self._seen: set[Path] = set()
        self._newest: Path | None = None

    def look(self) -> Path | None:
        """Returns the newest log as of now, as `newest_part` does; None if there is none."""
        logs = {path for folder in self._folders for path in find_logs(folder)}
        if new := logs - self._seen:
            self._newest = max(new, key=lambda path: (written_ns(path), path))
        self._seen |= new
        return None if self._newest is None else newest_part(self._newest)


def require_telemetry(path: Path) -> None:
    """Returns if lines may be added to a log.

    Raises:
        ConfigInvalid: the file exists and is not a telemetry log.
    """
    if is_something_else(path):
        raise ConfigInvalid(
            "this file is not a telemetry log", path, "Choose another; nothing was written"
        )


def is_something_else(path: Path) -> bool:
    """Returns whether a file exists and its first line is not an event.

    An empty file may be appended to; so may a log whose first line a full disk cut off.
    """
    if not path.is_file():
        return False
    with path.open("rb") as file:
        line = file.readline(_BLOCK_BYTES)
    if events := _parse(line):
        return not {"chunk_id", "status"} <= events[0].keys()
    return bool(line) and not line.startswith(b'{"')


def read_last_events(path: Path, limit: int) -> list[dict[str, Any]]:
    """Returns the last events of a log, oldest first, without reading earlier ones.

    Args:
        path: the log.
        limit: how many at most.
    """
    events: deque[dict[str, Any]] = deque()
    with path.open("rb") as file:
        lines = _lines_backwards(file)
        next(lines)  # after the last line end: nothing, or an incomplete line
        while len(events) < limit and (line := next(lines, None)) is not None:
            events.extendleft(_parse(line))
    return list(events)


def _parse(line: bytes) -> list[dict[str, Any]]:
    """Returns the event in a line; empty if a crash damaged it."""
    try:
        return [parse_object(line)]
    except ValueError:
        return []


def _lines_backwards(file: BinaryIO) -> Iterator[bytes]:
    """Yields the lines of a file from its end to its start."""
    position = file.seek(0, os.SEEK_END)
    begun = b""
    while position:
        n_bytes = min(_BLOCK_BYTES, position)
        position = file.seek(position - n_bytes)
        begun, *lines = (file.read(n_bytes) + begun).split(b"\n")
        yield from reversed(lines)
    yield begun


def written_ns(log: Path) -> int:
    """Returns when a log was written to last; 0 where it is gone, or its content is elsewhere."""
    try:
        return newest_part(log).stat().st_mtime_ns
    except FileNotFoundError:
        return 0
