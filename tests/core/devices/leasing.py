"""Devices to lease, who leases them, and short questions about leases."""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from badc_core.devices.leasable import LeasableDevice
from badc_core.devices.lease_request import DeviceRequest
from badc_core.devices.lease_table import Lease

TAKER = Path(__file__).with_name("lease_taker.py")
A, B, C, D = (LeasableDevice(name, name) for name in "abcd")
CPU = LeasableDevice("cpu", "cpu")
ONE = DeviceRequest()


class Taker:
    """Another process, which takes leases as it is told to."""

    def __init__(self, folder: Path, *devices: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, TAKER, folder, *devices],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        assert self._answer() == "ready"

    def __call__(self, command: str):
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self):
        return json.loads(self._process.stdout.readline())

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


def got(answer) -> list[str]:
    assert isinstance(answer, Lease), answer
    return [device.uuid for device in answer.devices]


def open_in(folder: Path) -> list[int]:
    """Returns this process's descriptors of files in a folder."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            if path.readlink().is_relative_to(folder):
                found.append(int(path.name))
    return found
