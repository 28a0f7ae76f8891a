"""A video goes through all ten stages, without any network."""

import json
import re
import socket
import subprocess

import pytest
import soundfile as sf
from support.spoken_video import LENGTH_S, SAID, STARTS_S, describe_file

from badc_core.audio.ffmpeg import find_ffmpeg
from badc_core.media.folder import MediaFolder
from badc_core.media.results import Skipped, StageResult
from badc_core.media.stages import STAGES
from badc_core.media_settings import MediaSettings

HIGHEST_WORD_ERROR_RATE = 0.25


@pytest.fixture(scope="module")
def chain(video, needs_media, tmp_path_factory):
    """Returns the folder after all stages, and how each ended."""
    folder = MediaFolder(video, tmp_path_factory.mktemp("chain"))
    settings = MediaSettings(title="The Marsh Station")
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("TMDB_API_KEY", "HF_TOKEN"):
            patch.delenv(variable, raising=False)
        patch.setattr(socket.socket, "connect", _forbidden)
        patch.setattr(socket, "getaddrinfo", _forbidden)
        return folder, {stage.name: stage.run(folder, settings) for stage in STAGES}


def test_every_stage_works_or_says_what_is_missing(chain):
    _, ends = chain
    skipped = {name: end.reason for name, end in ends.items() if isinstance(end, Skipped)}
    assert skipped == {
        "tmdb": "there is no key for TMDB in the environment variable TMDB_API_KEY",
        "pyannote_vad": "the package pyannote.audio is not installed",
        "diarization": "the package pyannote.audio is not installed",
    }
    for end in ends.values():
        if isinstance(end, StageResult):
            assert all(output.path.is_file() for output in end.outputs.values())


def test_outputs_and_metadata_are_those_of_the_documented_pipeline(chain):
    folder, ends = chain
    outputs = {
        name: {key: str(one.path.relative_to(folder.root)) for key, one in end.outputs.items()}
        for name, end in ends.items()
        if isinstance(end, StageResult)
    }
    assert outputs == {
        "demux": {"audio": "audio/audio.wav", "metadata": "audio/metadata.json"},
        "pre_ner": {
            "entities": "entities/pre_ner.json",
            "prompt": "prompts/ner_enhanced_prompt.txt",
        },
        "silero_vad": {"segments": "vad/silero_segments.json"},
        "asr": {"transcript": "transcription/transcript.json"},
        "post_ner": {"entities": "entities/post_ner.json"},
        "subtitle_gen": {"subtitles": "subtitles/subtitles.srt"},
        "mux": {"final_video": "final_output.mp4"},
    }
    keys = {
        "demux": {"sample_rate", "channels", "duration"},
        "pre_ner": {"entity_count"},
        "silero_vad": {"segment_count", "speech_percentage"},
        "asr": {"word_count", "model", "language"},
        "post_ner": {"corrections_made", "entity_count"},
        "subtitle_gen": {"subtitle_count", "format"},
        "mux": {"subtitle_track", "codec"},
    }
    assert {name: wanted - ends[name].metadata.keys() for name, wanted in keys.items()} == {
        name: set() for name in keys
    }


def test_the_sound_is_what_the_recogniser_needs(chain):
    folder, ends = chain
    found = sf.info(folder.audio)
    assert (found.samplerate, found.channels, found.subtype) == (16_000, 1, "PCM_16")
    assert ends["demux"].metadata["duration"] == pytest.approx(LENGTH_S, abs=0.1)
    assert found.duration == pytest.approx(LENGTH_S, abs=0.1)


def test_the_words_are_recognised_where_they_were_said(chain):
    folder, _ = chain
    transcript = json.loads(folder.transcript.read_text())
    assert transcript["model"] == "tiny.en"
    assert transcript["prompt_source"] == "ner_enhanced_prompt.txt"
    words = [word for one in transcript["segments"] for word in one["words"]]
    heard = [_plain(word["word"]) for word in words]
    rate = _word_error_rate([_plain(word) for word in " ".join(SAID).split()], heard)
    print(f"word error rate of tiny.en: {rate:.1%}")
    assert rate <= HIGHEST_WORD_ERROR_RATE
    starts_s = [words[0]["start_ms"] / 1000, _start_of(words, "please")]
    assert starts_s == pytest.approx(STARTS_S, abs=0.6)


def test_the_subtitles_are_a_track_of_the_video(chain, tmp_path):
    folder, ends = chain
    assert ends["mux"].metadata["encoded_again"] is False
    said = describe_file(folder.final_video)
    assert re.search(r"Stream #0:\d.*\(eng\): Subtitle: mov_text", said)
    assert "Video: h264" in said
    assert "Audio: aac" in said
    track = tmp_path / "track.srt"
    command = [find_ffmpeg(), "-v", "error", "-i", folder.final_video, "-map", "0:s:0", track]
    subprocess.run(command, check=True)
    shown, written = track.read_text(), folder.subtitles.read_text()
    assert _times(shown) == _times(written)
    assert "marsh" in shown.lower()


def test_a_stage_that_runs_again_gives_the_same(chain):
    folder, _ = chain
    before = folder.subtitles.read_bytes()
    for stage in STAGES[-3:-1]:
        assert isinstance(stage.run(folder, MediaSettings()), StageResult)
    assert folder.subtitles.read_bytes() == before


def _forbidden(*_):
    raise AssertionError("something goes to the network")


def _plain(word):
    return re.sub(r"[^\w']", "", word).lower()


def _times(srt):
    return re.findall(r"(\S+) --> (\S+)", srt)


def _start_of(words, text):
    return next(word["start_ms"] / 1000 for word in words if _plain(word["word"]) == text)


def _word_error_rate(expected, heard):
    """Returns insertions, deletions and replacements per expected word."""
    row = list(range(len(heard) + 1))
    for number, word in enumerate(expected, start=1):
        before, row[0] = row[0], number
        for place, other in enumerate(heard, start=1):
            cost = min(row[place] + 1, row[place - 1] + 1, before + (word != other))
            before, row[place] = row[place], cost
    return row[-1] / len(expected)
