"""The slots of a host's devices: who has leased each, and which are free to lease.

Used only while `lease_files.exclusive` keeps other processes out. Whose turn it is is decided in
`leases.py`.
"""

import os
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from badc_core.devices.leasable import LeasableDevice
from badc_core.devices.lease_files import open_shared, read_content, write_content
from badc_core.devices.lease_request import DeviceRequest, Holder
from badc_core.locks import try_lock, unlock

_SLOT_FILE = re.compile(r"(?P<device>.+)\.(?P<number>[0-9]{1,4})\.slot")
_SETTLING_S = 30.0


@dataclass(frozen=True)
class DeviceSlot:
    """Room for one lease on a device.

    Attributes:
        number: from 0.
        holder: None while it is free.
    """

    device: LeasableDevice
    number: int
    holder: Holder | None = None


class Lease:
    """Slots leased by this process, and by every process that inherits `descriptors`."""

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
    """A slot whose file is open.

    Attributes:
        descriptor: of the file, locked if the slot is free.
        is_settled: its holder has had time to claim the memory it needs.
    """

    slot: DeviceSlot
    descriptor: int
    is_free: bool
    is_settled: bool

    @classmethod
    def open(cls, folder: Path, device: LeasableDevice, number: int) -> "OpenSlot":
        """Opens a slot's file, and locks it if it is free.

        Raises:
            OSError: the file cannot be opened or locked.
        """
        # Older drivers have slashes in UUIDs of slices.
        name = f"{device.uuid.replace('/', '+')}.{number}.slot"
        descriptor = open_shared(folder / name)
        try:
            is_free = try_lock(descriptor)
            holder = None if is_free else Holder.read(read_content(descriptor))
            age_s = abs(time.time() - os.fstat(descriptor).st_mtime)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(DeviceSlot(device, number, holder), descriptor, is_free, age_s > _SETTLING_S)

    def close(self) -> None:
        """Unlocks a slot that was not leased."""
        unlock(self.descriptor)


class LeaseTable:
    """All slots of a host, while one process decides about them.

    Raises:
        OSError: the folder cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        devices: Sequence[LeasableDevice],
        free_mib: Mapping[str, float | None],
    ) -> None:
        self.open_slots: list[OpenSlot] = []
        self._free_mib = free_mib
        self._reserved: Counter[str] = Counter()
        self._reserved_mib: Counter[str] = Counter()
        try:
            existing = _slot_numbers(folder)
            for device in devices:
                self._open(folder, device, existing.get(device.uuid, set()))
        except BaseException:
            self.close()
            raise

    def reserve(
        self, devices: Sequence[LeasableDevice], request: DeviceRequest, n_needed: int
    ) -> None:
        """Reserves slots for work that came before, as far as there are any.

        Where leases use up the memory it needs, no more are given until enough are released. Where
        other programs do, nothing is reserved: there is no telling when those end.
        """
        chosen = self.choose(devices, request, n_needed)
        for device in chosen:
            self._reserve(device, 1, request.vram_mib)
        crowded = [
            device
            for device in devices
            if device not in chosen and self._n_leased(device) and may_ever_suit(device, request)
        ]
        for device in sorted(crowded, key=self._n_used)[: n_needed - len(chosen)]:
            self._reserve(device, self._n_free(device), 0)

    def choose(
        self, devices: Sequence[LeasableDevice], request: DeviceRequest, n_needed: int
    ) -> list[LeasableDevice]:
        """Returns up to `n_needed` devices that have room, the least used first."""
        able = [one for one in devices if self._n_free(one) and self._has_memory(one, request)]
        return sorted(able, key=self._n_used)[:n_needed]

    def idle(
        self,
        devices: Sequence[LeasableDevice],
        request: DeviceRequest,
        except_for: Sequence[LeasableDevice],
    ) -> list[LeasableDevice]:
        """Returns devices that are neither leased nor reserved."""
        return [
            device
            for device in self.choose(devices, request, len(devices))
            if device not in except_for and not self._n_used(device)
        ]

    def lease(self, devices: Sequence[LeasableDevice], holder: Holder) -> Lease:
        """Returns a lease of a free slot of each device, which `close` leaves alone."""
        chosen = [next(one for one in self._of(device) if one.is_free) for device in devices]
        slots = []
        for device, one in zip(devices, chosen, strict=True):
            on_device = replace(holder, slots=device.slots)
            write_content(one.descriptor, asdict(on_device))
            slots.append(DeviceSlot(device, one.slot.number, on_device))
        self.open_slots = [one for one in self.open_slots if one not in chosen]
        return Lease(slots, [one.descriptor for one in chosen])

    def explain(
        self, devices: Sequence[LeasableDevice], request: DeviceRequest, n_before: int
    ) -> str:
        """Returns why a request cannot be met now."""
        leased = [
            f"{one.slot.device.label} slot {one.slot.number} is leased by {one.slot.holder}"
            for one in self.open_slots
            if one.slot.device in devices and one.slot.holder
        ]
        short = [
            f"{device.label} has {max(0.0, self._memory_left(device) or 0.0):.0f} MiB free"
            for device in devices
            if self._n_free(device) and not self._has_memory(device, request)
        ]
        before = [f"{n_before} earlier in the queue"] if n_before else []
        return "; ".join([f"waiting for {request}", *leased, *short, *before])

    def close(self) -> None:
        """Unlocks every slot that was not leased."""
        for one in self.open_slots:
            one.close()
        self.open_slots = []

    def _open(self, folder: Path, device: LeasableDevice, numbers: set[int]) -> None:
        """Opens a device's slots; those that only other programs count while leased."""
        for number in sorted(numbers.union(range(device.slots))):
            one = OpenSlot.open(folder, device, number)
            if one.is_free and number >= device.slots:
                one.close()
            else:
                self.open_slots.append(one)

    def _reserve(self, device: LeasableDevice, n_slots: int, mib: int) -> None:
        self._reserved[device.uuid] += n_slots
        self._reserved_mib[device.uuid] += mib

    def _of(self, device: LeasableDevice) -> list[OpenSlot]:
        return [one for one in self.open_slots if one.slot.device.uuid == device.uuid]

    def _n_leased(self, device: LeasableDevice) -> int:
        return sum(not one.is_free for one in self._of(device))

    def _n_free(self, device: LeasableDevice) -> int:
        """Returns how many more leases there may be; the holder that allows the fewest decides."""
        slots = self._of(device)
        allowed = [one.slot.holder.slots for one in slots if one.slot.holder]
        n_allowed = min([device.slots, *filter(None, allowed)]) - self._n_leased(device)
        n_free = min(n_allowed, sum(one.is_free for one in slots))
        return max(0, n_free - self._reserved[device.uuid])

    def _n_used(self, device: LeasableDevice) -> int:
        return self._n_leased(device) + self._reserved[device.uuid]

    def _has_memory(self, device: LeasableDevice, request: DeviceRequest) -> bool:
        left = self._memory_left(device)
        return not request.vram_mib or device.is_cpu or left is None or left >= request.vram_mib

    def _memory_left(self, device: LeasableDevice) -> float | None:
        """Returns what is free both by measurement and by what holders said they need."""
        holders = [(one, one.slot.holder) for one in self._of(device)]
        needed = sum(holder.vram_mib for _, holder in holders if holder)
        unclaimed = sum(holder.vram_mib for one, holder in holders if holder and not one.is_settled)
        reserved = self._reserved_mib[device.uuid]
        measured = self._free_mib.get(device.uuid)
        known: list[float] = [device.memory_mib - needed - reserved] if device.memory_mib else []
        known += [] if measured is None else [measured - unclaimed - reserved]
        return min(known, default=None)


def may_ever_suit(device: LeasableDevice, request: DeviceRequest) -> bool:
    """Returns whether a device has enough memory for a request while nothing else uses it."""
    return device.is_cpu or not device.memory_mib or device.memory_mib >= request.vram_mib


def read_slots(folder: Path, devices: Sequence[LeasableDevice]) -> list[DeviceSlot]:
    """Returns the slots of devices, and all other slots that are leased.

    Other programs may count more devices, or more slots on these.

    Raises:
        OSError: the folder cannot be used.
    """
    existing = _slot_numbers(folder)
    known = {device.uuid for device in devices}
    foreign = [LeasableDevice(uuid, uuid, 0, 0) for uuid in sorted(existing.keys() - known)]
    slots = []
    for device in (*devices, *foreign):
        numbers = existing.get(device.uuid, set())
        for number in sorted(numbers.union(range(device.slots))):
            slot = DeviceSlot(device, number)
            if number in numbers:
                opened = OpenSlot.open(folder, device, number)
                slot = opened.slot
                opened.close()
            if slot.holder or number < device.slots:
                slots.append(slot)
    return slots


def _slot_numbers(folder: Path) -> dict[str, set[int]]:
    """Returns the slots that have files: UUID -> numbers."""
    numbers: dict[str, set[int]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            found = _SLOT_FILE.fullmatch(entry.name)
            if found and entry.is_file(follow_symlinks=False):
                uuid = found["device"].replace("+", "/")
                numbers.setdefault(uuid, set()).add(int(found["number"]))
    return numbers
