"""How much memory a detector may use here: a GPU's, or what is left of the machine's."""

import os
import resource
from dataclasses import dataclass
from pathlib import Path

from badc_core.devices.inventory import Gpu, GpuInventory
from badc_core.errors import ConfigInvalid

SHARE = 0.8
"""Of the memory there is; the rest is for fragmentation and for others."""

_UNKNOWN_MIB = 4096.0
_MIB = 1 << 20


@dataclass(frozen=True)
class MemoryLimit:
    """Where a detector would run and how much it may use there.

    Attributes:
        mib: its share of the memory.
        gpu: None for the CPU.
    """

    mib: float
    gpu: Gpu | None = None

    @property
    def device(self) -> str:
        """Identifies the device."""
        return self.gpu.uuid if self.gpu else "cpu"


def find_limit(inventory: GpuInventory, gpu_index: int | None, uses_gpu: bool) -> MemoryLimit:
    """Returns the limit on a GPU; on the CPU where there is no GPU or it would not be used.

    Args:
        inventory: the GPUs this process may use.
        gpu_index: which, as `nvidia-smi` counts; None for number 0, or the CPU where no GPU is.
        uses_gpu: whether the detector can use one.

    Raises:
        ConfigInvalid: the GPU asked for is not here, or there is no number 0.
    """
    gpu = _find_gpu(inventory, gpu_index, uses_gpu)
    if gpu is None or not uses_gpu:
        return MemoryLimit(SHARE * _machine_mib())
    # A GPU that shares the machine's memory has none of its own.
    return MemoryLimit(SHARE * (gpu.memory_mib or _machine_mib()), gpu)


def _find_gpu(inventory: GpuInventory, gpu_index: int | None, uses_gpu: bool) -> Gpu | None:
    """Returns the GPU; None where none was asked for and none is needed or here."""
    if gpu_index is None and (not uses_gpu or not inventory.gpus):
        return None
    wanted = gpu_index or 0
    for gpu in inventory.gpus:
        if gpu.index == wanted:
            return gpu
    known = ", ".join(str(gpu.index) for gpu in inventory.gpus)
    remedy = f"Choose one of: {known}" if known else "Leave --gpu-index out, which asks for the CPU"
    raise ConfigInvalid(f"there is no GPU {wanted}", "--gpu-index", remedy)


def _machine_mib() -> float:
    """Returns the least of: memory free, this process's limits, its control group's limit."""
    own = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    known = [limit for limit in own if limit != resource.RLIM_INFINITY]
    known += filter(None, (_free_bytes(), _control_group_bytes()))
    return min(known) / _MIB if known else _UNKNOWN_MIB


def _free_bytes() -> int | None:
    """Returns what Linux says is available; elsewhere all there is."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def _control_group_bytes() -> int | None:
    """Returns what SLURM or a container allows (cgroup v2), less what is used.

    Source: Linux kernel documentation, "Control Group v2", memory.max and memory.current.
    """
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        (line,) = (one for one in lines if one.startswith("0::"))
        folder = Path("/sys/fs/cgroup") / line.removeprefix("0::/")
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = (folder / "memory.current").read_text(encoding="ascii").strip()
        return None if limit == "max" else max(1, int(limit) - int(used))
    except (OSError, ValueError):
        return None
