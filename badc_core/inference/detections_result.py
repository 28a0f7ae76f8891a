"""What the steps that detect return: one recording's detections, and the chunks that failed."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from badc_core.engine.protocol import ChunkResult
from badc_core.inference.raw_result import RawResult
from badc_core.tolerance import is_tolerated
from badc_core.units import shorten

_SHOWN = 10


@dataclass(frozen=True)
class DetectionsResult:
    """The detections of one recording, with the settings' choice of labels and scores.

    Attributes:
        table: as written.
        raw: what the detector gave.
        effort_s: seconds analysed.
        dead_s: seconds in which nothing was recorded.
        config_hash: of the detector and all settings that decided them.
        left_out: common name -> how many were left out as not expected there and then.
    """

    table: pa.Table
    raw: RawResult
    effort_s: float
    dead_s: float
    config_hash: str
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_species(self) -> int:
        """Distinct species; other sounds do not count."""
        return len(pc.unique(self.table["scientific_name"]).drop_null())

    @property
    def expected_counts(self) -> dict[str, int]:
        """How many are expected there and then, how many not, and of how many it is not known."""
        values = self.table["is_expected"]
        n_expected, n_known = pc.sum(values).as_py() or 0, len(values) - values.null_count
        return {
            "expected": n_expected,
            "not_expected": n_known - n_expected,
            "not_known": values.null_count,
        }

    def top_labels(self, n: int) -> list[tuple[str, int, float]]:
        """Returns the most frequent labels with their count and best confidence."""
        names = self.table["label_name"].to_pylist()
        best: dict[str, float] = {}
        for name, confidence in zip(names, self.table["confidence"].to_pylist(), strict=True):
            best[name] = max(best.get(name, 0.0), confidence)
        ranked = sorted(Counter(names).items(), key=lambda one: (-one[1], one[0]))
        return [(name, count, best[name]) for name, count in ranked[:n]]


class FailedChunks:
    """Counts chunks without a result over a whole step, and says when they are too many."""

    def __init__(self, tolerated_fraction: float) -> None:
        self._tolerated = tolerated_fraction
        self._n_chunks = 0
        self._failed: list[ChunkResult] = []

    def add(self, raw: RawResult) -> None:
        """Counts a recording's chunks."""
        self._n_chunks += len(raw.results)
        self._failed += raw.failed

    def complaint(self) -> str:
        """Returns a message about them; empty where they are within bounds."""
        n_failed = len(self._failed)
        if is_tolerated(n_failed, self._tolerated, self._n_chunks):
            return ""
        head = (
            f"{n_failed} of {self._n_chunks} chunks failed, more than "
            f"inference.max_failed_fraction = {self._tolerated:g} tolerates. Everything else is "
            "kept; run again to try just these:"
        )
        return "\n  ".join([head, *shorten([_named(one) for one in self._failed], _SHOWN)])


def _named(failed: ChunkResult) -> str:
    """Returns why a chunk failed, with its name once."""
    reason, chunk_id = str(failed.error), failed.chunk.chunk_id
    return reason if reason.startswith(chunk_id) else f"{chunk_id}: {reason}"
