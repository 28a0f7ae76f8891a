"""Recordings with something to detect in them."""

from pathlib import Path

import numpy as np
import soundfile as sf

RATE_HZ = 16_000


def write_tone(path: Path, length_s: float, seed: int = 0) -> Path:
    """Writes a short tone in noise every three seconds, which band_energy finds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times_s = np.arange(round(length_s * RATE_HZ)) / RATE_HZ
    noise = np.random.default_rng(seed).normal(0, 0.05, len(times_s))
    tone = 0.2 * np.sin(2 * np.pi * 3000 * times_s) * (times_s % 3 < 0.6)
    sf.write(path, tone + noise, RATE_HZ)
    return path
