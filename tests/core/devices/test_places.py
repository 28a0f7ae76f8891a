import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badc_core.devices.inventory import Gpu, GpuInventory
from badc_core.devices.places import Place, plan_places
from badc_core.settings import InferenceSettings

NONE = GpuInventory((), "No NVIDIA driver is installed here")


def gpus(n: int) -> GpuInventory:
    return GpuInventory(tuple(Gpu(i, f"GPU-{i}", "Test", 1000) for i in range(n)), "")


def labels(inventory: GpuInventory, uses_gpu: bool = True, n_cores: int = 4, **settings) -> list:
    places = plan_places(InferenceSettings(**settings), inventory, uses_gpu, n_cores)
    return [place.label for place in places]


@pytest.mark.parametrize(
    ("n_gpus", "settings", "expected"),
    [
        (1, {}, ["gpu-0"]),
        (2, {}, ["gpu-0", "gpu-1"]),
        (2, {"workers_per_gpu": 2}, ["gpu-0", "gpu-1", "gpu-0.1", "gpu-1.1"]),
        (3, {"max_gpus": 1, "workers_per_gpu": 3}, ["gpu-0", "gpu-0.1", "gpu-0.2"]),
        (1, {"max_gpus": 8}, ["gpu-0"]),
        (1, {"cpu_workers": 2}, ["gpu-0", "cpu-0", "cpu-1"]),
        (0, {}, ["cpu-0", "cpu-1", "cpu-2", "cpu-3"]),
        (0, {"cpu_workers": 1}, ["cpu-0"]),
    ],
)
def test_places_are_laid_out_breadth_first(n_gpus, settings, expected) -> None:
    assert labels(gpus(n_gpus) if n_gpus else NONE, **settings) == expected


def test_a_detector_without_use_for_gpus_gets_the_cores() -> None:
    assert labels(gpus(2), uses_gpu=False, n_cores=2) == ["cpu-0", "cpu-1"]
    assert labels(gpus(2), uses_gpu=False, cpu_workers=3) == ["cpu-0", "cpu-1", "cpu-2"]


def test_labels_are_physical_indices() -> None:
    chosen = GpuInventory((Gpu(3, "GPU-3", "Test", 1), Gpu(1, "GPU-1", "Test", 1)), "")
    assert labels(chosen) == ["gpu-3", "gpu-1"]


def test_slices_of_one_gpu_have_labels_of_their_own() -> None:
    slices = GpuInventory((Gpu(0, "MIG-a", "T", 1), Gpu(0, "MIG-b", "T", 1)), "")
    assert labels(slices, workers_per_gpu=2) == ["gpu-0", "gpu-0.1", "gpu-0.2", "gpu-0.3"]


@given(st.integers(0, 9), st.integers(1, 4), st.integers(0, 9), st.integers(0, 9), st.booleans())
def test_there_is_always_a_place_and_no_label_twice(n, per_gpu, max_gpus, cpu, uses_gpu) -> None:
    settings = InferenceSettings(workers_per_gpu=per_gpu, max_gpus=max_gpus, cpu_workers=cpu)
    places = plan_places(settings, gpus(n), uses_gpu, 2)
    assert places
    assert len({place.label for place in places}) == len(places)
    on_gpu = [place.gpu.uuid for place in places if place.gpu]
    n_used = min(n, max_gpus or n) if uses_gpu else 0
    assert all(on_gpu.count(f"GPU-{i}") == per_gpu for i in range(n_used))
    assert len(on_gpu) == n_used * per_gpu


_TELL = (
    "import os; print(repr([os.environ[n] for n in ('CUDA_VISIBLE_DEVICES', 'CUDA_DEVICE_ORDER')]))"
)


@pytest.mark.parametrize(
    ("gpu", "expected"),
    [(Gpu(1, "GPU-b", "Test", 1), "GPU-b"), (Gpu(0, "MIG-a", "Test", 1), "MIG-a"), (None, "")],
)
def test_a_worker_sees_its_gpu_only(gpu, expected) -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "0,1", **Place("x", gpu).environment()}
    told = subprocess.check_output([sys.executable, "-c", _TELL], env=environment, text=True)
    assert told.strip() == repr([expected, "PCI_BUS_ID"])
