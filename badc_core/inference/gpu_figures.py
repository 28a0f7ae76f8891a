"""What GPUs did for a recording, summed over its chunks."""

from collections.abc import Iterable

from badc_core.engine.protocol import ChunkResult


def gpu_figures(results: Iterable[ChunkResult]) -> dict[str, float]:
    """Returns percent (weighted by time), most MiB of a worker and Wh of whole boards.

    What the driver does not say is left out, which is everything where no chunk ran on a GPU.
    """
    on_gpu = [(one.gpu, one.runtime_s) for one in results if one.gpu is not None]
    busy = [(gpu.utilization_mean, s) for gpu, s in on_gpu if gpu.utilization_mean is not None]
    busy_s = sum(s for _, s in busy)
    memory = [gpu.memory_used_mib for gpu, _ in on_gpu if gpu.memory_used_mib is not None]
    energy = [gpu.energy_wh for gpu, _ in on_gpu if gpu.energy_wh is not None]
    percent = (
        {"gpu_utilization_percent": sum(one * s for one, s in busy) / busy_s} if busy_s else {}
    )
    most = {"gpu_memory_mib": max(memory)} if memory else {}
    return {**percent, **most, **({"gpu_energy_wh": sum(energy)} if energy else {})}
