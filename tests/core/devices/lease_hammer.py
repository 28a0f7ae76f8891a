"""A process that takes and gives back leases as fast as it can, and writes down what it holds.

`python lease_hammer.py FOLDER TRACE SEED SECONDS N_DEVICES SLOTS`. A line of the trace is a time,
an event, a process and what it is about; the clock is one that all processes share.
"""

import os
import random
import sys
import time
from pathlib import Path

from badc_core.devices.leasable import LeasableDevice
from badc_core.devices.lease_request import DeviceRequest, Holder
from badc_core.devices.lease_table import Lease
from badc_core.devices.leases import LeaseStore


def main(folder: str, trace: str, seed: str, seconds: str, n_devices: str, slots: str) -> None:
    chance = random.Random(int(seed))
    devices = [LeasableDevice(f"d{n}", f"d{n}", 0, int(slots)) for n in range(int(n_devices))]
    store = LeaseStore(Path(folder), devices)
    descriptor = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(event: str, *what: str) -> None:
        line = f"{time.monotonic_ns()} {event} {os.getpid()} {' '.join(what)}\n"
        os.write(descriptor, line.encode())

    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        least = chance.choice([1, 1, 1, 2, int(n_devices)])
        request = DeviceRequest(least, chance.choice([least, None]))
        lease = waited_for(store, request, write)
        what = [f"{slot.device.uuid}.{slot.number}" for slot in lease.slots]
        write("held", *what)
        time.sleep(chance.random() * 0.01)
        write("released", *what)
        lease.release()
        write("done")


def waited_for(store: LeaseStore, request: DeviceRequest, write) -> Lease:
    answer = store.acquire(request, Holder("hammer"))
    if isinstance(answer, Lease):
        return answer
    ticket = store.queue(request, Holder("hammer"))
    write("queued", str(request))
    while not isinstance(answer, Lease):
        time.sleep(0.002)
        answer = store.acquire(request, Holder("hammer"), ticket)
    return answer


if __name__ == "__main__":
    main(*sys.argv[1:])
