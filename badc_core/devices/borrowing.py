"""GPUs for work that no executor has lent any to: `badc run`, `badc infer run`.

It leases them as steps do, so that nobody gets onto a card that is taken; and waits where it must.
"""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from badc_core.devices.held import held_lease
from badc_core.devices.inventory import GpuInventory, find_gpus
from badc_core.devices.leasable import leasable_devices, read_declaration
from badc_core.devices.lease_files import lease_folder
from badc_core.devices.lease_request import DeviceRequest
from badc_core.devices.lease_table import Holder, Lease
from badc_core.devices.leases import LeaseStore, Refusal

_log = logging.getLogger(__name__)
_POLL_S = 0.25


@dataclass(frozen=True)
class BorrowedGpus:
    """What a piece of work may use.

    Attributes:
        inventory: the GPUs.
        descriptors: open files that hold the lease; whatever uses the GPUs should inherit them.
    """

    inventory: GpuInventory
    descriptors: tuple[int, ...] = ()


@contextmanager
def borrowed_gpus(
    request: DeviceRequest, work: str, inventory: GpuInventory | None = None
) -> Iterator[BorrowedGpus]:
    """Yields the GPUs to work on, leased for as long as that lasts.

    Where this process was lent devices already, those are all; where there is no GPU, none.

    Args:
        request: how many.
        work: what others are told of it.
        inventory: the GPUs to choose from; None for all that this process may use.

    Raises:
        ConfigInvalid: the machine does not have what is asked for, or the lease folder cannot be
            used.
    """
    inventory = inventory or find_gpus()
    if held_lease() is not None or not inventory.gpus:
        yield BorrowedGpus(inventory, held_descriptors())
        return
    folder = lease_folder()
    devices = leasable_devices(inventory, read_declaration(folder.parent))
    store = LeaseStore(folder, devices)
    store.check(request)
    lease = _wait(store, request, Holder(work, vram_mib=request.vram_mib))
    try:
        lent = {device.uuid for device in lease.devices}
        gpus = tuple(gpu for gpu in inventory.gpus if gpu.uuid in lent)
        yield BorrowedGpus(replace(inventory, gpus=gpus), lease.descriptors)
    finally:
        lease.release()


def held_descriptors() -> tuple[int, ...]:
    """Returns the open files of the lease this process was started under, if it has them."""
    held = held_lease()
    return tuple(one for one in held.descriptors if _is_open(one)) if held else ()


def _wait(store: LeaseStore, request: DeviceRequest, holder: Holder) -> Lease:
    """Returns a lease, however long it takes."""
    answer = store.take(request, holder)
    if isinstance(answer, Lease):
        return answer
    _log.warning("Work is %s. See: badc gpus", answer.reason)
    ticket = store.queue(request, holder)
    try:
        while isinstance(answer, Refusal):
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
