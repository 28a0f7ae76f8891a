"""The calls of NVIDIA's management library that BADC uses, with units and one kind of error.

The inventory of GPUs is in `inventory.py`, their measurement in `sampler.py`.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Self

from badc_core.errors import BadcError

Handle = Any
"""NVML's own pointer to a GPU or to a MIG slice of one."""

_BYTES_PER_MIB = 1024 * 1024
_SM_CLOCK = 1
_TEMPERATURE_OF_CORE = 0

NOT_SUPPORTED = 3
NO_PERMISSION = 4
NOT_FOUND = 6
DRIVER_NOT_LOADED = 9
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13
VERSION_MISMATCH = 18


class NvmlFailed(BadcError):
    """A call of NVML failed."""

    def __init__(self, what: str, code: int, call: str) -> None:
        super().__init__(what, call)
        self.code = code

    @property
    def is_unsupported(self) -> bool:
        """Whether this GPU or driver will never answer this question."""
        return self.code in {NOT_SUPPORTED, FUNCTION_NOT_FOUND}


@dataclass(frozen=True)
class Memory:
    """A GPU's memory."""

    used_mib: float
    total_mib: float


@dataclass(frozen=True)
class ProcessUse:
    """How busy one process kept a GPU's multiprocessors, as the driver sampled it.

    Attributes:
        timestamp_us: when, on the driver's clock.
    """

    pid: int
    timestamp_us: int
    utilization_percent: int


class Nvml:
    """NVML while it is open; use as a context manager. Every call may raise NvmlFailed.

    Args:
        library: the module `pynvml` or what behaves like it; None imports it.
    """

    def __init__(self, library: Any = None) -> None:
        self._library = import_module("pynvml") if library is None else library

    def __enter__(self) -> Self:
        self._call("nvmlInit")
        return self

    def __exit__(self, *_: object) -> None:
        self._call("nvmlShutdown")

    def n_gpus(self) -> int:
        """Returns how many GPUs the driver has."""
        return int(self._call("nvmlDeviceGetCount"))

    def gpu(self, index: int) -> Handle:
        """Returns the GPU at an index, in the order of PCI addresses."""
        return self._call("nvmlDeviceGetHandleByIndex", index)

    def find(self, uuid: str) -> Handle:
        """Returns the GPU or MIG slice with a UUID."""
        return self._call("nvmlDeviceGetHandleByUUID", uuid)

    def slices(self, gpu: Handle) -> list[Handle]:
        """Returns the MIG slices of a GPU; empty without MIG."""
        try:
            current_mode, _ = self._call("nvmlDeviceGetMigMode", gpu)
            n_slots = int(self._call("nvmlDeviceGetMaxMigDeviceCount", gpu)) if current_mode else 0
        except NvmlFailed as error:
            if error.is_unsupported:
                return []
            raise
        found = []
        for slot in range(n_slots):
            try:
                found.append(self._call("nvmlDeviceGetMigDeviceHandleByIndex", gpu, slot))
            except NvmlFailed as error:
                if error.code != NOT_FOUND:
                    raise
        return found

    def uuid(self, device: Handle) -> str:
        """Returns a device's name in CUDA_VISIBLE_DEVICES: `GPU-...` or `MIG-...`."""
        return str(self._call("nvmlDeviceGetUUID", device))

    def name(self, device: Handle) -> str:
        """Returns the model, such as `NVIDIA H100 80GB HBM3`."""
        return str(self._call("nvmlDeviceGetName", device))

    def memory(self, device: Handle) -> Memory:
        """Returns the memory of a device, used by all processes together."""
        memory = self._call("nvmlDeviceGetMemoryInfo", device)
        return Memory(memory.used / _BYTES_PER_MIB, memory.total / _BYTES_PER_MIB)

    def utilization_percent(self, device: Handle) -> float:
        """Returns the share of the driver's last sampling period in which any kernel ran."""
        return float(self._call("nvmlDeviceGetUtilizationRates", device).gpu)

    def power_w(self, device: Handle) -> float:
        """Returns the power drawn by the board."""
        return float(self._call("nvmlDeviceGetPowerUsage", device)) / 1000

    def energy_j(self, device: Handle) -> float:
        """Returns the energy used since the driver was loaded."""
        return float(self._call("nvmlDeviceGetTotalEnergyConsumption", device)) / 1000

    def temperature_c(self, device: Handle) -> float:
        """Returns the temperature of the GPU's core."""
        return float(self._call("nvmlDeviceGetTemperature", device, _TEMPERATURE_OF_CORE))

    def sm_clock_mhz(self, device: Handle) -> float:
        """Returns the clock of the multiprocessors."""
        return float(self._call("nvmlDeviceGetClockInfo", device, _SM_CLOCK))

    def processes(self, device: Handle) -> dict[int, float | None]:
        """Returns pid -> MiB used, of the processes computing on a device; None if unknown."""
        # By version: the call without one is an error of another kind where the driver is old.
        try:
            running = self._call("nvmlDeviceGetComputeRunningProcesses_v3", device)
        except NvmlFailed as error:
            if error.code != FUNCTION_NOT_FOUND:
                raise
            running = self._call("nvmlDeviceGetComputeRunningProcesses_v2", device)
        return {
            one.pid: None if one.usedGpuMemory is None else one.usedGpuMemory / _BYTES_PER_MIB
            for one in running
        }

    def process_use(self, device: Handle, since_us: int) -> list[ProcessUse]:
        """Returns the driver's samples of processes after a time on its clock."""
        try:
            samples = self._call("nvmlDeviceGetProcessUtilization", device, since_us)
        except NvmlFailed as error:
            if error.code == NOT_FOUND:
                return []
            raise
        return [ProcessUse(one.pid, one.timeStamp, one.smUtil) for one in samples]

    def _call(self, call: str, *arguments: Any) -> Any:
        try:
            return getattr(self._library, call)(*arguments)
        except self._library.NVMLError as error:
            raise NvmlFailed(str(error), error.value, call) from error
