"""The lease this process works under, as whoever started it said.

A process that holds a lease passes it on to what it starts: descriptors, so that the devices are
free only when the last of them has ended, and a variable that says what they stand for.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Self

from badc_core.devices.inventory import VISIBLE
from badc_core.devices.lease_slots import Lease

LEASE_VARIABLE = "BADC_LEASE"
_own: "list[CurrentLease]" = []


@dataclass(frozen=True)
class CurrentLease:
    """Devices a piece of work may use.

    Attributes:
        devices: what CUDA_VISIBLE_DEVICES calls each, or `cpu`.
        slots: the slot on each, in words.
        waited_s: how long the work waited for them.
        descriptors: open files that hold the lease; empty where it is another process's business.
        leases_gpus: whether GPUs are lent here at all, be it to others.
    """

    devices: tuple[str, ...] = ()
    slots: tuple[str, ...] = ()
    waited_s: float = 0.0
    descriptors: tuple[int, ...] = ()
    leases_gpus: bool = False

    @classmethod
    def of(cls, lease: Lease, waited_s: float, leases_gpus: bool = False) -> Self:
        """Returns what there is to say of a lease."""
        return cls(
            tuple(slot.device.uuid for slot in lease.slots),
            tuple(f"{slot.device.label} slot {slot.number}" for slot in lease.slots),
            waited_s,
            lease.descriptors,
            leases_gpus,
        )

    @property
    def gpus(self) -> tuple[str, ...]:
        """Those of the devices that are GPUs."""
        return tuple(device for device in self.devices if device != "cpu")

    def environment(self) -> dict[str, str]:
        """Returns the variables that make a process see these devices, and nothing else."""
        return {
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            VISIBLE: ",".join(self.gpus),
            LEASE_VARIABLE: json.dumps(asdict(self)),
        }


@contextmanager
def using_lease(lease: CurrentLease) -> Iterator[None]:
    """Makes a lease that this process took itself the one it works under."""
    _own.append(lease)
    try:
        yield
    finally:
        _own.remove(lease)


def current_lease(environment: Mapping[str, str] | None = None) -> CurrentLease | None:
    """Returns the lease this process works under, its own or its starter's; None without one."""
    if _own and environment is None:
        return _own[-1]
    text = (os.environ if environment is None else environment).get(LEASE_VARIABLE)
    if not text:
        return None
    told = json.loads(text)
    lists = {name: tuple(told[name]) for name in ("devices", "slots", "descriptors")}
    return CurrentLease(**lists, waited_s=told["waited_s"], leases_gpus=told["leases_gpus"])
