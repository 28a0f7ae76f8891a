"""The recordings that benchmarks run over: real audio, repeated to the length of field files.

Every file holds the same sound but starts elsewhere in it, so that no two are alike.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import resample_poly

from badc_core.demo import RECORDINGS, make_demo

SAMPLE_RATE_HZ = 48_000
N_FILES = 100
LENGTHS_S = (7.0, 20.5, 31.2, 45.0, 59.9, 60.0, 61.3, 90.7, 125.0, 300.0)
"""Mixed, so that tails and short recordings count: 80 s on average."""
_ROOT = Path(__file__).resolve().parent.parent


def make_corpus(folder: Path) -> list[Path]:
    """Returns 100 WAV files (48 kHz, mono, 16 bit) in a folder, writing those that are missing."""
    lengths = {folder / f"bench_{n:03d}.wav": round(s * SAMPLE_RATE_HZ) for n, s in _numbered()}
    missing = [path for path, n_samples in lengths.items() if _length(path) != n_samples]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        real = _real_audio()
        for index, path in enumerate(missing):
            rotated = np.roll(real, -index * real.size // len(missing))
            sound = np.resize(rotated, lengths[path])
            soundfile.write(path, sound, SAMPLE_RATE_HZ, subtype="PCM_16")
    return list(lengths)


def write_noise(folder: Path, numbers: Iterable[int], length_s: float = 3.0) -> list[Path]:
    """Returns recordings (16 kHz, mono), each written with other content."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in numbers:
        noise = np.random.default_rng(number).uniform(-0.1, 0.1, round(length_s * 16_000))
        paths.append(folder / f"rec_{number:04d}.wav")
        soundfile.write(paths[-1], noise, 16_000, subtype="PCM_16")
    return paths


def _numbered() -> Iterator[tuple[int, float]]:
    return enumerate(LENGTHS_S * (N_FILES // len(LENGTHS_S)))


def _length(path: Path) -> int:
    return int(soundfile.info(path).frames) if path.exists() else 0


def _real_audio() -> npt.NDArray[np.float32]:
    """Returns the demo's recordings, one after the other."""
    demo = _ROOT / "data" / "demo"
    make_demo(demo, demo.parent / ".demo-cache")
    return np.concatenate([_read(demo / recording.target) for recording in RECORDINGS])


def _read(path: Path) -> npt.NDArray[np.float32]:
    """Returns the first channel at 48 kHz."""
    audio, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return resample_poly(audio[:, 0], SAMPLE_RATE_HZ, rate_hz).astype(np.float32)
