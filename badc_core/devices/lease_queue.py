"""Who waits for a device, first come first: so that nobody starves and no device idles for nobody.

Everything here happens while `lease_files.alone` keeps others out, but for `Ticket`, which makes
and removes its own file at one stroke, and `is_memory_asked_for`, which only reads.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

from badc_core.devices.lease_files import (
    create_shared,
    make_folder,
    read_content,
)
from badc_core.devices.lease_request import DeviceRequest
from badc_core.locks import try_lock, unlock

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
        devices: those they could use, by UUID; None where they do not say.
    """

    request: DeviceRequest
    content: Mapping[str, Any]
    is_awake: bool
    devices: frozenset[str] | None = None


class Ticket:
    """A place in the queue, which is given up when this process ends.

    Args:
        folder: the host's.
        request: what is wanted.
        content: who wants it.
        devices: those that will do, by UUID.

    Raises:
        OSError: the folder cannot be written to.
    """

    def __init__(
        self,
        folder: Path,
        request: DeviceRequest,
        content: Mapping[str, Any],
        devices: list[str] | None = None,
    ) -> None:
        queue = folder / _FOLDER
        make_folder(queue)
        # Of a clock that nobody sets, and that all processes of a machine share.
        self._path = queue / f"{time.monotonic_ns():020d}-{os.getpid()}-{next(_numbers)}{_ENDING}"
        wanted = {"request": asdict(request), "devices": devices}
        self._descriptor = create_shared(self._path, {**content, **wanted})

    @property
    def name(self) -> str:
        """Tickets sort by it in the order in which they were taken."""
        return self._path.name

    def touch(self) -> None:
        """Says that whoever holds it still asks."""
        with suppress(OSError):
            os.utime(self._descriptor)

    def mark_idle(self) -> None:
        """Says that whoever holds it could use nothing now; the place is theirs when they ask."""
        with suppress(OSError):
            os.utime(self._descriptor, (0, 0))

    def withdraw(self) -> None:
        """Gives the place up; may be called again."""
        if self._descriptor >= 0:
            with suppress(OSError):
                self._path.unlink()
            unlock(self._descriptor)
            self._descriptor = -1


def waiting(folder: Path) -> Iterator[tuple[str, Waiting]]:
    """Yields the name of each ticket whose holder lives, with what it says, oldest first."""
    for path, descriptor in _open_tickets(folder):
        if try_lock(descriptor):
            with suppress(OSError):  # another user's: nobody but they may remove it
                path.unlink()
            continue
        # After the clock was set, either way, whoever is awake soon says so again.
        quiet_s = abs(time.time() - os.fstat(descriptor).st_mtime)
        yield path.name, _understood(read_content(descriptor), quiet_s < _QUIET_S)


def is_memory_asked_for(folder: Path) -> bool:
    """Tells whether any ticket says how much memory it needs."""
    contents = (read_content(descriptor) for _, descriptor in _open_tickets(folder))
    return any(_understood(content, True).request.vram_mib for content in contents)


def _open_tickets(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yields each ticket with a descriptor, which is closed at the next step."""
    for path in sorted((folder / _FOLDER).glob(f"*{_ENDING}")):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:  # withdrawn meanwhile, or none of ours
            continue
        try:
            yield path, descriptor
        finally:
            unlock(descriptor)


def _understood(content: dict[str, Any], is_awake: bool) -> Waiting:
    told = content.pop("devices", None)
    devices = frozenset(map(str, told)) if isinstance(told, list) else None
    request = DeviceRequest.read(content.pop("request", None))
    return Waiting(request, content, is_awake, devices)
