"""Lending devices to pieces of work, across all processes and users of a host.

A lease is a locked file for each slot of a device. Whoever inherits the open file holds the lease
too, so a device is free again when the last process that uses it has ended, and at once.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from badc_core.devices.leasable import LeasableDevice
from badc_core.devices.lease_files import exclusive
from badc_core.devices.lease_queue import Ticket, Waiting, is_memory_asked_for, waiting
from badc_core.devices.lease_request import DeviceRequest
from badc_core.devices.lease_slots import DeviceSlot, Holder, Lease, slots_in_use
from badc_core.devices.lease_table import LeaseTable, may_ever_hold
from badc_core.devices.nvml import Nvml, NvmlFailed
from badc_core.errors import ConfigInvalid, LeasesBusy

# Who takes asks again soon, and must see to other work meanwhile; who looks does it once.
_LONGEST_TAKE_S = 0.5


@dataclass(frozen=True)
class LeaseRefusal:
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

    @property
    def leases_gpus(self) -> bool:
        """Whether there is any GPU among the devices."""
        return any(not device.is_cpu for device in self._devices)

    def check(self, request: DeviceRequest) -> None:
        """Makes sure that a request could ever be met.

        Raises:
            ConfigInvalid: it asks for more than there is.
        """
        able = [one for one in self._suited(request) if may_ever_hold(one, request)]
        if len(able) < (least := _least(request, self._devices)):
            there = ", ".join(_describe(one) for one in self._devices)
            raise ConfigInvalid(
                f"{request} asked for, and only {len(able)} of {least} such on this machine: "
                f"{there}",
                remedy="Ask for fewer devices or less memory, or see badc gpus",
            )

    def take(
        self, request: DeviceRequest, holder: Holder, ticket: Ticket | None = None
    ) -> Lease | LeaseRefusal:
        """Leases devices if nobody before has a better claim; does not wait.

        Where another process keeps the folder locked, that is a refusal after half a second.

        Args:
            request: what is wanted.
            holder: what to tell others.
            ticket: a place in the queue; withdrawn if there is a lease.

        Raises:
            OSError: the folder cannot be used.
        """
        if ticket is not None:
            ticket.touch()
        free_mib = self._measure(request)
        try:
            with (
                exclusive(self._folder, _LONGEST_TAKE_S),
                closing(LeaseTable(self._folder, self._devices, free_mib)) as table,
            ):
                lease = self._decide(table, request, holder, ticket)
        except LeasesBusy as error:
            return LeaseRefusal(f"waiting for {request}: {error}")
        if ticket is not None and isinstance(lease, Lease):
            ticket.withdraw()
        return lease

    def queue(self, request: DeviceRequest, holder: Holder) -> Ticket:
        """Returns a place at the end of the queue.

        Raises:
            OSError: the folder cannot be used.
        """
        devices = [device.uuid for device in self._suited(request)]
        return Ticket(self._folder, request, asdict(holder), devices)

    def look(self) -> tuple[list[DeviceSlot], list[Waiting]]:
        """Returns every slot with who holds it, and who waits, first come first.

        Slots that only others lend are among them while they are held.

        Raises:
            LeasesBusy: the folder is kept locked by another process.
            OSError: the folder cannot be used.
        """
        with exclusive(self._folder):
            slots = slots_in_use(self._folder, self._devices)
            return slots, [who for _, who in waiting(self._folder)]

    def _decide(
        self, table: LeaseTable, request: DeviceRequest, holder: Holder, ticket: Ticket | None
    ) -> Lease | LeaseRefusal:
        suited = self._suited(request)
        n_before = n_after = 0
        for name, other in waiting(self._folder):
            wanted, able = self._wanted(other)
            if (
                (ticket and name == ticket.name)
                or not other.is_awake
                or not set(able) & set(suited)
            ):
                continue
            if ticket is None or name < ticket.name:
                n_before += 1
                table.reserve(able, other.request, wanted)
            else:
                n_after += wanted
        least = _least(request, self._devices)
        chosen = table.choose(suited, request, least)
        if len(chosen) < least:
            return LeaseRefusal(table.explain(suited, request, n_before))
        most = len(suited) if request.most is None else request.most
        idle = table.idle(suited, request, chosen)
        chosen += idle[: max(0, min(most - least, len(idle) - n_after))]
        return table.lend(chosen, holder)

    def _wanted(self, other: Waiting) -> tuple[int, list[LeasableDevice]]:
        """Returns how many devices somebody needs, and which of ours would do."""
        if other.devices is None:
            return _least(other.request, self._devices), self._suited(other.request)
        able = [device for device in self._devices if device.uuid in other.devices]
        return min(other.request.least, len(other.devices)), able

    def _suited(self, request: DeviceRequest) -> list[LeasableDevice]:
        """Returns the GPUs, or the CPU where it is wanted or there is nothing else."""
        gpus = [device for device in self._devices if not device.is_cpu]
        cpus = [device for device in self._devices if device.is_cpu]
        return cpus if request.on_cpu or not gpus else gpus

    def _measure(self, request: DeviceRequest) -> dict[str, float | None]:
        """Returns how much memory is free, if anybody asks; others are not kept out for that."""
        if not request.vram_mib and not is_memory_asked_for(self._folder):
            return {}
        return {one.uuid: self._free_mib(one) for one in self._devices if not one.is_cpu}


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


def _describe(device: LeasableDevice) -> str:
    return f"{device.label} ({device.memory_mib} MiB)" if device.memory_mib else device.label
