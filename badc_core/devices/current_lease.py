"""The devices that this process may use: leased by its parent, or now by itself.

A process passes its lease on to the processes it starts: as open files, so that the devices are
free only when the last of them has ended, and as a variable that describes the lease.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Self

from pydantic import TypeAdapter

from badc_core.devices.inventory import VISIBLE, Gpu, GpuInventory, find_gpus
from badc_core.devices.leasable import DECLARATION, leasable_devices, read_declaration
from badc_core.devices.lease_files import lease_folder
from badc_core.devices.lease_request import DeviceRequest, Holder
from badc_core.devices.lease_table import Lease
from badc_core.devices.leases import LeaseRefusal, LeaseStore
from badc_core.errors import ConfigInvalid

LEASE_VARIABLE = "BADC_LEASE"
_log = logging.getLogger(__name__)
_POLL_S = 0.25
_own: "list[CurrentLease]" = []


@dataclass(frozen=True)
class CurrentLease:
    """Devices that this process may use.

    Attributes:
        devices: the name of each in CUDA_VISIBLE_DEVICES, or `cpu`.
        slots: the slot on each, for people.
        waited_s: how long it waited for them.
        descriptors: open files of the lease; empty if only another process has them.
        leases_gpus: whether this machine has GPUs to lease at all.
        hides: what CUDA_VISIBLE_DEVICES was without the lease; None if it was not set.
    """

    devices: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()
    waited_s: float = 0.0
    descriptors: tuple[int, ...] = ()
    leases_gpus: bool = False
    hides: str | None = None

    @classmethod
    def of(cls, lease: Lease, waited_s: float, leases_gpus: bool = False) -> Self:
        """Returns the description of a lease."""
        return cls(
            tuple(slot.device.uuid for slot in lease.slots),
            tuple(f"{slot.device.label} slot {slot.number}" for slot in lease.slots),
            waited_s,
            lease.descriptors,
            leases_gpus,
        )

    @property
    def gpus(self) -> tuple[str, ...]:
        """The devices that are GPUs."""
        return tuple(device for device in self.devices if device != "cpu")

    def environment(self) -> dict[str, str]:
        """Returns the variables that make a process see these devices only."""
        return {
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            VISIBLE: ",".join(self.gpus),
            LEASE_VARIABLE: TypeAdapter(CurrentLease).dump_json(self).decode(),
        }


@dataclass(frozen=True)
class LeasedGpus:
    """The GPUs that work may use.

    Attributes:
        descriptors: open files of the lease, for the processes that use the GPUs to inherit.
    """

    inventory: GpuInventory
    descriptors: tuple[int, ...] = ()

    def environment(self) -> dict[str, str]:
        """Returns the variables that show a program these GPUs only; empty without GPUs."""
        gpus = ",".join(gpu.uuid for gpu in self.inventory.gpus)
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", VISIBLE: gpus} if gpus else {}


def current_lease(environment: Mapping[str, str] | None = None) -> CurrentLease | None:
    """Returns the lease of this process, its own or its parent's; None without a lease."""
    if _own and environment is None:
        return _own[-1]
    text = (os.environ if environment is None else environment).get(LEASE_VARIABLE)
    return TypeAdapter(CurrentLease).validate_json(text) if text else None


def lease_descriptors() -> tuple[int, ...]:
    """Returns the open files of the lease this process was started under, if it has them."""
    current = current_lease()
    return tuple(one for one in current.descriptors if _is_open(one)) if current else ()


def unhidden_environment() -> dict[str, str] | None:
    """Returns this process's variables as if it had no lease; None if it has one with devices."""
    current = current_lease()
    if current is None or current.devices:
        return None
    environment = dict(os.environ)
    del environment[LEASE_VARIABLE], environment[VISIBLE]
    return environment if current.hides is None else {**environment, VISIBLE: current.hides}


@contextmanager
def leased_gpus(
    request: DeviceRequest,
    work: str,
    only: Gpu | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[LeasedGpus]:
    """Yields GPUs, leased until the block ends; for work outside any executor.

    Waits for them if it must. A process with a lease gets the GPUs of that; a machine without GPUs
    to lease has none.

    Args:
        request: how many.
        work: what they are for, for other users to see.
        only: the one to use; None for any.
        environment: variables that say which GPUs and which lease there are; None for our own.

    Raises:
        ConfigInvalid: the machine does not have these GPUs, or the lease folder cannot be used.
    """
    inventory = find_gpus(environment)
    current = current_lease(environment)
    if current is not None:
        yield LeasedGpus(_select(inventory, current.gpus), lease_descriptors())
        return
    store = _gpu_store(inventory, only)
    if store is None:
        yield LeasedGpus(GpuInventory((), inventory.diagnosis))
        return
    store.check(request)
    started = time.monotonic()
    lease = _acquire(store, request, Holder(work, vram_mib=request.vram_mib))
    own = CurrentLease.of(lease, round(time.monotonic() - started, 3), leases_gpus=True)
    _own.append(own)
    try:
        yield LeasedGpus(_select(inventory, own.gpus), lease.descriptors)
    finally:
        _own.remove(own)
        lease.release()


def _gpu_store(inventory: GpuInventory, only: Gpu | None) -> LeaseStore | None:
    """Returns the leases of the GPUs that can be leased here; None if there are none."""
    try:
        folder = lease_folder()
    except ConfigInvalid:
        if inventory.gpus:
            raise
        return None
    devices = leasable_devices(inventory, read_declaration(folder.parent))
    gpus = [one for one in devices if not one.is_cpu and (only is None or one.uuid == only.uuid)]
    if only is not None and not gpus:
        raise ConfigInvalid(
            f"GPU {only.index} cannot be leased: it is not in the list",
            folder.parent / DECLARATION,
            "Add it there, or choose another",
        )
    return LeaseStore(folder, gpus) if gpus else None


def _acquire(store: LeaseStore, request: DeviceRequest, holder: Holder) -> Lease:
    """Returns a lease, however long that takes."""
    answer = store.acquire(request, holder)
    if isinstance(answer, Lease):
        return answer
    _log.warning("Work is %s. See: badc gpus", answer.reason)
    ticket = store.queue(request, holder)
    try:
        while isinstance(answer, LeaseRefusal):
            time.sleep(_POLL_S)
            answer = store.acquire(request, holder, ticket)
    finally:
        ticket.withdraw()
    return answer


def _select(inventory: GpuInventory, names: Sequence[str]) -> GpuInventory:
    """Returns the GPUs with these names, in order; a name that NVML does not know is its own."""
    found = {gpu.uuid: gpu for gpu in inventory.gpus}
    gpus = [found.get(name, Gpu(number, name, name, 0)) for number, name in enumerate(names)]
    return GpuInventory(tuple(gpus), "" if gpus else inventory.diagnosis)


def _is_open(descriptor: int) -> bool:
    """Returns whether a descriptor is open; it is not in a program that did not inherit it."""
    with suppress(OSError):
        os.fstat(descriptor)
        return True
    return False
