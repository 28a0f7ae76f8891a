"""A real detector without weights: finds loud moments in frequency bands.

For tests, for a first look at an archive without any model, and as the example of the interface.
It does not tell species apart: its labels are bands.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import (
    Detection,
    DetectorIdentity,
    Label,
    WindowBatch,
)
from badc_core.detectors.windows import WindowDetector, WindowGrid, require_partial_overlap

USES_GPU = False
USES_PLACE = False

WINDOW_S = 3.0
BAND_EDGES_HZ = (500, 1000, 2000, 4000, 8000, 12_000)
_FRAME_SAMPLES = 1024
_MIDPOINT_DB = 12.0
_SLOPE_DB = 3.0
_FLOOR_POWER = 1e-12


class BandEnergy(WindowDetector):
    """Scores each band by how far its loudest moments rise above its median.

    The score is a logistic function of that contrast: 0.5 at 12 dB, 0.95 at 21 dB.
    """

    def __init__(self, settings: DetectorSettings) -> None:
        """Prepares the bands; raises ConfigInvalid if windows would overlap entirely."""
        super().__init__(identify(settings), WindowGrid(WINDOW_S, settings.window_overlap_s))
        self._min_score = settings.min_score

    def detect(self, batch: WindowBatch) -> list[list[Detection]]:
        """Returns the bands at or above the minimum score in each window, in band order."""
        return [
            [
                Detection(start, end, label, score)
                for label, score in zip(
                    _labels_at(batch.sample_rate_hz),
                    self.score(window[: end - start], batch.sample_rate_hz),
                    strict=True,
                )
                if score >= self._min_score
            ]
            for window, start, end in zip(batch.windows, batch.starts, batch.ends, strict=True)
        ]

    def score(self, sound: npt.NDArray[np.float32], sample_rate_hz: int) -> list[float]:
        """Returns the score of every band, 0 to 1, in the order of `BAND_EDGES_HZ`.

        Args:
            sound: float32, shape [n_samples], range [-1, 1], without padding.
            sample_rate_hz: its rate; a band above its half scores 0.
        """
        if len(sound) < _FRAME_SAMPLES:
            return [0.0] * (len(BAND_EDGES_HZ) - 1)
        power = _frame_power(sound)
        hz = np.fft.rfftfreq(_FRAME_SAMPLES, 1 / sample_rate_hz)
        highest_hz = sample_rate_hz / 2  # has a bin of its own, which no band below it holds
        return [
            _contrast_score(power[:, (hz >= low) & (hz < min(high, highest_hz))].sum(axis=1))
            for low, high in pairwise(BAND_EDGES_HZ)
        ]


def identify(settings: DetectorSettings) -> DetectorIdentity:
    """Returns the rule's identity; raises ConfigInvalid."""
    require_partial_overlap(settings.window_overlap_s, WINDOW_S, "band_energy")
    return DetectorIdentity("band_energy", "2", None, "", WINDOW_S)


def labels(settings: DetectorSettings) -> tuple[Label, ...]:  # noqa: ARG001
    """Returns the bands."""
    return _labels_at(2 * BAND_EDGES_HZ[-1])


def _labels_at(sample_rate_hz: int) -> tuple[Label, ...]:
    """Returns the bands; one that the recording's highest frequency cuts is named up to there."""
    half = sample_rate_hz / 2
    bands = (
        (low, min(high, half) if low < half else high) for low, high in pairwise(BAND_EDGES_HZ)
    )
    return tuple(Label(f"{low / 1000:g}-{high / 1000:g} kHz", f"B{low}") for low, high in bands)


load = BandEnergy
"""What the entry point calls."""


def _frame_power(window: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Returns the power spectrum of successive frames, shape [n_frames, n_frequencies]."""
    frames = np.lib.stride_tricks.sliding_window_view(window, _FRAME_SAMPLES)[::_FRAME_SAMPLES]
    spectrum = np.fft.rfft(frames * np.hanning(_FRAME_SAMPLES), axis=1)
    power: npt.NDArray[np.float64] = np.abs(spectrum) ** 2
    return power


def _contrast_score(band_power: npt.NDArray[np.float64]) -> float:
    """Returns the logistic of the contrast between the loudest tenth and the median, in dB."""
    loud = np.quantile(band_power, 0.9)
    if loud <= _FLOOR_POWER:
        return 0.0
    contrast_db = 10 * np.log10(loud / max(float(np.median(band_power)), _FLOOR_POWER))
    return float(1 / (1 + np.exp(-(contrast_db - _MIDPOINT_DB) / _SLOPE_DB)))
