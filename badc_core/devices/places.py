"""Where workers run: how many on each GPU and on the CPU, and which GPU each may see.

GPUs are found in `inventory.py`.
"""

import os
from collections import Counter
from dataclasses import dataclass

from badc_core.devices.inventory import VISIBLE, Gpu, GpuInventory
from badc_core.settings import InferenceSettings


@dataclass(frozen=True)
class Place:
    """Room for one worker.

    Attributes:
        label: `gpu-0` for the first worker on physical GPU 0, `gpu-0.1` for the second; `cpu-0`.
        gpu: the one it may use; None for the CPU.
        descriptors: open files of its lease, for the worker to inherit, so that a GPU stays leased
            while a worker uses it.
    """

    label: str
    gpu: Gpu | None
    descriptors: tuple[int, ...] = ()

    def environment(self) -> dict[str, str]:
        """Returns the variables that make a worker see its GPU only, or none."""
        return {
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            VISIBLE: self.gpu.uuid if self.gpu else "",
        }


def plan_places(
    settings: InferenceSettings,
    inventory: GpuInventory,
    uses_gpu: bool,
    n_cores: int,
    descriptors: tuple[int, ...] = (),
) -> tuple[Place, ...]:
    """Returns the places of all workers, at least one, the first of every GPU first."""
    n_gpus = settings.max_gpus or len(inventory.gpus)
    gpus = inventory.gpus[:n_gpus] if uses_gpu else ()
    places = []
    seen: Counter[int] = Counter()
    for _ in range(settings.workers_per_gpu):
        for gpu in gpus:
            places.append(Place(_label(gpu, seen[gpu.index]), gpu, descriptors))
            seen[gpu.index] += 1
    n_cpu_workers = settings.cpu_workers or (0 if gpus else max(1, n_cores))
    places += [Place(f"cpu-{number}", None, descriptors) for number in range(n_cpu_workers)]
    return tuple(places)


def _label(gpu: Gpu, number: int) -> str:
    return f"gpu-{gpu.index}.{number}" if number else f"gpu-{gpu.index}"


def usable_cores() -> int:
    """Returns how many CPU cores this process may run on, at least 1."""
    is_bound = hasattr(os, "sched_getaffinity")
    n_cores = len(os.sched_getaffinity(0)) if is_bound else os.cpu_count() or 1
    # A cluster need not bind jobs to the cores that it gives them.
    given = os.environ.get("SLURM_CPUS_ON_NODE", "")
    return min(n_cores, max(1, int(given))) if given.isdecimal() else n_cores
