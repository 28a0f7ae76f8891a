"""The device of a stage: leased while it runs, or hidden from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from badc_core.devices.current_lease import (
    CurrentLease,
    current_lease,
    lease_descriptors,
    leased_gpus,
    unhidden_environment,
)
from badc_core.devices.lease_request import DeviceRequest


@dataclass(frozen=True)
class StageDevice:
    """The devices of a stage's process.

    Attributes:
        environment: variables that show it these devices only.
        descriptors: open files of the lease, which it inherits.
        lease: for people; empty without a lease.
    """

    environment: dict[str, str]
    descriptors: tuple[int, ...] = ()
    lease: str = ""


@contextmanager
def stage_device(needs_device: bool, work: str) -> Iterator[StageDevice]:
    """Yields a GPU of a stage's own, which waits for it if it must; or none.

    A step of Dagster has its lease already, unless only the stage's function knows that it needs
    one: that of a step without devices is empty. A machine without GPUs has none to lease.

    Raises:
        ConfigInvalid: the lease folder cannot be used.
    """
    if not needs_device:
        yield StageDevice(CurrentLease().environment())
        return
    with leased_gpus(DeviceRequest(), work, environment=unhidden_environment()):
        lease = current_lease()
        if lease is None:
            yield StageDevice({})
        else:
            yield StageDevice(lease.environment(), lease_descriptors(), ", ".join(lease.slots))
