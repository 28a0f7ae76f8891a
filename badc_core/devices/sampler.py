"""Measuring GPUs twice a second while they work.

The metrics of an attempt are computed in `metrics.py`. Measuring never disturbs the work: a GPU
that cannot be read has no metrics.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Any, Self, TypeVar

from badc_core.devices.inventory import Gpu
from badc_core.devices.metrics import GpuMetrics, Reading, summarize_readings
from badc_core.devices.nvml import NO_PERMISSION, Handle, Nvml, NvmlFailed

_log = logging.getLogger(__name__)
_KEPT_S = 3600.0
_MARGIN_INTERVALS = 4
_SENSIBLE_PERCENT = range(101)
_MOST_GROUPS = 10_000

Answer = TypeVar("Answer")


class Sampler:
    """A thread that reads GPUs; use as a context manager. Without GPUs there is no thread.

    Args:
        gpus: those in use.
        nvml: the management library; None for the real one.
        interval_s: time between two readings.
    """

    def __init__(
        self, gpus: Iterable[Gpu], nvml: Nvml | None = None, interval_s: float = 0.5
    ) -> None:
        kept = max(2, round(_KEPT_S / interval_s))
        self._readings: dict[str, deque[Reading]] = {gpu.uuid: deque(maxlen=kept) for gpu in gpus}
        self._groups: dict[int, int] = {}
        self._nvml = nvml
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._readings:
            self._thread = threading.Thread(target=self._run, name="gpu-sampler", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            # A driver that hangs must not keep the run from ending.
            self._thread.join(timeout=10 * self._interval_s)
            self._thread = None

    def between(
        self,
        gpu: Gpu,
        pids: Collection[int],
        started_monotonic: float,
        finished_monotonic: float,
    ) -> GpuMetrics | None:
        """Returns the use of a GPU between two times; None without a reading near them.

        Args:
            gpu: one of those in use.
            pids: the workers; processes in their process groups count too.
            started_monotonic: seconds on `time.monotonic`.
            finished_monotonic: likewise.
        """
        margin_s = _MARGIN_INTERVALS * self._interval_s
        near: deque[Reading] = deque()
        with self._lock:
            for one in reversed(self._readings.get(gpu.uuid, ())):
                if one.at_s < started_monotonic - margin_s:
                    break
                if one.at_s <= finished_monotonic + margin_s:
                    near.appendleft(one)
            started = {pid for pid, group in self._groups.items() if group in pids}
        return summarize_readings(
            tuple(near), started.union(pids), started_monotonic, finished_monotonic
        )

    def _run(self) -> None:
        try:
            with self._nvml or Nvml() as nvml:
                watched = {uuid: _Watched(nvml, uuid) for uuid in self._readings}
                self._read(watched)
                while not self._stop.wait(self._interval_s):
                    self._read(watched)
        except NvmlFailed as error:
            _log.warning("GPUs are not measured: %s", error)
        except Exception:  # noqa: BLE001  (the top of a thread)
            _log.exception("GPUs are not measured any more")

    def _read(self, watched: "dict[str, _Watched]") -> None:
        for uuid, one in watched.items():
            reading = one.read()
            if reading is not None:
                groups = {pid: _process_group(pid) for pid in reading.processes}
                with self._lock:
                    self._readings[uuid].append(reading)
                    if len(self._groups) > _MOST_GROUPS:
                        self._groups.clear()
                    self._groups.update(groups)


class _Watched:
    """A GPU, and the calls that it refuses."""

    def __init__(self, nvml: Nvml, uuid: str) -> None:
        self._nvml = nvml
        self._uuid = uuid
        self._device: Handle | None = None
        self._refused: set[str] = set()
        self._has_complained = False
        self._seen_us = 0

    def read(self) -> Reading | None:
        """Returns the state of the GPU now; None if all calls fail."""
        if self._device is None:
            self._device = self._ask(self._nvml.find, self._uuid)
        if self._device is None:
            return None
        reading = self._ask_all(self._device)
        return None if reading == Reading(at_s=reading.at_s) else reading

    def _ask_all(self, device: Handle) -> Reading:
        nvml = self._nvml
        memory = self._ask(nvml.memory, device)
        return Reading(
            at_s=time.monotonic(),
            utilization=self._ask(nvml.utilization_percent, device),
            memory_used_mib=memory.used_mib if memory else None,
            memory_total_mib=memory.total_mib if memory else None,
            power_w=self._ask(nvml.power_w, device),
            energy_j=self._ask(nvml.energy_j, device),
            temperature_c=self._ask(nvml.temperature_c, device),
            sm_clock_mhz=self._ask(nvml.sm_clock_mhz, device),
            processes=self._ask(nvml.processes, device) or {},
            process_utilization=self._ask(self._process_utilization, device),
        )

    def _ask(self, question: Callable[[Any], Answer], of: Any) -> Answer | None:
        """Returns the result of a call, or None; unsupported calls are not repeated."""
        if question.__name__ in self._refused:
            return None
        try:
            return question(of)
        except NvmlFailed as error:
            if error.is_unsupported or error.code == NO_PERMISSION:
                self._refused.add(question.__name__)
            elif not self._has_complained:
                self._has_complained = True
                _log.warning("GPU %s cannot be measured completely: %s", self._uuid, error)
            return None

    def _process_utilization(self, device: Handle) -> dict[int, float]:
        """Returns pid -> mean percent of the driver's samples since the reading before."""
        shares: dict[int, list[int]] = {}
        newest_us = self._seen_us
        for sample in self._nvml.process_use(device, self._seen_us):
            newest_us = max(newest_us, sample.timestamp_us)
            # Drivers are known to return slots that they never filled in.
            if sample.timestamp_us > self._seen_us and sample.utilization_percent in (
                _SENSIBLE_PERCENT
            ):
                shares.setdefault(sample.pid, []).append(sample.utilization_percent)
        self._seen_us = newest_us
        return {pid: sum(percents) / len(percents) for pid, percents in shares.items()}


def _process_group(pid: int) -> int:
    """Returns the process group of a process; its pid once it has ended."""
    try:
        return os.getpgid(pid)
    except (ProcessLookupError, PermissionError):
        return pid
