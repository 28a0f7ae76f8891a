"""Who waits for a device, first come first: so that nobody starves and no device idles for nobody.

Everything here happens while `lease_files.alone` keeps others out.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

from badc_core.devices.lease_files import open_shared, read_content, try_lock, write_content
from badc_core.devices.lease_request import DeviceRequest

_FOLDER = "waiting"
_ENDING = ".ticket"
_QUIET_S = 30.0
_numbers = count()


@dataclass(frozen=True)
class Waiting:
    """Somebody in the queue.

    Attributes:
        request: what they want.
        content: who they are.
        is_awake: they have asked in the last half minute; places are kept for no others.
    """

    request: DeviceRequest
    content: Mapping[str, Any]
    is_awake: bool


class Ticket:
    """A place in the queue, which is given up when this process ends."""

    def __init__(self, folder: Path, request: DeviceRequest, content: Mapping[str, Any]) -> None:
        """Takes a place at the end of the queue.

        Raises:
            OSError: the folder cannot be written to.
        """
        queue = _queue(folder)
        name = f"{time.time_ns():020d}-{os.getpid()}-{next(_numbers)}{_ENDING}"
        self._path = queue / name
        self._descriptor = open_shared(self._path)
        try_lock(self._descriptor)
        write_content(self._descriptor, {**content, "request": asdict(request)})

    @property
    def name(self) -> str:
        """Tickets sort by it in the order in which they were taken."""
        return self._path.name

    def touch(self) -> None:
        """Says that whoever holds it still asks."""
        os.utime(self._descriptor)

    def withdraw(self) -> None:
        """Gives the place up; may be called again."""
        if self._descriptor >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


def waiting(folder: Path) -> Iterator[tuple[str, Waiting]]:
    """Yields the name of each ticket whose holder lives, with what it says, oldest first."""
    for path in sorted(_queue(folder).glob(f"*{_ENDING}")):
        try:
            descriptor = open_shared(path)
        except OSError:
            continue
        try:
            if try_lock(descriptor):
                with suppress(OSError):  # another user's: nobody but they may remove it
                    path.unlink()
                continue
            content = read_content(descriptor)
            quiet_s = time.time() - os.fstat(descriptor).st_mtime
        finally:
            os.close(descriptor)
        with suppress(TypeError):
            request = DeviceRequest(**content.pop("request", {}))
            yield path.name, Waiting(request, content, quiet_s < _QUIET_S)


def _queue(folder: Path) -> Path:
    queue = folder / _FOLDER
    with suppress(FileExistsError):
        queue.mkdir()
        queue.chmod(0o1777)
    return queue
