"""What detecting came to: of one recording, and of the chunks that failed in a whole step.

Making it is in `detect.py`.
"""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from badc_core.detectors.interface import DetectorIdentity
from badc_core.engine.protocol import ChunkResult
from badc_core.tolerance import is_tolerated

_SHOWN = 10


@dataclass(frozen=True)
class GpuTotals:
    """What GPUs did for a recording; None is what they did not tell.

    Attributes:
        utilization_mean: percent, weighted by the time chunks took.
        memory_used_mib: most held by a worker.
        energy_wh: of whole boards, for the time chunks took.
    """

    utilization_mean: float | None
    memory_used_mib: float | None
    energy_wh: float | None


@dataclass(frozen=True)
class DetectionsResult:
    """What detecting in one recording gave.

    Attributes:
        table: the detections, as written.
        effort_s: seconds analysed.
        detector_s: seconds workers spent, summed over chunks.
        results: of its chunks, in order.
        is_final: whether so few chunks failed that the result stands as it is; if not, they will
            be tried again.
    """

    table: pa.Table
    detector: DetectorIdentity
    effort_s: float
    detector_s: float
    results: tuple[ChunkResult, ...]
    is_final: bool

    @property
    def failed(self) -> tuple[ChunkResult, ...]:
        """The chunks without a result."""
        return tuple(one for one in self.results if one.error is not None)

    @property
    def n_resumed(self) -> int:
        """How many chunks an earlier run had analysed."""
        return sum(one.is_resumed for one in self.results)

    @property
    def n_retries(self) -> int:
        """How often a chunk was tried again."""
        return sum(one.attempt - 1 for one in self.results)

    @property
    def workers(self) -> tuple[str, ...]:
        """Labels of the workers involved, sorted."""
        return tuple(sorted({one.worker for one in self.results}))

    @property
    def peak_rss_mib(self) -> float:
        """Of the largest worker involved."""
        return max(one.peak_rss_mib for one in self.results)

    @property
    def gpu_totals(self) -> GpuTotals | None:
        """What GPUs did; None where no chunk ran on one."""
        on_gpu = [(one.gpu, one.runtime_s) for one in self.results if one.gpu is not None]
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

    @property
    def n_species(self) -> int:
        """Distinct species; other sounds do not count."""
        return len(pc.unique(self.table["scientific_name"]).drop_null())

    def top_labels(self, n: int) -> list[tuple[str, int, float]]:
        """Returns the most frequent labels with their count and best confidence."""
        names = self.table["label_name"].to_pylist()
        best: dict[str, float] = {}
        for name, confidence in zip(names, self.table["confidence"].to_pylist(), strict=True):
            best[name] = max(best.get(name, 0.0), confidence)
        ranked = sorted(Counter(names).items(), key=lambda one: (-one[1], one[0]))
        return [(name, count, best[name]) for name, count in ranked[:n]]


class FailedChunks:
    """Counts chunks without a result over a whole step, and says when they are too many.

    Args:
        tolerated_fraction: how many may fail.
    """

    def __init__(self, tolerated_fraction: float) -> None:
        self._tolerated = tolerated_fraction
        self._n_chunks = 0
        self._failed: list[ChunkResult] = []

    def add(self, made: DetectionsResult) -> None:
        """Counts a recording's chunks."""
        self._n_chunks += len(made.results)
        self._failed += made.failed

    def complaint(self) -> str:
        """Returns what to say of them; empty where they are within bounds."""
        n_failed = len(self._failed)
        if is_tolerated(n_failed, self._tolerated, self._n_chunks):
            return ""
        some = [f"  {_named(one)}" for one in self._failed[:_SHOWN]]
        more = [f"  and {n_failed - _SHOWN} more"] if n_failed > _SHOWN else []
        head = (
            f"{n_failed} of {self._n_chunks} chunks failed, more than "
            f"inference.max_failed_fraction = {self._tolerated:g} tolerates. Everything else is "
            "kept; run again to try just these:"
        )
        return "\n".join([head, *some, *more])


def _named(failed: ChunkResult) -> str:
    """Returns why a chunk failed, saying once which it is."""
    told, chunk_id = str(failed.error), failed.chunk.chunk_id
    return told if told.startswith(chunk_id) else f"{chunk_id}: {told}"
