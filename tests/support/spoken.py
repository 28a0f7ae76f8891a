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


def speak_over(
    sound: npt.NDArray[np.float32], rate_hz: int, start_s: float, text: str, level_db: float = 10
) -> tuple[npt.NDArray[np.float32], tuple[int, int]]:
    """Returns a sound with words in it, and the samples of these.

    Args:
        sound: float32, shape [n_samples].
        rate_hz: of the sound.
        start_s: where the words begin.
        text: the words.
        level_db: of the words above the whole sound.
    """
    words = resample_poly(speak(text), rate_hz, RATE_HZ).astype(np.float32)
    words *= np.sqrt(np.mean(sound**2) / np.mean(words**2)) * 10 ** (level_db / 20)
    start = round(start_s * rate_hz)
    mixed = sound.copy()
    mixed[start : start + len(words)] += words
    return mixed, (start, start + len(words))
