"""Lending devices to pieces of work, across all processes and users of a host.

A lease is a locked file for each slot of a device. Whoever inherits the open file holds the lease
too, so a device is free again when the last process that uses it has ended, and at once.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from badc_core.devices.leasable import LeasableDevice
from badc_core.devices.lease_files import alone
from badc_core.devices.lease_queue import Ticket, Waiting, waiting
from badc_core.devices.lease_request import DeviceRequest
from badc_core.devices.lease_table import Holder, Lease, Place, Slot, Table
from badc_core.devices.nvml import Nvml, NvmlFailed
from badc_core.errors import ConfigInvalid, LeasesBusy


@dataclass(frozen=True)
class Refusal:
    """Why a request has to wait: a sentence without its full stop."""

    reason: str


class LeaseStore:
    """The slots of a host's devices.

    Args:
        folder: of `lease_files.lease_folder`.
        devices: those that are lent.
        free_mib: tells how much memory of a device is free; None where nobody knows.
    """

    def __init__(
        self,
        folder: Path,
        devices: Sequence[LeasableDevice],
        free_mib: Callable[[LeasableDevice], float | None] | None = None,
    ) -> None:
        self._folder = folder
        self._devices = tuple(devices)
        self._free_mib = free_mib or measured_free_mib

    def check(self, request: DeviceRequest) -> None:
        """Makes sure that a request could ever be met.

        Raises:
            ConfigInvalid: it asks for more than there is.
        """
        able = [one for one in self._suited(request) if _may_ever_hold(one, request)]
        if len(able) < (least := _least(request, self._devices)):
            there = ", ".join(_describe(one) for one in self._devices)
            raise ConfigInvalid(
                f"{request} asked for, and only {len(able)} of {least} such on this machine: "
                f"{there}",
                remedy="Ask for fewer devices or less memory, or see badc gpus",
            )

    def take(
        self, request: DeviceRequest, holder: Holder, ticket: Ticket | None = None
    ) -> Lease | Refusal:
        """Leases devices if nobody before has a better claim; does not wait.

        Args:
            request: what is wanted.
            holder: what to tell others.
            ticket: a place in the queue; withdrawn if there is a lease.

        Raises:
            OSError: the folder cannot be used.
        """
        free_mib = self._measure(request)
        try:
            with alone(self._folder), closing(Table(self._slots(), free_mib)) as table:
                return self._take(table, request, holder, ticket)
        except LeasesBusy as error:
            return Refusal(str(error))

    def queue(self, request: DeviceRequest, holder: Holder) -> Ticket:
        """Returns a place at the end of the queue.

        Raises:
            OSError: the folder cannot be used.
        """
        return Ticket(self._folder, request, asdict(holder))

    def look(self) -> tuple[list[Slot], list[Waiting]]:
        """Returns every slot with who holds it, and who waits, first come first.

        Raises:
            LeasesBusy: the folder is kept locked by another process.
            OSError: the folder cannot be used.
        """
        with alone(self._folder):
            with closing(Table(self._slots(), {})) as table:
                slots = [one.slot for one in table.places]
            return slots, [who for _, who in waiting(self._folder)]

    def _take(
        self, table: Table, request: DeviceRequest, holder: Holder, ticket: Ticket | None
    ) -> Lease | Refusal:
        n_before = n_others = 0
        for name, other in waiting(self._folder):
            if ticket is not None and name == ticket.name:
                continue
            n_others += 1
            if (ticket is None or name < ticket.name) and other.is_awake:
                n_before += 1
                wanted = _least(other.request, self._devices)
                table.reserve(self._suited(other.request), other.request, wanted)
        least = _least(request, self._devices)
        suited = self._suited(request)
        chosen = table.choose(suited, request, least)
        if len(chosen) < least:
            if ticket is not None:
                ticket.touch()
            return Refusal(table.explain(suited, request, n_before))
        most = len(suited) if request.most is None else request.most
        chosen += table.idle(suited, request, chosen)[: max(0, most - least - n_others)]
        if ticket is not None:
            ticket.withdraw()
        return table.lend(chosen, holder)

    def _suited(self, request: DeviceRequest) -> list[LeasableDevice]:
        """Returns the GPUs, or the CPU where it is wanted or there is nothing else."""
        gpus = [device for device in self._devices if not device.is_cpu]
        cpus = [device for device in self._devices if device.is_cpu]
        return cpus if request.on_cpu or not gpus else gpus

    def _measure(self, request: DeviceRequest) -> dict[str, float | None]:
        if not request.vram_mib:
            return {}
        return {one.uuid: self._free_mib(one) for one in self._suited(request) if not one.is_cpu}

    def _slots(self) -> list[Place]:
        """Returns all slots, opened, and locked where they were free."""
        return [
            Place.open(self._folder, device, number)
            for device in self._devices
            for number in range(device.slots)
        ]


def measured_free_mib(device: LeasableDevice) -> float | None:
    """Returns how much memory of a GPU is free just now; None where NVML does not tell."""
    try:
        with Nvml() as nvml:
            memory = nvml.memory(nvml.find(device.uuid))
    except NvmlFailed:
        return None
    return memory.total_mib - memory.used_mib


def _least(request: DeviceRequest, devices: Sequence[LeasableDevice]) -> int:
    """Returns how many devices a request needs; of the CPU there is one."""
    has_gpus = any(not device.is_cpu for device in devices)
    return request.least if has_gpus and not request.on_cpu else 1


def _may_ever_hold(device: LeasableDevice, request: DeviceRequest) -> bool:
    return device.is_cpu or not device.memory_mib or device.memory_mib >= request.vram_mib


def _describe(device: LeasableDevice) -> str:
    return f"{device.label} ({device.memory_mib} MiB)" if device.memory_mib else device.label
