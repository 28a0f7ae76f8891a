"""A short sound for a page: small, mono, loud enough, playable in every browser.

Its picture is in `spectrogram.py`. Detectors never get these sounds.
"""

import io

import numpy as np
import soundfile as sf

from badc_core.audio.reader import Samples

# Rates that MPEG layer III knows (ISO/IEC 13818-3). The highest reaches 12 kHz, as the picture
# does; 48 kHz would take twice the time and space.
_MP3_RATES_HZ = (16000, 22050, 24000)
_COMPRESSION = 0.6
_PEAK = 0.7
_MAX_GAIN = 30.0


def encode_excerpt(samples: Samples, sample_rate_hz: int) -> bytes:
    """Returns a sound as MP3.

    Args:
        samples: float32, shape [n_samples], n_samples > 0.
        sample_rate_hz: any rate; sound above 12 kHz is lost.
    """
    rate_hz = _choose_rate(sample_rate_hz)
    sound = make_audible(_resample(samples, sample_rate_hz, rate_hz))
    file = io.BytesIO()
    sf.write(file, sound, rate_hz, format="MP3", compression_level=_COMPRESSION)
    return file.getvalue()


def make_audible(sound: Samples) -> Samples:
    """Returns a sound so loud that people hear it, whose peaks are the same in all."""
    peak = float(np.abs(sound).max())
    return sound * (min(_PEAK / peak, _MAX_GAIN) if peak > 0 else 1.0)


def _choose_rate(sample_rate_hz: int) -> int:
    """Returns the lowest of the rates that loses nothing, or the highest."""
    high_enough = [rate for rate in _MP3_RATES_HZ if rate >= sample_rate_hz]
    return high_enough[0] if high_enough else _MP3_RATES_HZ[-1]


def _resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """Changes the rate by cutting or padding the spectrum."""
    if from_hz == to_hz:
        return samples
    n_wanted = max(1, round(len(samples) * to_hz / from_hz))
    spectrum = np.fft.rfft(samples)[: n_wanted // 2 + 1]
    scale = n_wanted / len(samples)
    return (np.fft.irfft(spectrum, n_wanted) * scale).astype(np.float32)
