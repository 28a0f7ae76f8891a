"""Figures of single channels, dead stretches, and what is said about them."""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from badc_core.audio.reader import AudioFile
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.recordings.channels import ChannelMeter
from badc_core.recordings.constant_runs import ConstantRuns
from badc_core.recordings.describe import describe_recording
from badc_core.recordings.quality import Quality, measure_quality
from badc_core.recordings.recording import Recording, dead_stretches, read_recording
from badc_core.recordings.registry import register_recordings

RATE_HZ = 8000
NOISE = 0.1 * np.random.default_rng(5).standard_normal(6 * RATE_HZ)
TIMES = np.arange(len(NOISE))
DEAD_END = np.where(TIMES < 2 * RATE_HZ, NOISE, 0)
STUCK_END = np.where(TIMES < 2 * RATE_HZ, NOISE, -1)


def measure(folder: Path, sound: np.ndarray, subtype: str = "PCM_16") -> tuple[Quality, list[str]]:
    sf.write(folder / "a.wav", sound, RATE_HZ, subtype=subtype)
    with AudioFile(folder / "a.wav") as audio:
        return measure_quality(audio)


def describe(folder: Path, sound: np.ndarray) -> Recording:
    (folder / "audio").mkdir()
    sf.write(folder / "audio" / "a.wav", sound, RATE_HZ, subtype="PCM_16")
    dataset = Dataset.open(folder)
    registry = register_recordings(dataset).registry
    return describe_recording(dataset, registry.by_path["audio/a.wav"])


@pytest.mark.parametrize(
    ("sound", "expected"),
    [
        (np.stack([NOISE, 0 * NOISE], 1), "Channel 2 of 2 is silent"),
        (np.stack([0 * NOISE + 0.999, NOISE], 1), "Channel 1 of 2 is stuck at one value"),
        (np.stack([0 * NOISE + 0.01, NOISE], 1), "Channel 1 of 2 is stuck at one value"),
        (0 * NOISE - 1, "The sound is stuck at one value"),
        (NOISE + 0.3, "The sound is off centre by 30%"),
        (np.stack([NOISE, NOISE[::-1] - 0.3], 1), "Channel 2 of 2 is off centre by 30%"),
        (np.stack([NOISE, -NOISE], 1), "The channels cancel each other out: their mean"),
        (
            np.stack([NOISE, np.roll(NOISE, 4)], 1),  # 0.5 ms from one microphone to the other
            "The channels cancel each other out around 0.9 kHz: their mean",
        ),
        (DEAD_END, "The sound is dead for 4.0 s from 2.0 s on"),
        (DEAD_END[::-1], "The sound is dead for 4.0 s from its start on"),
        (np.where(TIMES % 24_000 < 8000, NOISE, 0), "The sound is dead for 4.0 s in 2 stretches"),
        (np.stack([NOISE, DEAD_END], 1), "Channel 2 of 2 is dead for 4.0 s from 2.0 s on"),
        (np.stack([DEAD_END, DEAD_END], 1), "Every channel is dead for 4.0 s from 2.0 s on"),
        (np.stack([NOISE[::-1], STUCK_END], 1), "Channel 2 of 2 is dead for 4.0 s from 2.0 s on"),
    ],
)
def test_a_fault_of_the_recorder_is_told_in_one_sentence(
    sound: np.ndarray, expected: str, tmp_path: Path
) -> None:
    (told,) = measure(tmp_path, sound)[1]
    assert told.startswith(expected)


@pytest.mark.parametrize(
    ("sound", "subtype"),
    [
        (NOISE, "PCM_16"),
        (NOISE / 3000, "PCM_16"),
        (np.where(TIMES % 4000, NOISE / 1e6, 0.01), "FLOAT"),
        (np.stack([NOISE, NOISE[::-1]], 1), "PCM_16"),
        (np.stack([NOISE, NOISE / 10], 1), "PCM_24"),
        (DEAD_END, "PCM_U8"),
        (DEAD_END, "ULAW"),
        (np.where(TIMES % 15_990, NOISE, 0), "PCM_16"),
    ],
)
def test_sound_recorders_make_gives_no_warning(
    sound: np.ndarray, subtype: str, tmp_path: Path
) -> None:
    assert measure(tmp_path, sound, subtype)[1] == []


def test_the_figures_of_each_channel_are_exact(tmp_path: Path) -> None:
    loud = np.clip(8 * NOISE + 0.1, -1, 1)
    quiet = np.where((TIMES > 999) & (TIMES < 5000), 0.25, NOISE / 50)
    quality, _ = measure(tmp_path, np.stack([loud, quiet, 0 * NOISE], 1), "PCM_16")
    stored, _ = sf.read(tmp_path / "a.wav")
    for own, sound in zip(quality.channels, stored.T, strict=True):
        power = np.square(sound).mean()
        level = 10 * math.log10(power) if power else -math.inf
        assert own.rms_dbfs == pytest.approx(level, abs=1e-4)
        assert own.dc_offset == pytest.approx(sound.mean(), abs=1e-6)
        assert own.clipped_fraction == np.mean(np.abs(sound) >= 32_767 / 32_768)
        peak = np.abs(sound).max()
        assert own.peak_dbfs == pytest.approx(20 * math.log10(peak) if peak else -math.inf)
    assert [one.longest_constant_s for one in quality.channels] == [0.0, 0.5, 6.0]
    assert quality.channels[0].clipped_fraction > 0.1


def test_dead_stretches_are_right_to_the_sample(tmp_path: Path) -> None:
    sound = NOISE.copy()
    sound[12_345:30_001] = -0.5
    quality, _ = measure(tmp_path, sound)
    assert quality.channels[0].dead_stretches == ((12_345, 30_001),)


@pytest.mark.parametrize("subtype", ["MPEG_LAYER_III", "VORBIS", "OPUS"])
def test_digital_silence_is_dead_in_lossy_formats_and_quiet_noise_is_not(
    subtype: str, tmp_path: Path
) -> None:
    def stretches(between: np.ndarray) -> tuple[tuple[int, int], ...]:
        path = tmp_path / ("a.mp3" if subtype == "MPEG_LAYER_III" else "a.ogg")
        sound = np.concatenate([noise, between, noise])
        sf.write(path, sound, 48_000, subtype=subtype)
        with AudioFile(path) as audio:
            return measure_quality(audio)[0].channels[0].dead_stretches

    noise = 0.02 * np.random.default_rng(1).standard_normal(96_000)
    ((start, end),) = stretches(np.zeros(192_000))
    assert 96_000 <= start < 124_000
    assert 286_000 < end <= 288_000
    assert stretches(np.round(np.tile(noise, 2) * 50) / 32_768) == ()


def test_the_mean_is_only_dead_where_all_channels_are(tmp_path: Path) -> None:
    early = np.where((TIMES >= 1000) & (TIMES < 40_000), 0, NOISE)
    late = np.where(TIMES >= 20_000, 0.5, NOISE[::-1])
    recording = describe(tmp_path, np.stack([early, late], 1))
    assert dead_stretches(recording) == ((20_000, 40_000),)
    assert dead_stretches(recording, 0) == ((1000, 40_000),)
    assert dead_stretches(recording, 1) == ((20_000, 48_000),)


def test_figures_of_channels_survive_the_file_and_are_needed_there(tmp_path: Path) -> None:
    recording = describe(tmp_path, np.stack([DEAD_END, 0 * NOISE], 1))
    assert recording.channels[1].rms_dbfs == -math.inf
    path = tmp_path / "a.json"
    recording.write(path)
    assert read_recording(path) == recording
    content = json.loads(path.read_text())
    del content["channels"]
    path.write_text(json.dumps(content))
    with pytest.raises(DatasetInvalid, match="channels"):
        read_recording(path)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 60)), min_size=1, max_size=20),
    st.integers(1, 90),
)
def test_runs_are_found_whatever_the_blocks(
    pieces: list[tuple[int, int]], block_samples: int
) -> None:
    values = np.repeat(np.float32([value for value, _ in pieces]), [length for _, length in pieces])
    edges = np.concatenate([[0], np.flatnonzero(np.diff(values)) + 1, [len(values)]])
    lengths = np.diff(edges)
    runs = ConstantRuns(1, 3000, 40)
    for start in range(0, len(values), block_samples):
        runs.add(values[start : start + block_samples, None])
    (found,) = runs.finish()
    assert found.longest_samples == max([*lengths[lengths >= 30], 0])
    dead = {i for a, b in pairwise(edges) if b - a >= 40 for i in range(a, b)}
    assert {i for start, end in found.stretches for i in range(start, end)} == dead


def test_many_channels_are_counted_apart() -> None:
    block = np.tile(np.linspace(0, 0.9, 3000, dtype=np.float32), (9000, 1))
    meter = ChannelMeter(3000, RATE_HZ, 1.0)
    meter.add(block)
    offsets = [one.dc_offset for one in meter.figures()]
    np.testing.assert_allclose(offsets, block[0], rtol=1e-4)


def test_absurd_values_of_a_damaged_float_file_still_have_a_level():
    sound = np.full((10_000, 1), 0.1, np.float32)
    sound[5000] = 3e38
    meter = ChannelMeter(1, 8000, 1.0)
    meter.add(sound)
    (found,) = meter.figures()
    assert found.rms_dbfs == pytest.approx(20 * np.log10(3e38 / 100))
    assert found.dc_offset == pytest.approx(3e34)
