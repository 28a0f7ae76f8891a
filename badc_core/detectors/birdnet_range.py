"""Which species BirdNET v2.4 expects at a place in a week of the year.

Its second model, the meta model, knows how often each species is reported. It marks detections
and removes none.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt

from badc_core.detectors.interface import Detection, Label, RecordingContext
from badc_core.detectors.litert import LiteModel

EXPECTED_FROM = 0.03
WHOLE_YEAR = -1

_FILE = "BirdNET_GLOBAL_6K_V2.4_MData_Model_V2_FP16.tflite"
_PLACES_KEPT = 64
_WEEKS_A_MONTH = 4


def find_range_model(acoustic_model: Path) -> Path:
    """Returns where the meta model is, beside the acoustic one; it may be absent."""
    return acoustic_model.with_name(_FILE)


class SpeciesRange:
    """The meta model, loaded when it is first needed.

    Args:
        beside: the acoustic model, in whose folder the meta model is, or is not.
        labels: of both models, in their order.
    """

    def __init__(self, beside: Path, labels: Sequence[Label] = ()) -> None:
        self._path = find_range_model(beside)
        self._columns = {label: column for column, label in enumerate(labels)}
        self._model: LiteModel | None = None
        self._scores = lru_cache(_PLACES_KEPT)(self._score)
        self._lock = Lock()

    def mark(
        self, context: RecordingContext, detections: Sequence[Detection]
    ) -> tuple[Detection, ...]:
        """Returns the detections, those of species with `is_expected` and `occurrence`."""
        with self._lock:
            occurrences = self.occurrences(context) if detections else None
        if occurrences is None:
            return tuple(detections)
        return tuple(self._marked(one, occurrences) for one in detections)

    def _marked(self, one: Detection, occurrences: npt.NDArray[np.float32]) -> Detection:
        if not one.label.scientific_name:
            return one
        often = float(occurrences[self._columns[one.label]])
        return replace(one, is_expected=often >= EXPECTED_FROM, occurrence=often)

    def occurrences(self, recording_context: RecordingContext) -> npt.NDArray[np.float32] | None:
        """Returns how often each label is reported there and then, 0 to 1, in the model's order.

        None where the place is not known or the meta model is not installed. Without a date it
        is the whole year's.
        """
        if (
            recording_context.latitude is None
            or recording_context.longitude is None
            or not self._path.is_file()
        ):
            return None
        return self._scores(
            recording_context.latitude, recording_context.longitude, week_of(recording_context.date)
        )

    def _score(self, latitude: float, longitude: float, week: int) -> npt.NDArray[np.float32]:
        if self._model is None:
            self._model = LiteModel(self._path, is_plain=True)
        outputs = self._model.run(np.array([[latitude, longitude, week]], np.float32))
        scores: npt.NDArray[np.float32] = outputs[0]
        return scores


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
