"""BirdNET's spectrograms and network apart, against its model file run as a whole."""

from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile as sf

from badc_core.audio.resampling import resample_windows
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors import birdnet
from badc_core.detectors.birdnet import find_model
from badc_core.detectors.birdnet_spectrogram import PICTURE, Spectrograms
from badc_core.detectors.litert import LiteFile, LiteModel
from badc_core.errors import DetectorMissing

RATE_HZ = 48_000
WINDOW = 3 * RATE_HZ
TOLERANCE = 1e-5


pytestmark = pytest.mark.usefixtures("birdnet")


@pytest.fixture(scope="module")
def whole() -> LiteModel:
    return LiteModel(find_model())


@pytest.fixture(scope="module")
def soundscape(field_audio: Path) -> np.ndarray:
    samples, _ = sf.read(field_audio / "soundscape.flac", frames=4 * WINDOW, dtype="float32")
    return samples


def assert_scores_of_the_whole_model(windows: np.ndarray, load, whole: LiteModel) -> None:
    expected = [1 / (1 + np.exp(-whole.run(one[np.newaxis])[0].clip(-15, 15))) for one in windows]
    np.testing.assert_allclose(load("birdnet").score(windows), expected, rtol=0, atol=TOLERANCE)


def test_windows_of_field_recordings(load, whole, soundscape) -> None:
    assert_scores_of_the_whole_model(soundscape.reshape(-1, WINDOW), load, whole)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 24_000, 32_000, 44_100])
def test_recordings_without_the_highest_frequencies(load, whole, soundscape, rate_hz) -> None:
    sound = scipy.signal.resample(soundscape, 12 * rate_hz)
    windows = (np.round(sound * 32767) / 32768).astype(np.float32).reshape(4, 3 * rate_hz)
    assert_scores_of_the_whole_model(resample_windows(windows, WINDOW), load, whole)


@pytest.mark.parametrize("loudness", [1.0, 1e-2, 1e-4, 1e-6, 0.0])
def test_windows_that_are_partly_silent_or_faint_beside_a_click(
    load, whole, soundscape, loudness
) -> None:
    padded, clicked = loudness * soundscape[: 2 * WINDOW].reshape(2, WINDOW)
    padded[WINDOW // 2 :] = 0
    clicked[WINDOW // 3] = 1
    assert_scores_of_the_whole_model(np.stack([padded, clicked]), load, whole)


def test_a_constant_offset_is_seen_as_the_model_sees_it(load, whole, soundscape) -> None:
    shifted = 0.05 * soundscape[:WINDOW] + np.float32(0.7)
    assert_scores_of_the_whole_model(shifted[np.newaxis], load, whole)


def test_a_model_cannot_begin_where_it_needs_more_than_one_tensor() -> None:
    file = LiteFile(find_model())
    with pytest.raises(LookupError, match="needs tensor"):
        file.beginning_at("model/MEL_SPEC1/Pow_1")


@pytest.mark.parametrize("name", ["nowhere", "INPUT"])
def test_a_model_cannot_begin_at_what_it_does_not_compute(name: str) -> None:
    with pytest.raises(LookupError):
        LiteFile(find_model()).beginning_at(name)


def test_what_a_model_computes_is_not_a_constant() -> None:
    with pytest.raises(LookupError, match="not a constant"):
        LiteFile(find_model()).constant(PICTURE, np.float32)


def test_the_file_stays_as_it_is() -> None:
    before = find_model().read_bytes()
    file = LiteFile(find_model())
    Spectrograms(file, WINDOW)
    cut = file.beginning_at(PICTURE)
    assert len(cut) == len(before)
    assert cut != before
    assert find_model().read_bytes() == before


def test_another_model_is_refused_with_what_to_do(monkeypatch) -> None:
    other = find_model().with_name("BirdNET_GLOBAL_6K_V2.4_MData_Model_V2_FP16.tflite")
    monkeypatch.setattr("badc_core.detectors.birdnet.find_model", lambda: other)
    with pytest.raises(DetectorMissing, match="not BirdNET's model as published: no tensor"):
        birdnet.load(DetectorSettings())
