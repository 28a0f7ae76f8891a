"""Which species BirdNET v2.4 expects at a place in a week of the year.

Its second model, the meta model, knows how often each species is reported. What is done with that
is in `marking.py`.
"""

from collections.abc import Mapping
from datetime import date
from functools import cache, lru_cache
from pathlib import Path
from threading import Lock

import numpy as np

from badc_core.detectors.birdnet import find_labels, find_model
from badc_core.detectors.label_files import read_labels
from badc_core.detectors.litert import LiteModel
from badc_core.errors import DetectorMissing

EXPECTED_FROM = 0.03
"""BirdNET-Analyzer's own threshold."""

WHOLE_YEAR = -1
LAST_WEEK = 48

_FILE = "BirdNET_GLOBAL_6K_V2.4_MData_Model_V2_FP16.tflite"
_PLACES_KEPT = 64
_WEEKS_A_MONTH = 4


def find_range_model() -> Path | None:
    """Returns where the meta model should be; None where BirdNET is not installed."""
    try:
        return find_model().with_name(_FILE)
    except DetectorMissing:
        return None


@cache
def installed_range() -> "SpeciesRange | None":
    """Returns BirdNET's meta model, one for the process; None where it is not installed."""
    path = find_range_model()
    return SpeciesRange(path) if path is not None and path.is_file() else None


class SpeciesRange:
    """The meta model, loaded when it is first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._labels = read_labels(find_labels())
        self._model: LiteModel | None = None
        self._scores = lru_cache(_PLACES_KEPT)(self._score)
        self._lock = Lock()

    @property
    def common_names(self) -> Mapping[str, str]:
        """Scientific name -> common name of each species it knows."""
        return {one.scientific_name: one.name for one in self._labels if one.scientific_name}

    def occurrences(self, latitude: float, longitude: float, week: int) -> Mapping[str, float]:
        """Returns scientific name -> how often it is reported there and then, 0 to 1.

        Args:
            latitude: degrees north.
            longitude: degrees east.
            week: 1 to 48, or WHOLE_YEAR.
        """
        with self._lock:
            return self._scores(latitude, longitude, week)

    def _score(self, latitude: float, longitude: float, week: int) -> Mapping[str, float]:
        if self._model is None:
            self._model = LiteModel(self._path, is_plain=True)
        outputs = self._model.run(np.array([[latitude, longitude, week]], np.float32))
        named = zip(self._labels, outputs[0].tolist(), strict=True)
        return {label.scientific_name: often for label, often in named if label.scientific_name}


def week_of(day: str | None) -> int:
    """Returns a date's week, 1 to 48, four to each month, the last the longest; or WHOLE_YEAR.

    Args:
        day: `yyyy-mm-dd`; None where it is not known.

    Source:
        BirdNET-Analyzer's and HawkEars' convention; the model was trained on such weeks.
    """
    if day is None:
        return WHOLE_YEAR
    when = date.fromisoformat(day)
    return (when.month - 1) * _WEEKS_A_MONTH + min(_WEEKS_A_MONTH, (when.day - 1) // 7 + 1)
