"""A lease folder, and a stand-in for the module `pynvml`, for GPUs that are not here."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest
from leasing import Taker

from badc_core.devices.lease_files import FOLDER_VARIABLE, lease_folder

MIB = 1024 * 1024


@dataclass
class Device:
    uuid: str
    name: str = "NVIDIA Test 80GB"
    total_mib: int = 81_559
    used_mib: int = 600
    utilization: int = 40
    power_mw: int = 300_000
    energy_mj: int | None = 1_000_000
    temperature_c: int = 55
    clock_mhz: int = 1_700
    held_mib: dict[int, int | None] = field(default_factory=dict)
    shares: list[tuple[int, int, int]] | None = None
    slices: list["Device | None"] = field(default_factory=list)
    is_forbidden: bool = False
    failure: int | None = None
    questions: list[str] = field(default_factory=list)


class FakeLibrary:
    """Answers as the driver would; `shares` are (pid, timestamp_us, percent)."""

    NVMLError = pynvml.NVMLError

    def __init__(
        self, *devices: Device, init_failure: int | None = None, is_old: bool = False
    ) -> None:
        self.devices = devices
        self.is_old = is_old
        self.init_failure = init_failure
        self.n_open = 0

    def nvmlInit(self) -> None:  # noqa: N802
        if self.init_failure is not None:
            raise pynvml.NVMLError(self.init_failure)
        self.n_open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.n_open -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.devices)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Device:  # noqa: N802
        if self.devices[index].is_forbidden:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)
        return self.devices[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Device:  # noqa: N802
        for device in self.devices:
            for one in (device, *device.slices):
                if one is not None and one.uuid == uuid:
                    return one
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)

    def nvmlDeviceGetMigMode(self, device: Device) -> list[int]:  # noqa: N802
        if not device.slices:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return [1, 1]

    def nvmlDeviceGetMaxMigDeviceCount(self, device: Device) -> int:  # noqa: N802
        return len(device.slices)

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: Device, slot: int) -> Device:  # noqa: N802
        found = device.slices[slot]
        if found is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return found

    def nvmlDeviceGetUUID(self, device: Device) -> str:  # noqa: N802
        return device.uuid

    def nvmlDeviceGetName(self, device: Device) -> str:  # noqa: N802
        return device.name

    def nvmlDeviceGetMemoryInfo(self, device: Device) -> SimpleNamespace:  # noqa: N802
        self._ask(device, "memory")
        if not device.total_mib:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return SimpleNamespace(used=device.used_mib * MIB, total=device.total_mib * MIB)

    def nvmlDeviceGetUtilizationRates(self, device: Device) -> SimpleNamespace:  # noqa: N802
        self._ask(device, "utilization")
        return SimpleNamespace(gpu=device.utilization, memory=5)

    def nvmlDeviceGetPowerUsage(self, device: Device) -> int:  # noqa: N802
        self._ask(device, "power")
        return device.power_mw

    def nvmlDeviceGetTotalEnergyConsumption(self, device: Device) -> int:  # noqa: N802
        self._ask(device, "energy")
        if device.energy_mj is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return device.energy_mj

    def nvmlDeviceGetTemperature(self, device: Device, sensor: int) -> int:  # noqa: N802
        assert sensor == pynvml.NVML_TEMPERATURE_GPU
        self._ask(device, "temperature")
        return device.temperature_c

    def nvmlDeviceGetClockInfo(self, device: Device, clock: int) -> int:  # noqa: N802
        assert clock == pynvml.NVML_CLOCK_SM
        self._ask(device, "clock")
        return device.clock_mhz

    def nvmlDeviceGetComputeRunningProcesses_v3(self, device: Device) -> list[SimpleNamespace]:  # noqa: N802
        self._ask(device, "processes")
        if self.is_old:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
        return self.nvmlDeviceGetComputeRunningProcesses_v2(device)

    def nvmlDeviceGetComputeRunningProcesses_v2(self, device: Device) -> list[SimpleNamespace]:  # noqa: N802
        return [
            SimpleNamespace(pid=pid, usedGpuMemory=None if held is None else held * MIB)
            for pid, held in device.held_mib.items()
        ]

    def nvmlDeviceGetProcessUtilization(self, device: Device, since_us: int) -> list:  # noqa: N802
        self._ask(device, "shares")
        if device.shares is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        new = [one for one in device.shares if one[1] > since_us]
        if not new:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return [SimpleNamespace(pid=pid, timeStamp=at, smUtil=use) for pid, at, use in new]

    def _ask(self, device: Device, question: str) -> None:
        device.questions.append(question)
        if device.failure is not None:
            raise pynvml.NVMLError(device.failure)


@pytest.fixture
def device() -> type[Device]:
    return Device


@pytest.fixture
def library() -> Callable[..., FakeLibrary]:
    return FakeLibrary


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Returns where leases of this test are kept, by every process that it starts."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "leases"))
    return lease_folder()


@pytest.fixture
def taker(folder) -> Iterator[Callable[..., Taker]]:
    """Yields what starts another process that takes leases; it ends with the test."""
    takers = []

    def start(*devices: str) -> Taker:
        takers.append(Taker(folder, *devices))
        return takers[-1]

    yield start
    for one in takers:
        one.kill()
