"""Sums over the attempts of a run. The result of each chunk is in `summary.py`."""

from bisect import bisect_left
from dataclasses import dataclass, field

from badc_core.telemetry.attempts import Attempt

_SAME_STRETCH_S = 1.0


@dataclass(frozen=True)
class Totals:
    """A run in numbers; None for what was not measured.

    Attributes:
        chunks: that have ended.
        failed: of these, given up.
        retries: attempts after a chunk's first.
        resumed: chunks whose result existed from an interrupted run.
        audio_s: sound analysed by this run.
        detector_s: time workers spent on attempts, failed ones too.
        gpu_utilization_mean: percent, weighted by the duration of each attempt.
        peak_vram_mib: the most GPU memory that a worker used.
        energy_wh: of the GPUs, time shared by several workers counted once.
        peak_rss_mib: the most memory that a worker used.
    """

    chunks: int
    failed: int
    retries: int
    resumed: int
    audio_s: float
    detector_s: float
    gpu_utilization_mean: float | None
    peak_vram_mib: float | None
    energy_wh: float | None
    peak_rss_mib: float


@dataclass
class Tally:
    """Sums over attempts, whatever chunks they belong to."""

    retries: int = 0
    audio_s: float = 0.0
    detector_s: float = 0.0
    peak_rss_mib: float = 0.0
    peak_vram_mib: float | None = None
    energy_wh: float | None = None
    _busy_percent_s: float = 0.0
    _measured_s: float = 0.0
    _stretches: dict[str, "Stretches"] = field(default_factory=dict)

    def add(self, attempt: Attempt) -> None:
        """Counts an attempt that has ended."""
        self.retries += attempt.attempt > 1
        self.detector_s += attempt.runtime_s
        if attempt.status == "success":
            self.audio_s += attempt.audio_s
        details = attempt.details
        self.peak_rss_mib = max(self.peak_rss_mib, details.peak_rss_mib)
        self._add_vram(details.peak_vram_mib)
        metrics = details.gpu_metrics
        if metrics is None:
            return
        self._add_vram(metrics.memory_used_mib)
        if metrics.utilization_mean is not None:
            self._busy_percent_s += metrics.utilization_mean * attempt.runtime_s
            self._measured_s += attempt.runtime_s
        if metrics.energy_wh is not None:
            self.energy_wh = (self.energy_wh or 0.0) + metrics.energy_wh * self._own_share(attempt)

    @property
    def gpu_utilization_mean(self) -> float | None:
        """Percent, over all measured attempts."""
        return self._busy_percent_s / self._measured_s if self._measured_s > 0 else None

    def _add_vram(self, used_mib: float | None) -> None:
        if used_mib is not None:
            self.peak_vram_mib = max(used_mib, self.peak_vram_mib or 0.0)

    def _own_share(self, attempt: Attempt) -> float:
        """Returns the share of an attempt's time in which its GPU's energy was not counted yet."""
        if attempt.gpu is None or attempt.finished_at is None:
            return 1.0
        started_s, finished_s = attempt.started_at.timestamp(), attempt.finished_at.timestamp()
        if finished_s <= started_s:
            return 1.0
        stretches = self._stretches.setdefault(attempt.gpu.uuid, Stretches())
        return stretches.cover(started_s, finished_s) / (finished_s - started_s)


@dataclass
class Stretches:
    """Times that are covered, as disjoint intervals in order.

    Gaps of less than a second close once something lies on both sides, so that a long run does
    not leave an interval for every chunk.
    """

    starts_s: list[float] = field(default_factory=list)
    ends_s: list[float] = field(default_factory=list)

    def cover(self, start_s: float, end_s: float) -> float:
        """Covers an interval; returns how many seconds of it were not covered before."""
        first = bisect_left(self.ends_s, start_s - _SAME_STRETCH_S)
        last = bisect_left(self.starts_s, end_s + _SAME_STRETCH_S)
        touched = list(zip(self.starts_s[first:last], self.ends_s[first:last], strict=True))
        covered_s = sum(max(0.0, min(e, end_s) - max(s, start_s)) for s, e in touched)
        self.starts_s[first:last] = [min(start_s, *(s for s, _ in touched), start_s)]
        self.ends_s[first:last] = [max(end_s, *(e for _, e in touched), end_s)]
        return end_s - start_s - covered_s
