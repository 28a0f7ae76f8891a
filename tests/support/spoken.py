"""Speech for tests and benchmarks, spoken by the program espeak-ng."""

import io
import shutil
import subprocess

import numpy as np
import numpy.typing as npt
import soundfile as sf
from scipy.signal import resample_poly

ESPEAK = "espeak-ng (Debian package espeak-ng)"
SENTENCES = (
    "We arrived at the marsh station at half past five this morning.",
    "Please check the batteries before you walk back to the truck.",
    "I think that was a white throated sparrow calling behind us.",
    "The wind is picking up and it looks like rain this afternoon.",
    "Nobody has seen the owl since the snow melted on the ridge.",
)
RATE_HZ = 16_000


def can_speak() -> bool:
    """Returns whether espeak-ng is installed."""
    return shutil.which("espeak-ng") is not None


def speak(text: str, voice: str = "en-us", words_per_minute: int = 150) -> npt.NDArray[np.float32]:
    """Returns spoken words: float32, shape [n_samples], 16,000 Hz, with little silence around."""
    command = ["espeak-ng", "-v", voice, "-s", str(words_per_minute), "--stdout", text]
    spoken = subprocess.run(command, capture_output=True, check=True).stdout
    sound, rate_hz = sf.read(io.BytesIO(spoken), dtype="float32")
    loud = np.flatnonzero(np.abs(sound) > 0.01)
    return resample_poly(sound[loud[0] : loud[-1] + 1], RATE_HZ, rate_hz).astype(np.float32)
