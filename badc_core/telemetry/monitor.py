"""The state of a run, counted line by line from its telemetry log, in memory that does not grow.

Lines of other programs and of earlier schemas are read as far as possible. Reading a log is in
`log.py`, showing it in `badc_core/cli/monitor_tables.py`.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import (
    AliasPath,
    AwareDatetime,
    BaseModel,
    Field,
    Strict,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

_REMEMBERED = 10
_BARS = "▁▂▃▄▅▆▇█"


def _valid_or_none(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError:
        return None


def _at(*path: str) -> Any:
    """Returns a field that is at this path of a line; None where it is absent."""
    return Field(None, validation_alias=AliasPath(*path))


_Lenient = WrapValidator(_valid_or_none)
_Text = Annotated[str | None, Strict(), _Lenient]
_Number = Annotated[float | None, Strict(), _Lenient]
_Time = Annotated[AwareDatetime | None, _Lenient]
_METRICS = ("details", "gpu_metrics")


class Seen(BaseModel):
    """A telemetry line, as far as it can be shown; None is what it does not say.

    Attributes:
        process_vram_mib, peak_vram_mib: GPU memory of the worker, by NVML and by the detector.
    """

    status: Annotated[str, Strict()]
    chunk_id: Annotated[str, Strict()]
    worker_label: _Text = _at("worker")
    gpu_number: _Number = _at("gpu_index")
    gpu_name: _Text = None
    at: _Time = _at("timestamp")
    attempt_number: _Number = _at("attempt")
    attempt_in_details: _Number = _at("details", "attempt")
    will_retry: Annotated[bool | None, Strict(), _Lenient] = _at("details", "will_retry")
    runtime: _Number = _at("runtime_s")
    audio_s: _Number = None
    utilization_mean: _Number = _at(*_METRICS, "utilization_mean")
    utilization_max: _Number = _at(*_METRICS, "utilization_max")
    utilization_of: _Text = _at(*_METRICS, "utilization_of")
    process_vram_mib: _Number = _at(*_METRICS, "memory_used_mib")
    peak_vram_mib: _Number = _at("details", "peak_vram_mib")
    rss_mib: _Number = _at("details", "peak_rss_mib")
    error: _Text = None

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self | None:
        """Returns a line's content; None if it is not about an attempt."""
        try:
            return cls.model_validate(event)
        except ValidationError:
            return None

    @property
    def worker(self) -> str:
        """The worker's label; one made from the GPU's index if the line has none."""
        device = "cpu" if self.gpu_index is None else f"gpu-{self.gpu_index}"
        return self.worker_label or device

    @property
    def gpu_index(self) -> int | None:
        """The index of the GPU."""
        return None if self.gpu_number is None else int(self.gpu_number)

    @property
    def attempt(self) -> int:
        """1 for the first attempt."""
        return int(self.attempt_number or self.attempt_in_details or 1)

    @property
    def runtime_s(self) -> float | None:
        """How long the attempt took; None at its start."""
        return None if self.status == "start" else self.runtime

    @property
    def vram_mib(self) -> float | None:
        """GPU memory of the worker itself, never of all processes."""
        return self.peak_vram_mib if self.process_vram_mib is None else self.process_vram_mib


@dataclass
class Counts:
    """Attempts counted.

    Attributes:
        success: chunks ended with a result.
        failure: chunks given up.
        retry_attempts: attempts after a chunk's first.
        failed_attempts: attempts that failed, tried again or not.
        runtime_s: of all attempts that ended.
        audio_s: sound in the chunks that ended well.
    """

    success: int = 0
    failure: int = 0
    retry_attempts: int = 0
    failed_attempts: int = 0
    runtime_s: float = 0.0
    audio_s: float = 0.0

    @property
    def attempts(self) -> int:
        """Attempts that ended."""
        return self.success + self.failed_attempts

    def add(self, seen: Seen) -> None:
        """Counts an attempt that ended; starts are not counted."""
        if seen.status == "start":
            return
        is_success = seen.status == "success"
        self.success += is_success
        self.failed_attempts += not is_success
        self.failure += not is_success and not seen.will_retry
        self.retry_attempts += seen.attempt > 1
        self.runtime_s += seen.runtime_s or 0.0
        if is_success:
            self.audio_s += seen.audio_s or 0.0


@dataclass
class WorkerView:
    """The state of a worker.

    Attributes:
        events: lines it wrote, starts too.
        utilization_min, utilization_max: percent; the least mean and the greatest maximum of its
            attempts.
        vram_mib, rss_mib: the most that it used.
        utilizations, vrams_mib, rsss_mib, retries: of its last attempts, oldest first.
        last: its last line.
    """

    last: Seen
    events: int = 0
    counts: Counts = field(default_factory=Counts)
    utilization_min: float | None = None
    utilization_max: float | None = None
    vram_mib: float | None = None
    rss_mib: float | None = None
    utilizations: deque[float | None] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    vrams_mib: deque[float | None] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    rsss_mib: deque[float | None] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    retries: deque[float | None] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    _utilization_sum: float = 0.0
    _n_utilizations: int = 0

    @property
    def utilization_mean(self) -> float | None:
        """Percent, every measured attempt weighing the same."""
        return self._utilization_sum / self._n_utilizations if self._n_utilizations else None

    def add(self, seen: Seen) -> None:
        """Adds a line that this worker wrote."""
        self.last = seen
        self.events += 1
        self.counts.add(seen)
        if seen.status == "start":
            return
        self.retries.append(float(seen.attempt - 1))
        self.utilizations.append(seen.utilization_mean)
        self.vrams_mib.append(seen.vram_mib)
        self.rsss_mib.append(seen.rss_mib)
        self.vram_mib = _most(self.vram_mib, seen.vram_mib)
        self.rss_mib = _most(self.rss_mib, seen.rss_mib)
        if seen.utilization_mean is not None:
            self._utilization_sum += seen.utilization_mean
            self._n_utilizations += 1
            lowest = (self.utilization_min, seen.utilization_mean)
            self.utilization_min = min(one for one in lowest if one is not None)
            self.utilization_max = _most(
                self.utilization_max, _most(seen.utilization_mean, seen.utilization_max)
            )


class MonitorState:
    """Everything a monitor shows.

    Args:
        n_tail: how many of the last lines are kept.
    """

    def __init__(self, n_tail: int) -> None:
        self.counts = Counts()
        self.workers: dict[str, WorkerView] = {}
        self.tail: deque[Seen] = deque(maxlen=n_tail)
        self.first_at: datetime | None = None
        self.last_at: datetime | None = None

    def add(self, event: dict[str, Any]) -> None:
        """Adds a line; lines that are not about attempts are ignored."""
        seen = Seen.from_event(event)
        if seen is None:
            return
        self.counts.add(seen)
        if seen.worker not in self.workers:
            self.workers[seen.worker] = WorkerView(seen)
        self.workers[seen.worker].add(seen)
        self.tail.append(seen)
        if seen.at is not None:
            # Several processes write a log, so lines are not quite in order.
            self.first_at = min(self.first_at or seen.at, seen.at)
            self.last_at = max(self.last_at or seen.at, seen.at)

    @property
    def elapsed_s(self) -> float:
        """From the earliest line to the latest."""
        if self.first_at is None or self.last_at is None:
            return 0.0
        return max(0.0, (self.last_at - self.first_at).total_seconds())


def sparkline(values: Sequence[float | None], top: float) -> str:
    """Returns values as a row of bars, a space for None.

    Args:
        values: at least 0.
        top: the value of a full bar; at 0 every bar is the lowest.
    """
    return "".join(" " if one is None else _bar(one, top) for one in values)


def _bar(value: float, top: float) -> str:
    if top <= 0:
        return _BARS[0]
    return _BARS[min(len(_BARS) - 1, int(value / top * len(_BARS)))]


def _most(left: float | None, right: float | None) -> float | None:
    return max((one for one in (left, right) if one is not None), default=None)
