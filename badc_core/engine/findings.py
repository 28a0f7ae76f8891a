"""What a detector found in a chunk, put together from its answers about windows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from badc_core.audio.channel import EACH, Channel
from badc_core.chunks.plan import Chunk
from badc_core.detectors.interface import Batch, Detection, Label, WindowAnswer, WindowBatch
from badc_core.intervals import Interval, subtract

NO_SCORES = "not analysed: the model has no scores for it"
"""Said of digital silence."""


@dataclass
class ChunkFindings:
    """What is known of a chunk so far.

    Attributes:
        channel: that is analysed.
        found: detections, in the order of the windows.
        scored, unscored: the windows that the model has scored, and those that it cannot.
    """

    channel: Channel
    found: list[Detection] = field(default_factory=list)
    scored: list[Interval] = field(default_factory=list)
    unscored: list[Interval] = field(default_factory=list)

    def add(self, answers: Iterable[WindowAnswer], windows: Iterable[Interval]) -> None:
        """Adds what a detector answered about some windows.

        Args:
            answers: one for each.
            windows: where they are, as `find_windows` returns it.
        """
        for answer, window in zip(answers, windows, strict=True):
            if answer is None:
                self.unscored.append(window)
            else:
                self.scored.append(window)
                self.found += answer

    @property
    def detections(self) -> list[Detection]:
        """The detections; of each channel analysed on its own, the best of a window and label."""
        return _keep_best(self.found) if self.channel == EACH else self.found

    @property
    def not_analysed(self) -> tuple[Interval, ...]:
        """The sound, in samples, that is in no window that was scored."""
        return subtract(self.unscored, self.scored)


def find_windows(batch: Batch, chunk: Chunk) -> Sequence[Interval]:
    """Returns where the windows of a batch are, in samples from the recording's start.

    Args:
        batch: as the detector gave it.
        chunk: which it belongs to; a batch that is no windows is all of it.
    """
    if isinstance(batch, WindowBatch):
        return list(zip(batch.starts, batch.ends, strict=True))
    return [(chunk.start_sample, chunk.end_sample)] * len(batch)


def _keep_best(detections: Iterable[Detection]) -> list[Detection]:
    """Returns the strongest of detections of one label and interval, by start."""
    best: dict[tuple[int, int, Label], Detection] = {}
    for one in detections:
        place = one.start_sample, one.end_sample, one.label
        if place not in best or best[place].confidence < one.confidence:
            best[place] = one
    return sorted(best.values(), key=lambda one: (one.start_sample, one.end_sample))
