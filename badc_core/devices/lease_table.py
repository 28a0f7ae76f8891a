"""All slots of a host on one table, while one process decides who gets them.

Nobody else decides meanwhile (`lease_files.alone`); the rules are in `leases.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from badc_core.devices.leasable import LeasableDevice
from badc_core.devices.lease_files import write_content
from badc_core.devices.lease_request import DeviceRequest
from badc_core.devices.lease_slots import DeviceSlot, Holder, Lease, OpenSlot, slot_numbers


class LeaseTable:
    """All slots of a host, while one process decides about them.

    Args:
        folder: the host's.
        devices: those that are lent.
        free_mib: UUID -> memory free by measurement, where it is known.

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
        self._reserved: dict[str, int] = {}
        self._reserved_mib: dict[str, int] = {}
        try:
            there = slot_numbers(folder)
            for device in devices:
                self._open(folder, device, there.get(device.uuid, set()))
        except BaseException:
            self.close()
            raise

    def reserve(
        self, devices: Sequence[LeasableDevice], request: DeviceRequest, wanted: int
    ) -> None:
        """Keeps slots for somebody who came before, as far as there are any.

        Where leases take the memory they need, no more are given until enough have ended. Where
        something else takes it, nothing is kept: nobody knows when that ends.
        """
        chosen = self.choose(devices, request, wanted)
        for device in chosen:
            self._keep(device, 1, request.vram_mib)
        crowded = [
            one
            for one in devices
            if one not in chosen and self._n_held(one) and may_ever_hold(one, request)
        ]
        for device in sorted(crowded, key=self._n_used)[: wanted - len(chosen)]:
            self._keep(device, self._n_free(device), 0)

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
        lent = [next(one for one in self._of(device) if one.is_free) for device in devices]
        slots = []
        for device, one in zip(devices, lent, strict=True):
            told = replace(holder, slots=device.slots)
            write_content(one.descriptor, asdict(told))
            slots.append(DeviceSlot(device, one.slot.number, told))
        lease = Lease(slots, [one.descriptor for one in lent])
        self.open_slots = [one for one in self.open_slots if one not in lent]
        return lease

    def explain(
        self, devices: Sequence[LeasableDevice], request: DeviceRequest, n_before: int
    ) -> str:
        """Returns why a request cannot be met now."""
        held = [
            f"{one.slot.device.label} slot {one.slot.number} is held by {one.slot.holder}"
            for one in self.open_slots
            if one.slot.device in devices and one.slot.holder
        ]
        short = [
            f"{device.label} has {max(0.0, self._memory_left(device) or 0.0):.0f} MiB free"
            for device in devices
            if self._n_free(device) and not self._has_memory(device, request)
        ]
        before = [f"{n_before} came before"] if n_before else []
        return "; ".join([f"waiting for {request}", *held, *short, *before])

    def close(self) -> None:
        """Lets go of every slot that was not lent."""
        for one in self.open_slots:
            one.close()
        self.open_slots = []

    def _open(self, folder: Path, device: LeasableDevice, numbers: set[int]) -> None:
        """Opens a device's slots; those that only others lend count while they are held."""
        for number in sorted(numbers.union(range(device.slots))):
            one = OpenSlot.open(folder, device, number)
            if one.is_free and number >= device.slots:
                one.close()
            else:
                self.open_slots.append(one)

    def _keep(self, device: LeasableDevice, n_slots: int, mib: int) -> None:
        self._reserved[device.uuid] = self._reserved.get(device.uuid, 0) + n_slots
        self._reserved_mib[device.uuid] = self._reserved_mib.get(device.uuid, 0) + mib

    def _of(self, device: LeasableDevice) -> list[OpenSlot]:
        return [one for one in self.open_slots if one.slot.device.uuid == device.uuid]

    def _n_held(self, device: LeasableDevice) -> int:
        return sum(not one.is_free for one in self._of(device))

    def _n_free(self, device: LeasableDevice) -> int:
        n_free = sum(one.is_free for one in self._of(device))
        n_allowed = min(n_free, self._n_slots(device) - self._n_held(device))
        return max(0, n_allowed - self._reserved.get(device.uuid, 0))

    def _n_slots(self, device: LeasableDevice) -> int:
        """Returns how many leases there may be: the fewest that anybody on the device counts."""
        holders = [one.slot.holder for one in self._of(device)]
        return min([device.slots, *(one.slots for one in holders if one and one.slots)])

    def _n_used(self, device: LeasableDevice) -> int:
        return self._n_held(device) + self._reserved.get(device.uuid, 0)

    def _has_memory(self, device: LeasableDevice, request: DeviceRequest) -> bool:
        left = self._memory_left(device)
        return not request.vram_mib or device.is_cpu or left is None or left >= request.vram_mib

    def _memory_left(self, device: LeasableDevice) -> float | None:
        """Returns what is free both by measurement and by what holders said they need."""
        held = [(one, one.slot.holder) for one in self._of(device)]
        said = sum(holder.vram_mib for _, holder in held if holder)
        unclaimed = sum(holder.vram_mib for one, holder in held if holder and not one.is_settled)
        kept = self._reserved_mib.get(device.uuid, 0)
        measured = self._free_mib.get(device.uuid)
        known: list[float] = [device.memory_mib - said - kept] if device.memory_mib else []
        known += [] if measured is None else [measured - unclaimed - kept]
        return min(known, default=None)


def may_ever_hold(device: LeasableDevice, request: DeviceRequest) -> bool:
    """Tells whether a device has the memory that is asked for, if nobody else used it."""
    return device.is_cpu or not device.memory_mib or device.memory_mib >= request.vram_mib
