"""From a detector's score to the probability that it is right, by a curve for each label.

Curves come from people who listened; which they are is in a file that the settings name. Labels
without one have no probability.
"""

import math
from pathlib import Path
from typing import Self

from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import Label
from badc_core.detectors.registry import require_known
from badc_core.errors import ConfigInvalid
from badc_core.hashing import sha256_unchanged
from badc_core.label_tables import find_line, read_label_table

_KIND = "calibration file"
_CLIPPED = 1e-6


class Calibrator:
    """Curves by name of label, in small letters.

    Args:
        curves: name -> intercept and slope of P(right) = 1 / (1 + exp(-(intercept + slope x))),
            where x = log(score / (1 - score)).
    """

    def __init__(self, curves: dict[str, tuple[float, ...]]) -> None:
        self._curves = curves

    @classmethod
    def read(cls, settings: DetectorSettings) -> Self:
        """Returns the curves in the file that the settings name; none where they name none.

        Raises:
            ConfigInvalid: the file cannot be read, the detector does not have one of its labels,
                or higher scores would be less often right.
            ContentMissing: it is annexed, and its content is not here.
        """
        if not settings.calibration_file:
            return cls({})
        path = Path(settings.calibration_file)
        found = read_label_table(path, _KIND, ("intercept", "slope"))
        require_known(settings, found, lambda label: f"{path}: line {find_line(path, label)}")
        for label, (_, slope) in found.items():
            if slope <= 0:
                what = f"{label}: a slope of {slope:g} makes higher scores less often right"
                raise ConfigInvalid(what, path, "Delete its line")
        return cls({label.casefold(): curve for label, curve in found.items()})

    def probability(self, label: Label, score: float) -> float | None:
        """Returns the probability that a detection is right; None without a curve.

        Scores of 0 and 1 count as a millionth less extreme.
        """
        own = (self._curves.get(name.casefold()) for name in label.names)
        curve = next(filter(None, own), None)
        if curve is None:
            return None
        intercept, slope = curve
        clipped = min(max(score, _CLIPPED), 1 - _CLIPPED)
        x = intercept + slope * math.log(clipped / (1 - clipped))
        # Neither branch overflows.
        return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def describe_calibration(settings: DetectorSettings) -> tuple[str, ...]:
    """Returns the content of the calibration file by its SHA-256, for fingerprints.

    Raises:
        ConfigInvalid: the file is not there.
    """
    if not settings.calibration_file:
        return ()
    path = Path(settings.calibration_file)
    if not path.is_file():
        raise ConfigInvalid(f"there is no such {_KIND}", path, "Correct its path")
    return (f"calibration: {sha256_unchanged(path)}",)
