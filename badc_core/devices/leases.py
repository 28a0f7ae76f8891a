"""Leases of devices, across all processes and users of a host.

A lease is a locked file for each slot of a device. A process that inherits the open file shares the
lease, so a device is free again as soon as the last process that uses it has ended.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from badc_core.devices.leasable import LeasableDevice
from badc_core.devices.lease_files import exclusive
from badc_core.devices.lease_queue import Ticket, Waiting, needs_memory, read_waiting
from badc_core.devices.lease_request import DeviceRequest, Holder
from badc_core.devices.lease_table import DeviceSlot, Lease, LeaseTable, may_ever_suit, read_slots
from badc_core.devices.nvml import Nvml, NvmlFailed
from badc_core.errors import ConfigInvalid, LeasesBusy

# Work that waits asks again soon, and may have other things to do meanwhile.
_MAX_ACQUIRE_S = 0.5


@dataclass(frozen=True)
class LeaseRefusal:
    """Why a request has to wait: a sentence without its full stop."""

    reason: str


class LeaseStore:
    """The slots of a host's devices.

    Args:
        folder: from `lease_files.lease_folder`.
        devices: those that can be leased.
        free_mib: measures the free memory of a device; returns None where it is unknown.
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
        able = [one for one in self._suitable(request) if may_ever_suit(one, request)]
        if len(able) < (n_needed := self._n_needed(request)):
            devices = ", ".join(
                f"{one.label} ({one.memory_mib} MiB)" if one.memory_mib else one.label
                for one in self._devices
            )
            raise ConfigInvalid(
                f"{request} needed, but only {len(able)} of {n_needed} such on this machine: "
                f"{devices}",
                remedy="Ask for fewer devices or less memory, or see badc gpus",
            )

    def acquire(
        self, request: DeviceRequest, holder: Holder, ticket: Ticket | None = None
    ) -> Lease | LeaseRefusal:
        """Leases devices unless other work goes first; does not wait.

        While another process keeps the folder locked for half a second, that is a refusal.

        Args:
            request: what is needed.
            holder: the work that needs it, for other users to see.
            ticket: its place in the queue; withdrawn if there is a lease.

        Raises:
            OSError: the folder cannot be used.
        """
        if ticket is not None:
            ticket.mark_active()
        free_mib = self._measure(request)
        try:
            with (
                exclusive(self._folder, _MAX_ACQUIRE_S),
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
        devices = [device.uuid for device in self._suitable(request)]
        return Ticket(self._folder, request, asdict(holder), devices)

    def look(self) -> tuple[list[DeviceSlot], list[Waiting]]:
        """Returns every slot with its holder, and the queue, oldest first.

        Slots that only other programs count are among them while they are leased.

        Raises:
            LeasesBusy: the folder is kept locked by another process.
            OSError: the folder cannot be used.
        """
        with exclusive(self._folder):
            slots = read_slots(self._folder, self._devices)
            return slots, [waiting for _, waiting in read_waiting(self._folder)]

    def _decide(
        self, table: LeaseTable, request: DeviceRequest, holder: Holder, ticket: Ticket | None
    ) -> Lease | LeaseRefusal:
        suitable = self._suitable(request)
        n_before = n_needed_after = 0
        for name, other in read_waiting(self._folder):
            n_other, able = self._needs(other)
            is_own = ticket is not None and name == ticket.name
            if is_own or not other.is_active or not set(able) & set(suitable):
                continue
            if ticket is None or name < ticket.name:
                n_before += 1
                table.reserve(able, other.request, n_other)
            else:
                n_needed_after += n_other
        n_needed = self._n_needed(request)
        chosen = table.choose(suitable, request, n_needed)
        if len(chosen) < n_needed:
            return LeaseRefusal(table.explain(suitable, request, n_before))
        most = len(suitable) if request.most is None else request.most
        idle = table.idle(suitable, request, chosen)
        chosen += idle[: max(0, min(most - n_needed, len(idle) - n_needed_after))]
        return table.lease(chosen, holder)

    def _needs(self, other: Waiting) -> tuple[int, list[LeasableDevice]]:
        """Returns how many devices waiting work needs, and which of these would do."""
        if other.devices is None:
            return self._n_needed(other.request), self._suitable(other.request)
        able = [device for device in self._devices if device.uuid in other.devices]
        return min(other.request.least, len(other.devices)), able

    def _n_needed(self, request: DeviceRequest) -> int:
        """Returns how many devices a request needs; there is one CPU."""
        return request.least if self.leases_gpus and not request.on_cpu else 1

    def _suitable(self, request: DeviceRequest) -> list[LeasableDevice]:
        """Returns the GPUs; the CPU if it is asked for, or there is nothing else."""
        on_cpu = request.on_cpu or not self.leases_gpus
        return [device for device in self._devices if device.is_cpu == on_cpu]

    def _measure(self, request: DeviceRequest) -> dict[str, float | None]:
        """Returns the free memory of GPUs if any work asks for memory; measured before locking."""
        if not request.vram_mib and not needs_memory(self._folder):
            return {}
        return {one.uuid: self._free_mib(one) for one in self._devices if not one.is_cpu}


def measured_free_mib(device: LeasableDevice) -> float | None:
    """Returns the free memory of a GPU; None where NVML does not say."""
    try:
        with Nvml() as nvml:
            memory = nvml.memory(nvml.find(device.uuid))
    except NvmlFailed:
        return None
    return memory.total_mib - memory.used_mib
