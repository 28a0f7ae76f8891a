"""A recording read at another rate: without seams, of the right length, in constant memory."""

import tracemalloc

import numpy as np
import pytest
import soundfile as sf

from badc_core.audio.reader import AudioFile
from badc_core.audio.resampling import read_resampled

RATE_HZ = 16_000


@pytest.mark.parametrize("own_hz", [8_000, 22_050, 31_250])
@pytest.mark.parametrize("length_s", [0.30003, 24.7])
def test_a_tone_keeps_its_shape_across_blocks(tmp_path, own_hz, length_s):
    n_samples = round(length_s * own_hz)
    sf.write(tmp_path / "a.wav", _tone(n_samples, own_hz), own_hz, "FLOAT")
    with AudioFile(tmp_path / "a.wav") as audio:
        sound = np.concatenate(list(read_resampled(audio, RATE_HZ)))
    assert len(sound) == pytest.approx(n_samples * RATE_HZ / own_hz, abs=1)
    inner = slice(500, -500)  # the Fourier method takes the sound for periodic
    assert np.abs(sound - _tone(len(sound), RATE_HZ))[inner].max() < 0.001


def test_the_own_rate_gives_the_samples_themselves(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, 25 * RATE_HZ + 7).astype(np.float32)
    sf.write(tmp_path / "a.wav", noise, RATE_HZ, "FLOAT")
    with AudioFile(tmp_path / "a.wav") as audio:
        assert np.array_equal(np.concatenate(list(read_resampled(audio, RATE_HZ))), noise)


def test_memory_does_not_grow_with_the_length(tmp_path):
    peaks = [_peak_bytes(tmp_path / f"{length_s}.wav", length_s) for length_s in (30, 600)]
    assert peaks[1] < 1.2 * peaks[0]


def _peak_bytes(path, length_s):
    sf.write(path, np.zeros(length_s * 8000, np.float32), 8000)
    with AudioFile(path) as audio:
        tracemalloc.start()
        try:
            assert sum(map(len, read_resampled(audio, RATE_HZ))) == length_s * RATE_HZ
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def _tone(n_samples, rate_hz):
    return 0.5 * np.sin(2 * np.pi * 1000 * np.arange(n_samples) / rate_hz)
