"""The queue of work that waits for devices: first come, first served.

Used only while `lease_files.exclusive` keeps other processes out, except for `Ticket`, which
creates and removes its own file in one operation, and `needs_memory`, which only reads.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

from badc_core.devices.lease_files import create_shared, make_folder, read_content
from badc_core.devices.lease_request import DeviceRequest
from badc_core.locks import try_lock, unlock

_FOLDER = "waiting"
_ENDING = ".ticket"
_QUIET_S = 30.0
_numbers = count()


@dataclass(frozen=True)
class Waiting:
    """Work in the queue.

    Attributes:
        request: what it needs.
        content: its holder, as its ticket says.
        is_active: it has asked in the last half minute; devices are reserved for no other.
        devices: those it could use, by UUID; None where its ticket does not say.
    """

    request: DeviceRequest
    content: Mapping[str, Any]
    is_active: bool
    devices: frozenset[str] | None = None


class Ticket:
    """A place in the queue, which ends with this process.

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
        # The monotonic clock cannot be set, and all processes of a machine share it.
        self._path = queue / f"{time.monotonic_ns():020d}-{os.getpid()}-{next(_numbers)}{_ENDING}"
        needs = {"request": asdict(request), "devices": devices}
        self._descriptor = create_shared(self._path, {**content, **needs})

    @property
    def name(self) -> str:
        """Sorts tickets by age."""
        return self._path.name

    def mark_active(self) -> None:
        """Records that the work could start now."""
        with suppress(OSError):
            os.utime(self._descriptor)

    def mark_idle(self) -> None:
        """Records that the work could not start now; it keeps its place in the queue."""
        with suppress(OSError):
            os.utime(self._descriptor, (0, 0))

    def withdraw(self) -> None:
        """Leaves the queue; may be called again."""
        if self._descriptor >= 0:
            with suppress(OSError):
                self._path.unlink()
            unlock(self._descriptor)
            self._descriptor = -1


def read_waiting(folder: Path) -> Iterator[tuple[str, Waiting]]:
    """Yields the name and content of each ticket whose process lives, oldest first."""
    for path, descriptor in _open_tickets(folder):
        if try_lock(descriptor):
            with suppress(OSError):  # another user's, which only they may remove
                path.unlink()
            continue
        # Also after the clock was set back: active work soon says so again.
        quiet_s = abs(time.time() - os.fstat(descriptor).st_mtime)
        yield path.name, _parse(read_content(descriptor), quiet_s < _QUIET_S)


def needs_memory(folder: Path) -> bool:
    """Returns whether any ticket asks for a certain amount of memory."""
    contents = (read_content(descriptor) for _, descriptor in _open_tickets(folder))
    return any(_parse(content, True).request.vram_mib for content in contents)


def _open_tickets(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yields each ticket with a descriptor, which is closed before the next."""
    for path in sorted((folder / _FOLDER).glob(f"*{_ENDING}")):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:  # withdrawn meanwhile, or not a ticket
            continue
        try:
            yield path, descriptor
        finally:
            unlock(descriptor)


def _parse(content: dict[str, Any], is_active: bool) -> Waiting:
    uuids = content.pop("devices", None)
    devices = frozenset(map(str, uuids)) if isinstance(uuids, list) else None
    request = DeviceRequest.read(content.pop("request", None))
    return Waiting(request, content, is_active, devices)
