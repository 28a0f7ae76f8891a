"""Windows at other rates than the model's, and bands near a recording's highest frequency."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from scipy.signal import resample

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import Chunk
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.band_energy import BandEnergy
from badc_core.detectors.interface import NO_CONTEXT
from badc_core.detectors.windows import WindowGrid


def write_noise(path: Path, rate_hz: int, n_samples: int) -> np.ndarray:
    sound = np.random.default_rng(4).uniform(-0.5, 0.5, n_samples).astype(np.float32)
    sf.write(path, sound, rate_hz, subtype="FLOAT")
    return sound


@pytest.mark.parametrize("rate_hz", [8000, 22_000, 22_050, 44_100, 96_000])
@pytest.mark.parametrize("overlap_s", [0.0, 0.7])
def test_only_the_sound_of_a_window_cut_by_the_end_is_resampled(
    rate_hz: int, overlap_s: float, tmp_path: Path
) -> None:
    sound = write_noise(tmp_path / "a.wav", rate_hz, int(2.4 * rate_hz) + 7)
    grid = WindowGrid(1.0, overlap_s, 48_000)
    with AudioFile(tmp_path / "a.wav") as audio:
        batches = list(grid.read(audio, Chunk("a", 0, len(sound), 0, rate_hz)))
    rows = [
        (row, start, end)
        for one in batches
        for row, start, end in zip(one.windows, one.starts, one.ends, strict=True)
    ]
    assert any(end - start < rate_hz for _, start, end in rows)
    for row, start, end in rows:
        part = resample(sound[start:end], round((end - start) * 48_000 / rate_hz))
        assert len(row) == 48_000
        np.testing.assert_allclose(row[: len(part)], part, atol=1e-5)
        assert not row[len(part) :].any()


@pytest.mark.parametrize(
    ("rate_hz", "expected"),
    [
        (8000, "2-4 kHz"),
        (11_025, "4-5.5125 kHz"),
        (16_000, "4-8 kHz"),
        (22_050, "8-11.025 kHz"),
        (48_000, "8-12 kHz"),
    ],
)
def test_no_band_is_named_above_the_highest_frequency(
    rate_hz: int, expected: str, tmp_path: Path
) -> None:
    sound = 1e-4 * np.random.default_rng(2).standard_normal(3 * rate_hz)
    sound[rate_hz : int(1.6 * rate_hz)] *= 5000  # clicks and all: loud at every frequency
    # Loud at the highest frequency itself, whose bin belongs to no band below 8 kHz.
    sound[rate_hz : int(1.6 * rate_hz)] += 0.2 * (-1.0) ** np.arange(int(1.6 * rate_hz) - rate_hz)
    sf.write(tmp_path / "a.wav", np.clip(sound, -0.99, 0.99), rate_hz, subtype="PCM_16")
    detector = BandEnergy(DetectorSettings(name="band_energy", min_score=0.1))
    with AudioFile(tmp_path / "a.wav") as audio:
        chunk = Chunk("a", 0, audio.n_samples, 0, rate_hz)
        batches = detector.batches(audio, chunk, NO_CONTEXT)
        found = [
            one.label.name for batch in batches for some in detector.detect(batch) for one in some
        ]
    assert found[-1] == expected
