"""The use of a GPU during an interval, computed from readings that `sampler.py` takes."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

_J_PER_WH = 3600.0
_ENOUGH_FOR_A_SLOPE = 2


@dataclass(frozen=True)
class Reading:
    """The state of a GPU at one moment; None for what NVML does not report.

    Attributes:
        at_s: on the monotonic clock.
        energy_j: since the driver was loaded.
        processes: pid -> MiB used.
        process_utilization: pid -> percent since the reading before; None if unknown.
    """

    at_s: float
    utilization: float | None = None
    memory_used_mib: float | None = None
    memory_total_mib: float | None = None
    power_w: float | None = None
    energy_j: float | None = None
    temperature_c: float | None = None
    sm_clock_mhz: float | None = None
    processes: dict[int, float | None] = field(default_factory=dict)
    process_utilization: dict[int, float] | None = None


@dataclass(frozen=True)
class GpuMetrics:
    """The use of a GPU by a worker during one attempt; None for what is not known.

    Attributes:
        samples: readings in that time; at 0 the nearest reading is used.
        utilization_mean, utilization_max: percent, for `utilization_of`.
        utilization_of: `process` for the worker's own share, `device` for all processes together.
        device_utilization_mean: percent, of all processes.
        memory_used_mib: the most that the worker's processes used at once.
        device_memory_used_mib: the most that all processes and the driver used.
        memory_total_mib: of the GPU.
        power_w_mean: of the whole board.
        energy_wh: of the whole board, also where several workers shared it.
        temperature_c_max: of the core.
        sm_clock_mhz_mean: of the multiprocessors.
    """

    samples: int
    utilization_mean: float | None
    utilization_max: float | None
    utilization_of: Literal["process", "device"]
    device_utilization_mean: float | None
    memory_used_mib: float | None
    device_memory_used_mib: float | None
    memory_total_mib: float | None
    power_w_mean: float | None
    energy_wh: float | None
    temperature_c_max: float | None
    sm_clock_mhz_mean: float | None


def summarize_readings(
    readings: Sequence[Reading], pids: Collection[int], started_s: float, finished_s: float
) -> GpuMetrics | None:
    """Returns the use between two times; None without any reading.

    Args:
        readings: by time; some before and after the interval make its energy exact.
        pids: the worker and its descendants.
        started_s: on the monotonic clock.
        finished_s: likewise.
    """
    if not readings:
        return None
    inside = [one for one in readings if started_s <= one.at_s <= finished_s]
    middle_s = (started_s + finished_s) / 2
    used = inside or [min(readings, key=lambda one: abs(one.at_s - middle_s))]
    of_device = _known([one.utilization for one in used])
    of_process = _process_utilization(used, pids)
    utilization = of_device if of_process is None else of_process
    power_w_mean = _mean(_known([one.power_w for one in used]))
    return GpuMetrics(
        samples=len(inside),
        utilization_mean=_mean(utilization),
        utilization_max=max(utilization, default=None),
        utilization_of="device" if of_process is None else "process",
        device_utilization_mean=_mean(of_device),
        memory_used_mib=max(_process_memory(used, pids), default=None),
        device_memory_used_mib=max(_known([one.memory_used_mib for one in used]), default=None),
        memory_total_mib=max(_known([one.memory_total_mib for one in used]), default=None),
        power_w_mean=power_w_mean,
        energy_wh=_energy_wh(readings, power_w_mean, started_s, finished_s),
        temperature_c_max=max(_known([one.temperature_c for one in used]), default=None),
        sm_clock_mhz_mean=_mean(_known([one.sm_clock_mhz for one in used])),
    )


def _known(values: Sequence[float | None]) -> list[float]:
    return [one for one in values if one is not None]


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _process_memory(readings: Sequence[Reading], pids: Collection[int]) -> list[float]:
    """Returns MiB used by the processes together, for each reading that has any of them."""
    used = [_known([mib for pid, mib in one.processes.items() if pid in pids]) for one in readings]
    return [sum(mib) for mib in used if mib]


def _process_utilization(readings: Sequence[Reading], pids: Collection[int]) -> list[float] | None:
    """Returns percent in each reading; None if the driver never lists the processes.

    It does not list a process that was idle since the reading before, which counts as 0.
    """
    reported = [one.process_utilization for one in readings if one.process_utilization is not None]
    if not any(pid in shares for shares in reported for pid in pids):
        return None
    return [min(100.0, sum(shares.get(pid, 0.0) for pid in pids)) for shares in reported]


def _energy_wh(
    readings: Sequence[Reading], power_w_mean: float | None, started_s: float, finished_s: float
) -> float | None:
    """Returns the energy used in an interval: from the counter, else from the mean power."""
    counted = [(one.at_s, one.energy_j) for one in readings if one.energy_j is not None]
    if len(counted) >= _ENOUGH_FOR_A_SLOPE:
        used_j = _counter_at(counted, finished_s) - _counter_at(counted, started_s)
        return max(0.0, used_j) / _J_PER_WH
    if power_w_mean is None:
        return None
    return power_w_mean * (finished_s - started_s) / _J_PER_WH


def _counter_at(counted: Sequence[tuple[float, float]], at_s: float) -> float:
    """Returns a counter's value at a time, on the line through the two readings beside it."""
    after = next((n for n, (read_s, _) in enumerate(counted) if read_s >= at_s), len(counted) - 1)
    after = max(1, after)
    (left_s, left_j), (right_s, right_j) = counted[after - 1], counted[after]
    return left_j + (right_j - left_j) * (at_s - left_s) / (right_s - left_s)
