from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from badc_core.audio.reader import AudioFile
from badc_core.recordings.quality import measure_quality

RATE_HZ = 8000
NOISE = 0.1 * np.random.default_rng(5).standard_normal(6 * RATE_HZ)
DEAD_END = np.where(np.arange(len(NOISE)) < 2 * RATE_HZ, NOISE, 0)


def warnings_of(folder: Path, sound: np.ndarray, subtype: str = "PCM_16") -> list[str]:
    sf.write(folder / "a.wav", sound, RATE_HZ, subtype=subtype)
    with AudioFile(folder / "a.wav") as audio:
        return measure_quality(audio)[1]


@pytest.mark.parametrize(
    ("sound", "expected"),
    [
        (np.stack([NOISE, 0 * NOISE], 1), "Channel 2 of 2 is silent"),
        (np.stack([0 * NOISE + 0.999, NOISE], 1), "Channel 1 of 2 is stuck at one value"),
        (0 * NOISE - 1, "The sound is stuck at one value"),
        (NOISE + 0.3, "The sound is off centre by 30%"),
        (np.stack([NOISE, -NOISE], 1), "The channels cancel each other out"),
        (DEAD_END, "About 4 s on end are exact zeros"),
        (DEAD_END[::-1], "About 4 s on end are exact zeros"),
    ],
)
def test_a_fault_of_the_recorder_is_told_in_one_sentence(
    sound: np.ndarray, expected: str, tmp_path: Path
) -> None:
    (told,) = warnings_of(tmp_path, sound)
    assert told.startswith(expected)


@pytest.mark.parametrize(
    ("sound", "subtype"),
    [
        (NOISE, "PCM_16"),
        (NOISE / 3000, "PCM_16"),
        (np.where(np.arange(len(NOISE)) % 4000, NOISE / 1e6, 0.01), "FLOAT"),
        (np.stack([NOISE, NOISE[::-1]], 1), "PCM_16"),
        (np.stack([NOISE, NOISE / 10], 1), "PCM_24"),
        (DEAD_END, "PCM_U8"),
    ],
)
def test_sound_recorders_make_gives_no_warning(
    sound: np.ndarray, subtype: str, tmp_path: Path
) -> None:
    assert warnings_of(tmp_path, sound, subtype) == []
