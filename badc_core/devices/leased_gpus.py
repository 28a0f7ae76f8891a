"""GPUs for work that no executor has lent any to: `badc run`, `badc infer run`.

It leases them as steps do, so that nobody gets onto a card that is taken; and waits where it must.
"""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from badc_core.devices.current_lease import CurrentLease, current_lease, using_lease
from badc_core.devices.inventory import VISIBLE, Gpu, GpuInventory, find_gpus
from badc_core.devices.leasable import DECLARATION, leasable_devices, read_declaration
from badc_core.devices.lease_files import lease_folder
from badc_core.devices.lease_request import DeviceRequest
from badc_core.devices.lease_slots import Holder, Lease
from badc_core.devices.leases import LeaseRefusal, LeaseStore
from badc_core.errors import ConfigInvalid

_log = logging.getLogger(__name__)
_POLL_S = 0.25


@dataclass(frozen=True)
class LeasedGpus:
    """What a piece of work may use.

    Attributes:
        inventory: the GPUs.
        descriptors: open files that hold the lease; whatever uses the GPUs should inherit them.
    """

    inventory: GpuInventory
    descriptors: tuple[int, ...] = ()

    def environment(self) -> dict[str, str]:
        """Returns the variables that show a program these GPUs only; nothing without any."""
        gpus = ",".join(gpu.uuid for gpu in self.inventory.gpus)
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", VISIBLE: gpus} if gpus else {}


@contextmanager
def leased_gpus(request: DeviceRequest, work: str, only: Gpu | None = None) -> Iterator[LeasedGpus]:
    """Yields the GPUs to work on, leased for as long as that lasts.

    Where this process was lent devices already, those are all; where no GPU is lent, none.

    Args:
        request: how many.
        work: what others are told of it.
        only: the one that is meant; None for any.

    Raises:
        ConfigInvalid: the machine does not have what is asked for, or the lease folder cannot be
            used.
    """
    inventory = find_gpus()
    held = current_lease()
    if held is not None:
        yield LeasedGpus(_known(inventory, held.gpus), lease_descriptors())
        return
    store = _store(inventory, only)
    if store is None:
        yield LeasedGpus(GpuInventory((), inventory.diagnosis))
        return
    store.check(request)
    started = time.monotonic()
    lease = _wait(store, request, Holder(work, vram_mib=request.vram_mib))
    own = CurrentLease.of(lease, round(time.monotonic() - started, 3), leases_gpus=True)
    try:
        with using_lease(own):
            yield LeasedGpus(_known(inventory, own.gpus), lease.descriptors)
    finally:
        lease.release()


def _store(inventory: GpuInventory, only: Gpu | None) -> LeaseStore | None:
    """Returns the leases of the GPUs that are lent here; None if none is."""
    try:
        folder = lease_folder()
    except ConfigInvalid:
        if inventory.gpus:
            raise
        return None
    lent = leasable_devices(inventory, read_declaration(folder.parent))
    gpus = [one for one in lent if not one.is_cpu and (only is None or one.uuid == only.uuid)]
    if only is not None and not gpus:
        raise ConfigInvalid(
            f"GPU {only.index} is not lent: it is not listed",
            folder.parent / DECLARATION,
            "List it there, or choose another",
        )
    return LeaseStore(folder, gpus) if gpus else None


def _known(inventory: GpuInventory, names: Sequence[str]) -> GpuInventory:
    """Returns those GPUs, in that order; one that NVML does not know is taken at its name."""
    found = {gpu.uuid: gpu for gpu in inventory.gpus}
    gpus = [found.get(name, Gpu(number, name, name, 0)) for number, name in enumerate(names)]
    return GpuInventory(tuple(gpus), "" if gpus else inventory.diagnosis)


def lease_descriptors() -> tuple[int, ...]:
    """Returns the open files of the lease this process was started under, if it has them."""
    held = current_lease()
    return tuple(one for one in held.descriptors if _is_open(one)) if held else ()


def _wait(store: LeaseStore, request: DeviceRequest, holder: Holder) -> Lease:
    """Returns a lease, however long it takes."""
    answer = store.take(request, holder)
    if isinstance(answer, Lease):
        return answer
    _log.warning("Work is %s. See: badc gpus", answer.reason)
    ticket = store.queue(request, holder)
    try:
        while isinstance(answer, LeaseRefusal):
            time.sleep(_POLL_S)
            answer = store.take(request, holder, ticket)
    finally:
        ticket.withdraw()
    return answer


def _is_open(descriptor: int) -> bool:
    """Tells whether a descriptor means something here; a program started by a step has none."""
    with suppress(OSError):
        os.fstat(descriptor)
        return True
    return False
