"""Slots of devices and who holds them, as the files of a lease folder tell.

Who gets a slot is decided in `lease_table.py`.
"""

import getpass
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from badc_core.devices.leasable import LeasableDevice
from badc_core.devices.lease_files import (
    open_shared,
    read_content,
    told_number,
    told_text,
)
from badc_core.locks import try_lock, unlock

_SLOT_FILE = re.compile(r"(?P<device>.+)\.(?P<number>[0-9]{1,4})\.slot")
_SETTLING_S = 30.0


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
        slots: leases on the device that it allows, its own included; 0 where that is not known.
    """

    work: str
    run_id: str = ""
    pid: int = field(default_factory=os.getpid)
    user: str = field(default_factory=user_name)
    since: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    vram_mib: int = 0
    slots: int = 0

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> "Holder":
        """Returns what a file says of its holder, as far as it can be understood."""
        return cls(
            told_text(content, "work", "?"),
            told_text(content, "run_id", ""),
            told_number(content, "pid", 0),
            told_text(content, "user", "?"),
            told_text(content, "since", "?"),
            told_number(content, "vram_mib", 0),
            told_number(content, "slots", 0),
        )

    def __str__(self) -> str:
        run = f" of run {self.run_id[:8]}" if self.run_id else ""
        return f"{self.work}{run} ({self.user}, pid {self.pid}, since {self.since})"


@dataclass(frozen=True)
class DeviceSlot:
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

    def __init__(self, slots: Sequence[DeviceSlot], descriptors: Sequence[int]) -> None:
        self.slots = tuple(slots)
        self.descriptors = tuple(descriptors)

    @property
    def devices(self) -> tuple[LeasableDevice, ...]:
        """The devices, one for each slot."""
        return tuple(slot.device for slot in self.slots)

    def release(self) -> None:
        """Ends this process's part in the lease; may be called again."""
        descriptors, self.descriptors = self.descriptors, ()
        for descriptor in descriptors:
            os.close(descriptor)


@dataclass
class OpenSlot:
    """A slot while it is being decided about.

    Attributes:
        descriptor: open, and locked if the slot is free.
        is_settled: what holds it has had time to claim the memory it needs.
    """

    slot: DeviceSlot
    descriptor: int
    is_free: bool
    is_settled: bool

    @classmethod
    def open(cls, folder: Path, device: LeasableDevice, number: int) -> "OpenSlot":
        """Opens a slot's file, and locks it if nobody has.

        Raises:
            OSError: the file cannot be opened or locked.
        """
        descriptor = open_shared(folder / _file_name(device, number))
        try:
            is_free = try_lock(descriptor)
            holder = None if is_free else Holder.read(read_content(descriptor))
            age_s = abs(time.time() - os.fstat(descriptor).st_mtime)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(DeviceSlot(device, number, holder), descriptor, is_free, age_s > _SETTLING_S)

    def close(self) -> None:
        """Lets go of a slot that was not lent."""
        unlock(self.descriptor)


def slots_in_use(folder: Path, devices: Sequence[LeasableDevice]) -> list[DeviceSlot]:
    """Returns the slots of devices, and those besides that somebody holds.

    Others may lend devices that are none of ours, or more slots of ours.

    Raises:
        OSError: the folder cannot be used.
    """
    there = slot_numbers(folder)
    ours = {device.uuid for device in devices}
    foreign = [LeasableDevice(uuid, uuid, 0, 0) for uuid in sorted(there) if uuid not in ours]
    slots = []
    for device in (*devices, *foreign):
        numbers = there.get(device.uuid, set())
        for number in sorted(numbers.union(range(device.slots))):
            slot = DeviceSlot(device, number)
            if number in numbers:
                opened = OpenSlot.open(folder, device, number)
                slot = opened.slot
                opened.close()
            if slot.holder or number < device.slots:
                slots.append(slot)
    return slots


def _file_name(device: LeasableDevice, number: int) -> str:
    """Returns the name of a slot's file; older drivers have slashes in UUIDs of slices."""
    return f"{device.uuid.replace('/', '+')}.{number}.slot"


def slot_numbers(folder: Path) -> dict[str, set[int]]:
    """Returns the slots that have files: UUID -> numbers.

    Raises:
        OSError: the folder cannot be read.
    """
    there: dict[str, set[int]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            found = _SLOT_FILE.fullmatch(entry.name)
            if found and entry.is_file(follow_symlinks=False):
                uuid = found["device"].replace("+", "/")
                there.setdefault(uuid, set()).add(int(found["number"]))
    return there
