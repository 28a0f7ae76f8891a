"""All slots of a host on one table, while one process decides who gets them.

Nobody else decides meanwhile (`lease_files.alone`); the rules are in `leases.py`.
"""

import getpass
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from badc_core.devices.leasable import LeasableDevice
from badc_core.devices.lease_files import open_shared, read_content, try_lock, write_content
from badc_core.devices.lease_request import DeviceRequest


def user_name() -> str:
    """Returns this user's name, or number where they have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


@dataclass(frozen=True)
class Holder:
    """Who holds a slot, or waits for one.

    Attributes:
        work: what for, such as a step of a run.
        run_id: of the asset graph; empty outside it.
        pid, user: the process that asked.
        since: UTC, ISO 8601.
        vram_mib: memory it said it needs.
    """

    work: str
    run_id: str = ""
    pid: int = field(default_factory=os.getpid)
    user: str = field(default_factory=user_name)
    since: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    vram_mib: int = 0

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> "Holder":
        """Returns what a file says of its holder, as far as it can be understood."""
        known = {name: content[name] for name in cls.__dataclass_fields__ if name in content}
        blank = {"work": "?", "pid": 0, "user": "?", "since": ""}
        return cls(**{**blank, **known})

    def __str__(self) -> str:
        run = f" of run {self.run_id[:8]}" if self.run_id else ""
        return f"{self.work}{run} ({self.user}, pid {self.pid}, since {self.since})"


@dataclass(frozen=True)
class Slot:
    """One of the leases there may be on a device.

    Attributes:
        number: from 0.
        holder: None while it is free.
    """

    device: LeasableDevice
    number: int
    holder: Holder | None = None


class Lease:
    """Slots that are held by this process, and by every process that inherits `descriptors`."""

    def __init__(self, slots: Sequence[Slot], descriptors: Sequence[int]) -> None:
        self.slots = tuple(slots)
        self.descriptors = tuple(descriptors)

    @property
    def devices(self) -> tuple[LeasableDevice, ...]:
        """The devices, one for each slot."""
        return tuple(slot.device for slot in self.slots)

    def release(self) -> None:
        """Ends this process's part in the lease; may be called again."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = ()


@dataclass
class Place:
    """A slot while it is being decided about; its descriptor is open, and locked if it is free."""

    slot: Slot
    descriptor: int
    is_free: bool

    @classmethod
    def open(cls, folder: Path, device: LeasableDevice, number: int) -> "Place":
        """Opens a slot's file, and locks it if nobody has.

        Raises:
            OSError: the file cannot be opened.
        """
        descriptor = open_shared(folder / f"{device.uuid}.{number}.slot")
        is_free = try_lock(descriptor)
        holder = None if is_free else Holder.read(read_content(descriptor))
        return cls(Slot(device, number, holder), descriptor, is_free)


class Table:
    """All slots of a host, while one process decides about them."""

    def __init__(self, places: list[Place], free_mib: Mapping[str, float | None]) -> None:
        self.places = places
        self._free_mib = free_mib
        self._reserved: dict[str, int] = {}
        self._reserved_mib: dict[str, int] = {}

    def reserve(
        self, devices: Sequence[LeasableDevice], request: DeviceRequest, wanted: int
    ) -> None:
        """Keeps slots for somebody who came before, as far as there are any."""
        for device in self.choose(devices, request, wanted):
            self._reserved[device.uuid] = self._reserved.get(device.uuid, 0) + 1
            mib = self._reserved_mib.get(device.uuid, 0)
            self._reserved_mib[device.uuid] = mib + request.vram_mib

    def choose(
        self, devices: Sequence[LeasableDevice], request: DeviceRequest, wanted: int
    ) -> list[LeasableDevice]:
        """Returns up to as many devices as wanted that have room, the least used first."""
        able = [one for one in devices if self._n_free(one) and self._has_memory(one, request)]
        return sorted(able, key=self._n_used)[:wanted]

    def idle(
        self,
        devices: Sequence[LeasableDevice],
        request: DeviceRequest,
        besides: Sequence[LeasableDevice],
    ) -> list[LeasableDevice]:
        """Returns devices that nobody uses or has a claim to."""
        return [
            device
            for device in self.choose(devices, request, len(devices))
            if device not in besides and not self._n_used(device)
        ]

    def lend(self, devices: Sequence[LeasableDevice], holder: Holder) -> Lease:
        """Returns a lease on a free slot of each device; their descriptors are no longer ours."""
        slots, descriptors = [], []
        for device in devices:
            place = next(one for one in self.places if one.is_free and one.slot.device == device)
            write_content(place.descriptor, asdict(holder))
            slots.append(Slot(device, place.slot.number, holder))
            descriptors.append(place.descriptor)
            self.places.remove(place)
        return Lease(slots, descriptors)

    def explain(
        self, devices: Sequence[LeasableDevice], request: DeviceRequest, n_before: int
    ) -> str:
        """Returns why a request cannot be met now."""
        held = [
            f"{place.slot.device.label} slot {place.slot.number} is held by {place.slot.holder}"
            for place in self.places
            if place.slot.device in devices and place.slot.holder
        ]
        short = [
            f"{device.label} has {self._memory_left(device):.0f} MiB free"
            for device in devices
            if self._n_free(device) and not self._has_memory(device, request)
        ]
        before = [f"{n_before} came before"] if n_before else []
        return "; ".join([f"waiting for {request}", *held, *short, *before])

    def close(self) -> None:
        """Lets go of every slot that was not lent."""
        for place in self.places:
            os.close(place.descriptor)

    def _of(self, device: LeasableDevice) -> list[Place]:
        return [place for place in self.places if place.slot.device == device]

    def _n_free(self, device: LeasableDevice) -> int:
        n_free = sum(place.is_free for place in self._of(device))
        return max(0, n_free - self._reserved.get(device.uuid, 0))

    def _n_used(self, device: LeasableDevice) -> int:
        n_held = sum(not place.is_free for place in self._of(device))
        return n_held + self._reserved.get(device.uuid, 0)

    def _has_memory(self, device: LeasableDevice, request: DeviceRequest) -> bool:
        left = self._memory_left(device)
        return not request.vram_mib or device.is_cpu or left is None or left >= request.vram_mib

    def _memory_left(self, device: LeasableDevice) -> float | None:
        """Returns what is free both by measurement and by what holders said they need."""
        said = sum(one.slot.holder.vram_mib for one in self._of(device) if one.slot.holder)
        said += self._reserved_mib.get(device.uuid, 0)
        measured = self._free_mib.get(device.uuid)
        known: list[float] = [device.memory_mib - said] if device.memory_mib else []
        known += [] if measured is None else [measured]
        return min(known, default=None)
