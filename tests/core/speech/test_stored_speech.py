"""What a dataset knows of speech in its recordings, and chunk files without it."""

import numpy as np
import pytest
import soundfile as sf
from support.spoken import ESPEAK, SENTENCES, can_speak, speak_over

from badc_core.chunks.place import CutRequest, place_chunks
from badc_core.chunks.source import name_file
from badc_core.chunks.writer import has_chunks, write_chunks
from badc_core.datasets.dataset import Dataset
from badc_core.recordings.describe import describe_recording
from badc_core.recordings.registry import register_recordings
from badc_core.speech.segments import SpeechSegment
from badc_core.speech.stored import read_speech, search_speech, unite_segments
from badc_core.stages.contents import needed_by
from badc_core.stages.stage import STAGES

CUT = CutRequest(4.0)
MUTE = '[speech]\nprivacy = "mute"\n'


@pytest.fixture(scope="module")
def stereo(field_audio, lacking):
    """Returns 8 s with words in both channels that cancel out in the mean, their rate, the words.

    The words are a range of samples.
    """
    if not can_speak():
        lacking(ESPEAK)
    sound, rate_hz = sf.read(field_audio / "soundscape.flac", dtype="float32", stop=8 * 48_000)
    mixed, words = speak_over(sound, rate_hz, 3.0, SENTENCES[0])
    return np.stack([mixed, 2 * sound - mixed], axis=1) / 4, rate_hz, words


@pytest.fixture
def recording(stereo, tmp_path):
    """Returns the file of a recording in a dataset with these words."""
    sound, rate_hz, _ = stereo
    file = tmp_path / "dataset" / "audio" / "S1" / "rec_1.wav"
    file.parent.mkdir(parents=True)
    sf.write(file, sound, rate_hz, "PCM_24")
    (file.parents[2] / "badc.toml").write_text("", encoding="utf-8")
    return file


@pytest.fixture
def dataset(recording):
    return Dataset.open(recording.parents[2])


def test_every_channel_is_searched_and_what_is_known_is_not_searched_again(
    dataset, recording, stereo
):
    _, rate_hz, (start, end) = stereo
    assert read_speech(dataset, "rec_1", "sum") is None
    segments, is_new = search_speech(dataset, "rec_1", "sum", recording)
    assert is_new
    assert segments[0].start_ms <= 1000 * start / rate_hz + 100
    assert segments[-1].end_ms >= 1000 * end / rate_hz - 100
    recording.unlink()
    assert search_speech(dataset, "rec_1", "sum", recording) == (segments, False)
    assert read_speech(dataset, "rec_1", "sum") == segments
    assert read_speech(dataset, "rec_1", "sum of other content") is None
    file = dataset.speech("rec_1")
    content = file.read_text(encoding="utf-8")
    later = content.replace(f" {segments[0].start_ms},", f" {segments[0].start_ms + 900},")
    for damaged in (content[:-20], later):
        assert damaged != content
        file.write_text(damaged, encoding="utf-8")
        assert read_speech(dataset, "rec_1", "sum") is None


def test_sound_is_fetched_where_what_was_found_serves_no_more(dataset, recording):
    (registered,) = register_recordings(dataset).registry
    described = describe_recording(dataset, registered)
    described.write(dataset.recording("rec_1"))
    (dataset.root / "badc.toml").write_text(f"{MUTE}[report]\ntop_detections = 0\n")
    dataset = Dataset.open(dataset.root)
    needed = needed_by(STAGES["report_bundle"], dataset, "rec_1")
    assert needed.sound() == recording
    search_speech(dataset, "rec_1", described.sha256, recording)
    assert needed.sound() is None
    found = dataset.speech("rec_1")
    found.write_text(found.read_text().replace("Silero VAD 6", "Silero VAD 5"))
    assert needed.sound() == recording


def test_segments_that_touch_become_one():
    one, other, third = SpeechSegment(0, 9, 0.4), SpeechSegment(9, 12, 0.9), SpeechSegment(2, 3, 1)
    apart = SpeechSegment(13, 14, 0.5)
    assert unite_segments([apart, other, one]) == (SpeechSegment(0, 12, 0.9), apart)
    assert unite_segments([third, one]) == (SpeechSegment(0, 9, 1),)


def sounds(chunks):
    return [sf.read(one, dtype="int32")[0] for one in sorted(chunks.folder.glob("*.wav"))]


def test_chunk_files_are_cut_again_once_speech_in_them_is_to_be_muted(recording, dataset, stereo):
    _, rate_hz, (start, end) = stereo
    before = np.concatenate(sounds(write_chunks(recording, CUT)))
    (dataset.root / "badc.toml").write_text(MUTE, encoding="utf-8")
    chunks = write_chunks(recording, CUT)
    assert chunks.n_written == chunks.n_chunks == 2
    muted = np.concatenate(sounds(chunks))
    spoken = slice(start + rate_hz // 10, end - rate_hz // 10)
    assert not muted[spoken].any()
    changed = np.flatnonzero((muted != before).any(axis=1))
    assert start - rate_hz < changed[0] < changed[-1] < end + rate_hz
    assert "speech muted" in chunks.manifest.read_text(encoding="utf-8")
    assert write_chunks(recording, CUT).n_written == 0


def test_chunk_files_with_speech_are_not_right_even_if_the_sound_is_elsewhere(recording, dataset):
    write_chunks(recording, CUT)
    place = place_chunks(name_file(recording), CUT)
    recording.unlink()
    recording.symlink_to(".git/annex/objects/elsewhere")
    assert has_chunks(place)
    (dataset.root / "badc.toml").write_text(MUTE, encoding="utf-8")
    assert not has_chunks(place_chunks(name_file(recording), CUT))
