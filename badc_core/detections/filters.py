"""Which of a detector's detections are kept: the minimum score of each label, and lists of labels.

Workers look for everything down to the lowest of the minima.
"""

from collections.abc import Iterable

from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import Detection, Label


def keep(detections: Iterable[Detection], settings: DetectorSettings) -> tuple[Detection, ...]:
    """Returns the detections that pass `min_score`, `thresholds`, `include` and `exclude`.

    A label is meant by its name, its code or its scientific name, in upper or lower case. A label's
    own threshold counts in place of `min_score`, be it higher or lower; of several the highest.
    What is excluded is not included.

    Args:
        detections: what a detector found.
        settings: the tables; names that no label has are without effect.
    """
    thresholds = [(_folded(name), score) for name, score in settings.thresholds.items()]
    include = {_folded(name) for name in settings.include}
    exclude = {_folded(name) for name in settings.exclude}

    def passes(one: Detection) -> bool:
        names = _names(one.label)
        if names & exclude or (include and not names & include):
            return False
        own = [score for name, score in thresholds if name in names]
        return one.confidence >= max(own, default=settings.min_score)

    return tuple(one for one in detections if passes(one))


def _names(label: Label) -> set[str]:
    """Returns everything a label is called."""
    return {_folded(name) for name in label.names}


def _folded(name: str) -> str:
    return name.strip().casefold()
