"""A picture of a short sound: short-time Fourier transform to PNG.

The page draws axes and marks around it. Sound to listen to is in `excerpt.py`.
"""

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from badc_core.audio.reader import Samples

MAX_FREQUENCY_HZ = 12_000

_WIDTH_PX = 460
_HEIGHT_PX = 150
_WINDOW_S = 0.0213
_RANGE_DB = 50.0
_MIN_RANGE_DB = 20.0
_FLATTENING = 0.85
_GAMMA = 0.8
# Few levels keep the PNG of a noisy sound small; more could not be distinguished.
_LEVELS = 40

# Lightness increases throughout, so that it reads the same in grey and for colour-blind eyes.
_COLOURS = (
    (6, 8, 22),
    (43, 24, 86),
    (112, 36, 110),
    (186, 62, 86),
    (240, 122, 56),
    (252, 232, 164),
)


@dataclass(frozen=True)
class Spectrogram:
    """A picture.

    Attributes:
        png: its bytes; time runs right, frequency up, from 0 to `top_hz`.
        top_hz: frequency of the upper edge.
    """

    png: bytes
    top_hz: float


def render_spectrogram(samples: Samples, sample_rate_hz: int) -> Spectrogram:
    """Returns the picture of a sound, lighter where it is louder.

    Args:
        samples: float32, shape [n_samples], n_samples > 0.
        sample_rate_hz: their rate.
    """
    window_samples = max(64, 1 << round(np.log2(_WINDOW_S * sample_rate_hz)))
    power = _power(samples, window_samples)
    bin_hz = sample_rate_hz / window_samples
    top_hz = min(sample_rate_hz / 2, float(MAX_FREQUENCY_HZ))
    power = power[:, : max(2, round(top_hz / bin_hz) + 1)]
    level_db = 10 * np.log10(power + 1e-12)
    # Wind and traffic fill the low bands: most of each band's steady level is subtracted, so that
    # sounds above it become visible.
    steady_db = np.median(level_db[::4], axis=0)
    level_db -= _FLATTENING * (steady_db - steady_db.min())
    floor_db = float(np.median(level_db[::4, ::2]))
    span_db = min(max(float(level_db.max()) - floor_db, _MIN_RANGE_DB), _RANGE_DB)
    shade = np.clip((level_db - floor_db) / span_db, 0, 1) ** _GAMMA
    return Spectrogram(_png(shade.T[::-1]), top_hz)


def _power(samples: Samples, window_samples: int) -> npt.NDArray[np.float32]:
    """Returns power over full scale, shape [n_frames, window_samples // 2 + 1]."""
    padded = np.pad(samples, window_samples // 2)
    hop_samples = max(1, len(samples) // _WIDTH_PX)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window_samples)[::hop_samples]
    window = np.hanning(window_samples).astype(np.float32)
    spectrum = np.fft.rfft(frames * window, axis=1)
    power = np.abs(spectrum) ** 2 / float(window.sum()) ** 2
    return power.astype(np.float32)


def _png(shade: npt.NDArray[np.floating]) -> bytes:
    levels = np.round(shade * (_LEVELS - 1)).astype(np.uint8)
    picture = Image.fromarray(levels * (255 // (_LEVELS - 1)), mode="L")
    picture = picture.resize((_WIDTH_PX, _HEIGHT_PX), Image.Resampling.BILINEAR)
    indexed = Image.fromarray(np.asarray(picture) // (255 // (_LEVELS - 1)))
    indexed.putpalette(_palette())
    file = io.BytesIO()
    indexed.save(file, "PNG", compress_level=6)
    return file.getvalue()


def _palette() -> bytes:
    places = np.linspace(0, len(_COLOURS) - 1, _LEVELS)
    points = np.array(_COLOURS, dtype=float)
    channels = [np.interp(places, range(len(points)), points[:, i]) for i in range(3)]
    return np.stack(channels, axis=1).round().astype(np.uint8).tobytes()
