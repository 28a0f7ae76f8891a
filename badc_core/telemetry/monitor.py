"""What a telemetry log says of a run so far: counted line by line, in memory that does not grow.

Lines of other programs and of earlier schemas are understood as far as they go. Where lines come
from is in `log.py`; how it looks is in `badc_core/cli/monitor_tables.py`.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

_REMEMBERED = 10
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Seen:
    """A telemetry line, as far as it can be shown; None is what it does not say.

    Attributes:
        worker: its label; for lines without one, made from the GPU's index.
        vram_mib: GPU memory held by the worker itself, never by everybody.
    """

    status: str
    chunk_id: str
    worker: str
    gpu_index: int | None
    gpu_name: str | None
    at: datetime | None
    attempt: int
    will_retry: bool
    runtime_s: float | None
    audio_s: float | None
    utilization_mean: float | None
    utilization_max: float | None
    utilization_of: str
    vram_mib: float | None
    rss_mib: float | None
    error: str | None

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> Self | None:
        """Returns a line's content; None if it is not about an attempt."""
        status, chunk_id = event.get("status"), event.get("chunk_id")
        if not isinstance(status, str) or not isinstance(chunk_id, str):
            return None
        details = _mapping(event.get("details"))
        metrics = _mapping(details.get("gpu_metrics"))
        gpu_index = _number(event.get("gpu_index"))
        vram_mib = _number(metrics.get("memory_used_mib"))
        attempt = _number(event.get("attempt")) or _number(details.get("attempt")) or 1
        return cls(
            status=status,
            chunk_id=chunk_id,
            worker=_text(event.get("worker")) or _worker_on(gpu_index),
            gpu_index=None if gpu_index is None else int(gpu_index),
            gpu_name=_text(event.get("gpu_name")),
            at=_time(event.get("timestamp")),
            attempt=int(attempt),
            will_retry=details.get("will_retry") is True,
            runtime_s=None if status == "start" else _number(event.get("runtime_s")),
            audio_s=_number(event.get("audio_s")),
            utilization_mean=_number(metrics.get("utilization_mean")),
            utilization_max=_number(metrics.get("utilization_max")),
            utilization_of=_text(metrics.get("utilization_of")) or "",
            vram_mib=_number(details.get("peak_vram_mib")) if vram_mib is None else vram_mib,
            rss_mib=_number(details.get("peak_rss_mib")),
            error=_text(event.get("error")),
        )


@dataclass
class Counts:
    """Attempts counted.

    Attributes:
        success: chunks ended with a result.
        failure: chunks given up.
        retry_attempts: attempts after a chunk's first, begun or ended once.
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
        """Counts an attempt that ended; beginnings are not counted."""
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
    """What is shown of a worker.

    Attributes:
        events: lines it wrote, beginnings too.
        utilization_min, utilization_max: percent; the least mean and the greatest maximum of its
            attempts.
        vram_mib, rss_mib: most held.
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
        """Takes note of a line this worker wrote."""
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
        """Takes note of a line; one that is not about an attempt is left out."""
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


def _worker_on(gpu_index: float | None) -> str:
    return "cpu" if gpu_index is None else f"gpu-{int(gpu_index)}"


def _most(left: float | None, right: float | None) -> float | None:
    return max((one for one in (left, right) if one is not None), default=None)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None


def _time(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None
