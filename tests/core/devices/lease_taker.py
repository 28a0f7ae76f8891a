"""A process that takes leases as it is told to: `python lease_taker.py FOLDER UUID:SLOTS ...`.

It reads a command a line and answers each with a line of JSON.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from badc_core.devices.leasable import LeasableDevice
from badc_core.devices.lease_request import DeviceRequest, Holder
from badc_core.devices.lease_table import Lease
from badc_core.devices.leases import LeaseStore


def main(folder: str, *devices: str) -> None:
    leased = []
    for text in devices:
        uuid, slots = text.split(":")
        leased.append(LeasableDevice(uuid, uuid, 0, int(slots)))
    taker = Taker(LeaseStore(Path(folder), leased))
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(getattr(taker, line.split()[0])(*line.split()[1:])), flush=True)


class Taker:
    def __init__(self, store: LeaseStore) -> None:
        self.store = store
        self.leases: list[Lease] = []
        self.ticket = None

    def take(self, devices: str) -> list[str] | str:
        answer = self.store.acquire(DeviceRequest.parse(devices), Holder("work"), self.ticket)
        if not isinstance(answer, Lease):
            return answer.reason
        self.leases.append(answer)
        return [f"{slot.device.uuid}.{slot.number}" for slot in answer.slots]

    def queue(self, devices: str) -> str:
        self.ticket = self.store.queue(DeviceRequest.parse(devices), Holder("waiting work"))
        return self.ticket.name

    def release(self) -> None:
        self.leases.pop().release()

    def start(self) -> int:
        """Starts a process that inherits the newest lease."""
        child = subprocess.Popen(
            ["sleep", "60"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=self.leases[-1].descriptors,
        )
        return child.pid

    def become(self, uid: str) -> int:
        os.setgroups([])
        os.setgid(int(uid))
        os.setuid(int(uid))
        os.umask(0o077)
        return os.getuid()


if __name__ == "__main__":
    main(*sys.argv[1:])
