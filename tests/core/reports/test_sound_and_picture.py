import io

import numpy as np
import pytest
import soundfile as sf
from PIL import Image

from badc_core.reports.excerpt import encode_excerpt
from badc_core.reports.spectrogram import render_spectrogram

RATES_HZ = [8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000, 192000, 384000]


def tone(frequency_hz, rate_hz, duration_s=1.0):
    time_s = np.arange(round(rate_hz * duration_s)) / rate_hz
    return (0.1 * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_an_excerpt_of_any_rate_sounds_the_same(rate_hz):
    excerpt = encode_excerpt(tone(2000, rate_hz), rate_hz)
    sound, played_hz = sf.read(io.BytesIO(excerpt))
    middle = sound[len(sound) // 4 : -len(sound) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * played_hz / len(middle) == pytest.approx(2000, abs=5)
    assert len(sound) / played_hz == pytest.approx(1.0, abs=0.15)
    assert np.abs(middle).max() == pytest.approx(0.7, abs=0.1)


def test_digital_silence_and_a_single_sample_can_be_encoded():
    silence, _ = sf.read(io.BytesIO(encode_excerpt(np.zeros(48000, np.float32), 48000)))
    assert not silence.any()
    assert encode_excerpt(np.ones(1, np.float32), 44100)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_tone_is_a_bright_line_at_its_frequency(rate_hz):
    spectrogram = render_spectrogram(tone(2500, rate_hz), rate_hz)
    assert spectrogram.top_hz == min(rate_hz / 2, 12000)
    picture = Image.open(io.BytesIO(spectrogram.png)).convert("L")
    rows = np.asarray(picture, dtype=float).mean(axis=1)
    brightest_hz = (1 - (np.argmax(rows) + 0.5) / len(rows)) * spectrogram.top_hz
    assert brightest_hz == pytest.approx(2500, abs=150)


@pytest.mark.parametrize("n_samples", [1, 100, 4800])
def test_very_short_and_silent_sounds_have_a_picture(n_samples):
    spectrogram = render_spectrogram(np.zeros(n_samples, np.float32), 48000)
    assert Image.open(io.BytesIO(spectrogram.png)).size == (460, 150)
