"""Which of a detector's detections are kept: thresholds of single labels, and lists of them.

The minimum score of all labels is the detector's own business.
"""

from collections.abc import Iterable

from badc_core.detectors.interface import Detection, Label
from badc_core.settings import DetectorSettings


def keep(detections: Iterable[Detection], settings: DetectorSettings) -> tuple[Detection, ...]:
    """Returns the detections that pass `thresholds`, `include` and `exclude`, in their order.

    A label is meant by its name, its code or its scientific name, in upper or lower case. Of
    several thresholds for one label the highest counts, and what is excluded is not included. A
    threshold below `min_score` brings nothing back.

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
        return all(one.confidence >= score for name, score in thresholds if name in names)

    return tuple(one for one in detections if passes(one))


def _names(label: Label) -> set[str]:
    """Returns everything a label is called."""
    return {_folded(name) for name in (label.name, label.code, label.scientific_name) if name}


def _folded(name: str) -> str:
    return name.strip().casefold()
