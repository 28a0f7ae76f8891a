"""Detectors in this process, and real recordings at the rates and lengths that field work has."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import plan_chunks
from badc_core.detectors.interface import Detection, Detector
from badc_core.detectors.registry import load_detector
from badc_core.errors import DetectorMissing
from badc_core.settings import ChunkSettings, DetectorSettings

SOUNDSCAPE_HZ = 48_000
_LENGTH_S = 25.3


@pytest.fixture(scope="session")
def load(lacking) -> Callable[..., Detector]:
    """Returns what loads a detector, once for each of its settings."""

    @cache
    def load_once(name: str, **settings: float) -> Detector:
        try:
            return load_detector(DetectorSettings(name=name, **settings))
        except DetectorMissing as error:
            lacking(str(error))

    return load_once


@pytest.fixture(scope="session")
def detect() -> Callable[..., list[Detection]]:
    """Returns what runs a detector over a recording cut as told; asks nothing twice."""

    @cache
    def run(detector: Detector, path: Path, **chunks: float) -> list[Detection]:
        with AudioFile(path) as audio:
            plan = plan_chunks(
                "rec", audio.n_samples, audio.sample_rate_hz, ChunkSettings(**chunks)
            )
            return [
                found
                for chunk in plan
                for batch in detector.batches(audio, chunk)
                for found in detector.detect(batch)
            ]

    return run


@pytest.fixture(scope="session")
def soundscape(field_audio: Path, tmp_path_factory) -> Path:
    """Returns 25.3 s of the soundscape at 48 kHz, mono: several birds, and no round length."""
    samples, rate_hz = sf.read(field_audio / "soundscape.flac", dtype="float32")
    assert rate_hz == SOUNDSCAPE_HZ
    path = tmp_path_factory.mktemp("sound") / "soundscape.wav"
    sf.write(path, samples[: round(_LENGTH_S * rate_hz)], rate_hz, subtype="FLOAT")
    return path


@pytest.fixture(scope="session", params=[32_000, 44_100])
def resampled(soundscape: Path, request) -> Path:
    """Returns the soundscape as a recorder of another rate would have written it."""
    samples, rate_hz = sf.read(soundscape, dtype="float32")
    n_samples = round(len(samples) * request.param / rate_hz)
    spectrum = np.fft.rfft(samples)[: n_samples // 2 + 1]
    slower = np.fft.irfft(spectrum, n_samples) * n_samples / len(samples)
    path = soundscape.with_name(f"at{request.param}.wav")
    sf.write(path, slower, request.param, subtype="FLOAT")
    return path
