"""The recordings that benchmarks run over: real audio, repeated to the length of field files.

Every file holds the same sound but starts elsewhere in it, so that no two are alike.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import resample_poly

from badc_core.demo import RECORDINGS, make_demo

SAMPLE_RATE_HZ = 48_000
_ROOT = Path(__file__).resolve().parent.parent


def make_corpus(folder: Path, n_files: int = 20, duration_s: int = 300) -> list[Path]:
    """Returns the WAV files (48 kHz, mono, 16 bit) in a folder, writing those that are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [
        folder / f"BENCH{index:02d}" / f"20240601_{index:02d}0000.wav" for index in range(n_files)
    ]
    n_samples = duration_s * SAMPLE_RATE_HZ
    if all(path.exists() and soundfile.info(path).frames == n_samples for path in paths):
        return paths
    real = _real_audio()
    for index, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        rotated = np.roll(real, -index * real.size // n_files)
        soundfile.write(path, np.resize(rotated, n_samples), SAMPLE_RATE_HZ, subtype="PCM_16")
    return paths


def _real_audio() -> npt.NDArray[np.float32]:
    """Returns the demo's recordings, one after the other."""
    demo = _ROOT / "data" / "demo"
    make_demo(demo, demo.parent / ".demo-cache")
    return np.concatenate([_read(demo / recording.target) for recording in RECORDINGS])


def _read(path: Path) -> npt.NDArray[np.float32]:
    """Returns the first channel at 48 kHz."""
    audio, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return resample_poly(audio[:, 0], SAMPLE_RATE_HZ, rate_hz).astype(np.float32)
