"""What GPUs did for a recording, summed over its chunks."""

from collections.abc import Iterable
from dataclasses import dataclass

from badc_core.engine.protocol import ChunkResult


@dataclass(frozen=True)
class GpuTotals:
    """What GPUs did for a recording; None where the driver does not say.

    Attributes:
        utilization_mean: percent, weighted by the time chunks took.
        memory_used_mib: the most that a worker used.
        energy_wh: of whole boards, for the time chunks took.
    """

    utilization_mean: float | None
    memory_used_mib: float | None
    energy_wh: float | None


def total_gpu_use(results: Iterable[ChunkResult]) -> GpuTotals | None:
    """Returns what GPUs did for chunks; None where no chunk ran on one."""
    on_gpu = [(one.gpu, one.runtime_s) for one in results if one.gpu is not None]
    if not on_gpu:
        return None
    busy = [(gpu.utilization_mean, s) for gpu, s in on_gpu if gpu.utilization_mean is not None]
    busy_s = sum(s for _, s in busy)
    memory = [gpu.memory_used_mib for gpu, _ in on_gpu if gpu.memory_used_mib is not None]
    energy = [gpu.energy_wh for gpu, _ in on_gpu if gpu.energy_wh is not None]
    return GpuTotals(
        sum(percent * s for percent, s in busy) / busy_s if busy_s else None,
        max(memory, default=None),
        sum(energy) if energy else None,
    )
