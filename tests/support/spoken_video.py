"""A short video in which somebody speaks, made by espeak-ng and ffmpeg."""

import subprocess
from pathlib import Path

import numpy as np
import soundfile as sf

from badc_core.audio.ffmpeg import find_ffmpeg

from .spoken import RATE_HZ, SENTENCES, speak

SAID = SENTENCES[:2]
STARTS_S = (1.0, 6.5)
LENGTH_S = 12


def make_video(path: Path) -> Path:
    """Writes 12 s of test picture and stereo sound with two sentences; returns the path."""
    sound = np.random.default_rng(0).normal(0, 0.001, LENGTH_S * RATE_HZ).astype(np.float32)
    for start_s, sentence in zip(STARTS_S, SAID, strict=True):
        words = speak(sentence, words_per_minute=130)
        start = round(start_s * RATE_HZ)
        sound[start : start + len(words)] += words
    heard = path.with_name("sound.wav")
    sf.write(heard, np.stack([sound, sound], axis=1), RATE_HZ)
    picture = ("-f", "lavfi", "-i", f"testsrc=size=160x120:rate=10:duration={LENGTH_S}")
    call_ffmpeg(*picture, "-i", str(heard), "-ar", "44100", f"file:{path}")
    return path


def call_ffmpeg(*options: str) -> None:
    """Runs ffmpeg, which must succeed."""
    program = find_ffmpeg()
    assert program is not None, "the extra `ffmpeg` is part of `dev`"
    subprocess.run([program, "-nostdin", "-v", "error", "-y", *options], check=True)


def describe_file(path: Path) -> str:
    """Returns what ffmpeg says about a file."""
    program = find_ffmpeg()
    assert program is not None, "the extra `ffmpeg` is part of `dev`"
    command = [program, "-nostdin", "-i", f"file:{path}"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr
