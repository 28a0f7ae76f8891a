"""Attempts as the engine would make them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from badc_core.devices.inventory import Gpu
from badc_core.devices.metrics import GpuMetrics
from badc_core.telemetry.attempts import Attempt, AttemptDetails

GPU = Gpu(0, "GPU-aaaa", "NVIDIA Test 80GB", 81_559)
START = datetime(2026, 5, 1, 6, 0, tzinfo=UTC)
METRICS = GpuMetrics(
    samples=4,
    utilization_mean=50.0,
    utilization_max=75.0,
    utilization_of="process",
    device_utilization_mean=60.0,
    memory_used_mib=2000.0,
    device_memory_used_mib=5743.0,
    memory_total_mib=81_559.0,
    power_w_mean=300.0,
    energy_wh=0.5,
    temperature_c_max=55.0,
    sm_clock_mhz_mean=1700.0,
)


def make(chunk_id: str = "rec_1_000000", status: str = "success", **changes: Any) -> Attempt:
    """Returns an attempt; `started_s` after six o'clock, and fields of its details by name."""
    on_gpu = changes.pop("on_gpu", False)
    started_at = START + timedelta(seconds=changes.pop("started_s", 0.0))
    known = AttemptDetails.__dataclass_fields__
    told = {key: changes.pop(key) for key in list(changes) if key in known}
    details = AttemptDetails(runner="band_energy", peak_rss_mib=400.0)
    if on_gpu:
        details = replace(details, gpu_metrics=METRICS)
    runtime_s = changes.pop("runtime_s", 2.0)
    is_start = status == "start"
    fields: dict[str, Any] = {
        "recording_id": "rec_1",
        "worker": "gpu-0" if on_gpu else "cpu-0",
        "gpu": GPU if on_gpu else None,
        "attempt": 1,
        "started_at": started_at,
        "finished_at": None if is_start else started_at + timedelta(seconds=runtime_s),
        "runtime_s": 0.0 if is_start else runtime_s,
        "audio_s": 60.0,
        "detections": 3 if status == "success" else 0,
        "error": "it broke" if status == "failure" else None,
        **changes,
    }
    return Attempt(chunk_id, status=status, details=replace(details, **told), **fields)


@pytest.fixture(scope="session")
def attempt() -> Callable[..., Attempt]:
    return make
