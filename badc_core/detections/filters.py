"""Which of a detector's detections are kept: the minimum score of each label, and lists of labels.

Workers look for everything down to the score floor.
"""

from collections.abc import Iterable
from functools import cache

from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import Detection, Label


class Filter:
    """Keeps the detections that pass `min_score`, `thresholds`, `include` and `exclude`.

    A label is meant by its name, its code or its scientific name, in upper or lower case. A label's
    own threshold counts in place of `min_score`, be it higher or lower; of several the highest.
    What is excluded is not included.

    Args:
        settings: the tables; names that no label has are without effect.
    """

    def __init__(self, settings: DetectorSettings) -> None:
        self._min_score = settings.min_score
        self._thresholds = [(_folded(name), score) for name, score in settings.thresholds.items()]
        self._include = {_folded(name) for name in settings.include}
        self._exclude = {_folded(name) for name in settings.exclude}
        self._minimum = cache(self._find_minimum)

    def of(self, detections: Iterable[Detection]) -> tuple[Detection, ...]:
        """Returns the detections that are kept."""
        minimum = self._minimum
        return tuple(one for one in detections if one.confidence >= minimum(one.label))

    def _find_minimum(self, label: Label) -> float:
        """Returns the score a label must have; infinite where it is not wanted at all."""
        names = {_folded(name) for name in label.names}
        if names & self._exclude or (self._include and not names & self._include):
            return float("inf")
        own = [score for name, score in self._thresholds if name in names]
        return max(own, default=self._min_score)


def _folded(name: str) -> str:
    return name.strip().casefold()
