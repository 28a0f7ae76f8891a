"""The few questions BADC asks NVIDIA's management library, with units and one kind of error.

What is made of the answers is in `inventory.py` (which GPUs there are) and `sampler.py` (what they
are doing).
"""

from dataclasses import dataclass
from importlib import import_module
from types import TracebackType
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
    """NVML did not answer.

    Args:
        what: in NVML's words.
        code: in NVML's numbers.
        call: which question.
    """

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
        self._ask("nvmlInit")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ask("nvmlShutdown")

    def n_gpus(self) -> int:
        """Returns how many GPUs the driver has."""
        return int(self._ask("nvmlDeviceGetCount"))

    def gpu(self, index: int) -> Handle:
        """Returns the GPU at an index, in the order of PCI addresses."""
        return self._ask("nvmlDeviceGetHandleByIndex", index)

    def find(self, uuid: str) -> Handle:
        """Returns the GPU or MIG slice with a UUID."""
        return self._ask("nvmlDeviceGetHandleByUUID", uuid)

    def slices(self, gpu: Handle) -> list[Handle]:
        """Returns the MIG slices of a GPU; empty where it is not cut up."""
        try:
            current_mode, _ = self._ask("nvmlDeviceGetMigMode", gpu)
            n_slots = int(self._ask("nvmlDeviceGetMaxMigDeviceCount", gpu)) if current_mode else 0
        except NvmlFailed as error:
            if error.is_unsupported:
                return []
            raise
        found = []
        for slot in range(n_slots):
            try:
                found.append(self._ask("nvmlDeviceGetMigDeviceHandleByIndex", gpu, slot))
            except NvmlFailed as error:
                if error.code != NOT_FOUND:
                    raise
        return found

    def uuid(self, device: Handle) -> str:
        """Returns what CUDA_VISIBLE_DEVICES may call a device: `GPU-...` or `MIG-...`."""
        return str(self._ask("nvmlDeviceGetUUID", device))

    def name(self, device: Handle) -> str:
        """Returns the model, such as `NVIDIA H100 80GB HBM3`."""
        return str(self._ask("nvmlDeviceGetName", device))

    def memory(self, device: Handle) -> Memory:
        """Returns the memory of a device, used by whomever."""
        told = self._ask("nvmlDeviceGetMemoryInfo", device)
        return Memory(told.used / _BYTES_PER_MIB, told.total / _BYTES_PER_MIB)

    def utilization_percent(self, device: Handle) -> float:
        """Returns the share of the driver's last sampling period in which any kernel ran."""
        return float(self._ask("nvmlDeviceGetUtilizationRates", device).gpu)

    def power_w(self, device: Handle) -> float:
        """Returns the power drawn by the board."""
        return float(self._ask("nvmlDeviceGetPowerUsage", device)) / 1000

    def energy_j(self, device: Handle) -> float:
        """Returns the energy used since the driver was loaded."""
        return float(self._ask("nvmlDeviceGetTotalEnergyConsumption", device)) / 1000

    def temperature_c(self, device: Handle) -> float:
        """Returns the temperature of the GPU's core."""
        return float(self._ask("nvmlDeviceGetTemperature", device, _TEMPERATURE_OF_CORE))

    def sm_clock_mhz(self, device: Handle) -> float:
        """Returns the clock of the multiprocessors."""
        return float(self._ask("nvmlDeviceGetClockInfo", device, _SM_CLOCK))

    def processes(self, device: Handle) -> dict[int, float | None]:
        """Returns pid -> MiB held, of the processes computing on a device; None where untold."""
        # By version: the call without one is an error of another kind where the driver is old.
        try:
            running = self._ask("nvmlDeviceGetComputeRunningProcesses_v3", device)
        except NvmlFailed as error:
            if error.code != FUNCTION_NOT_FOUND:
                raise
            running = self._ask("nvmlDeviceGetComputeRunningProcesses_v2", device)
        return {
            one.pid: None if one.usedGpuMemory is None else one.usedGpuMemory / _BYTES_PER_MIB
            for one in running
        }

    def process_use(self, device: Handle, since_us: int) -> list[ProcessUse]:
        """Returns what the driver sampled of processes after a time on its clock."""
        try:
            samples = self._ask("nvmlDeviceGetProcessUtilization", device, since_us)
        except NvmlFailed as error:
            if error.code == NOT_FOUND:
                return []
            raise
        return [ProcessUse(one.pid, one.timeStamp, one.smUtil) for one in samples]

    def _ask(self, call: str, *arguments: Any) -> Any:
        try:
            return getattr(self._library, call)(*arguments)
        except self._library.NVMLError as error:
            raise NvmlFailed(str(error), error.value, call) from error
