"""The ten media stages as the pipeline `media`, run by `badc job run`, without any network."""

import json
import re
import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile as sf
from support.commands import BADC, run_badc
from support.documented_manifest import (
    FILE_FIELDS,
    MANIFEST_FIELDS,
    STAGE_FIELDS,
    STAGES,
    assert_fields,
)
from support.spoken_video import LENGTH_S, SAID, STARTS_S, call_ffmpeg, describe_file
from support.waiting import wait_until

from badc_core.errors import ConfigInvalid, InputOutdated
from badc_core.media import stages as media_stages
from badc_core.media import tmdb
from badc_core.media.job_stage import read_media_settings, run
from badc_core.media_settings import MediaSettings
from badc_core.pipelines import DeviceNeeded, StageCall, StageSkipped
from badc_core.pipelines.definition import read_pipeline
from badc_core.pipelines.shipped import SHIPPED

HIGHEST_WORD_ERROR_RATE = 0.25
SKIPPED = {
    "tmdb": "there is no key for TMDB in TMDB_API_KEY",
    "pyannote_vad": "the package pyannote.audio is not installed",
    "diarization": "the package pyannote.audio is not installed",
}
DONE = [name for name in STAGES if name not in SKIPPED]


OUTPUTS = {
    "demux": {"audio": "audio/audio.wav", "metadata": "audio/metadata.json"},
    "pre_ner": {"entities": "entities/pre_ner.json", "prompt": "prompts/ner_enhanced_prompt.txt"},
    "silero_vad": {"segments": "vad/silero_segments.json"},
    "asr": {"transcript": "transcription/transcript.json"},
    "post_ner": {"entities": "entities/post_ner.json"},
    "subtitle_gen": {"subtitles": "subtitles/subtitles.srt"},
    "mux": {"final_video": "final_output.mp4"},
}
WITHOUT_NETWORK = """\
import socket


def _forbidden(*_):
    raise AssertionError("something goes to the network")


socket.socket.connect = socket.getaddrinfo = _forbidden
"""
"""Python executes it in every process that begins."""


class Runs:
    """`badc job run media` for a video: killed in stage 3, resumed, and with an output deleted."""

    def __init__(self, root: Path, video: Path) -> None:
        self.root = root
        self.folder = self._kill_in_third(video)
        self.after_kill = self.manifest
        self.resumed = self._resume()
        self.after_three = self._watch("silero_vad")
        self.output, errors = self.resumed.communicate(timeout=300)
        assert self.resumed.returncode == 0, errors
        self.after_all = self.manifest
        self.before = self.subtitles()
        (self.folder / "entities" / "post_ner.json").unlink()
        self.again = run_badc("job", "run", "media", "--resume", self.folder.name, folder=root)

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.folder / "manifest.json").read_text())

    def subtitles(self) -> bytes:
        return (self.folder / "subtitles" / "subtitles.srt").read_bytes()

    def attempts(self) -> dict[str, tuple[int, int]]:
        """Returns how often each stage had been started at the end, and at the very end."""
        after = self.manifest["stages"]
        return {
            name: (one["attempt"], after[name]["attempt"])
            for name, one in self.after_all["stages"].items()
        }

    def _kill_in_third(self, video: Path) -> Path:
        words = ["job", "run", "media", video, "--user", "1"]
        running = subprocess.Popen([BADC, *words], cwd=self.root, stdout=subprocess.DEVNULL)

        def look() -> list[Path]:
            found = self.root.glob("jobs/out/*/*/*/1/*/manifest.json")
            return [one for one in found if '"stage_name": "pre_ner"' in one.read_text()]

        found = wait_until(look, 60, 0.005)
        running.send_signal(signal.SIGKILL)
        running.wait()
        return found[0].parent

    def _resume(self) -> "subprocess.Popen[str]":
        words = [BADC, "job", "run", "media", "--resume", self.folder.name]
        return subprocess.Popen(
            words, cwd=self.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def _watch(self, stage: str) -> dict[str, Any]:
        """Returns the manifest while a stage is the current one."""

        def look() -> dict[str, Any] | None:
            manifest = self.manifest
            return manifest if manifest["pipeline"]["current_stage"] == stage else None

        return wait_until(look, 60, 0.005)


@pytest.fixture(scope="module")
def runs(video, needs_media, tmp_path_factory):
    """Returns the three runs."""
    root = tmp_path_factory.mktemp("installation")
    (root / "sitecustomize.py").write_text(WITHOUT_NETWORK, encoding="utf-8")
    (root / "jobs" / "config").mkdir(parents=True)
    (root / "jobs" / "config" / ".env").write_text("MEDIA_TITLE='The Marsh Station'\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BADC_JOBS", str(root / "jobs"))
        patch.setenv("PYTHONPATH", str(root))
        yield Runs(root, video)


def test_every_stage_works_or_says_what_is_missing(runs) -> None:
    stages = runs.after_all["stages"]
    assert list(stages) == list(STAGES)
    assert [one["stage_number"] for one in stages.values()] == list(range(1, 11))
    assert [name for name, one in stages.items() if one["status"] == "success"] == DONE
    reasons = {name: one["error"] for name, one in stages.items() if one["status"] == "skipped"}
    assert reasons == SKIPPED
    pipeline = runs.after_all["pipeline"]
    assert pipeline["status"] == "completed"
    assert pipeline["completed_stages"] == DONE
    assert pipeline["skipped_stages"] == list(SKIPPED)


def test_outputs_and_metadata_are_those_of_the_documented_stages(runs) -> None:
    records = {name: runs.after_all["stages"][name] for name in DONE}
    found = {
        name: {
            key: str(Path(one["path"]).relative_to(runs.folder))
            for key, one in record["outputs"].items()
        }
        for name, record in records.items()
    }
    assert found == OUTPUTS
    for name, record in records.items():
        facts = {"duration" if one == "duration_seconds" else one for one in STAGES[name][1]}
        assert facts <= record["metadata"].keys()
        assert all(one["description"] for one in record["outputs"].values())


def test_the_manifest_after_three_stages_has_every_documented_field(runs) -> None:
    found = runs.after_three
    assert_fields(found, MANIFEST_FIELDS)
    three = {name: one for name, one in found["stages"].items() if name in list(STAGES)[:3]}
    assert list(three) == list(STAGES)[:3]
    assert found["stages"].keys() - three.keys() <= {"silero_vad"}
    for number, record in enumerate(three.values(), 1):
        assert_fields(record, STAGE_FIELDS)
        assert record["stage_number"] == number
        for one in record["input_files"]:
            assert_fields(one, {"key": str} | FILE_FIELDS)
        for one in record["outputs"].values():
            assert_fields(one, FILE_FIELDS)
    pipeline = found["pipeline"]
    assert (pipeline["status"], pipeline["current_stage"]) == ("running", "silero_vad")
    assert (pipeline["completed_stages"], pipeline["failed_stages"]) == (["demux", "pre_ner"], [])
    assert found["timing"].keys() == {"started_at", "completed_at", "total_seconds"}


def test_a_shell_sees_with_jq_what_was_completed(runs, lacking) -> None:
    program = shutil.which("jq") or lacking("jq")
    question = '.pipeline.completed_stages | contains(["demux", "mux"])'
    subprocess.run(
        [program, "-e", question, runs.folder / "manifest.json"], check=True, capture_output=True
    )


def test_the_sound_is_what_the_recogniser_needs(runs) -> None:
    found = sf.info(runs.folder / "audio" / "audio.wav")
    assert (found.samplerate, found.channels, found.subtype) == (16_000, 1, "PCM_16")
    assert found.duration == pytest.approx(LENGTH_S, abs=0.1)


def test_the_words_are_recognised_where_they_were_said(runs) -> None:
    transcript = json.loads((runs.folder / "transcription" / "transcript.json").read_text())
    assert transcript["model"] == "tiny.en"
    assert transcript["prompt_source"] == "ner_enhanced_prompt.txt"
    words = [word for one in transcript["segments"] for word in one["words"]]
    please = next(one for one in words if _plain(one["word"]) == "please")
    starts_s = [words[0]["start_ms"] / 1000, please["start_ms"] / 1000]
    assert starts_s == pytest.approx(STARTS_S, abs=0.6)


def test_the_video_has_the_words_as_a_track_of_subtitles(runs, tmp_path) -> None:
    record, video = runs.after_all["stages"]["mux"], runs.folder / "final_output.mp4"
    assert record["metadata"]["encoded_again"] is False
    said = describe_file(video)
    assert re.search(r"Stream #0:\d.*\(eng\): Subtitle: mov_text", said)
    assert "Video: h264" in said
    assert "Audio: aac" in said
    track = tmp_path / "track.srt"
    call_ffmpeg("-i", str(video), "-map", "0:s:0", str(track))
    shown, written = track.read_text(), (runs.folder / "subtitles" / "subtitles.srt").read_text()
    assert _times(shown) == _times(written)
    heard = " ".join(line for line in shown.splitlines() if re.search("[a-z]", line))
    rate = _word_error_rate(" ".join(SAID), heard)
    print(f"word error rate of tiny.en: {rate:.1%}")
    assert rate <= HIGHEST_WORD_ERROR_RATE


def test_after_a_kill_in_stage_3_stage_1_is_kept(runs) -> None:
    assert runs.after_kill["stages"].keys() == {"demux", "tmdb", "pre_ner"}
    assert f"Resuming job {runs.folder.name}: 1 stage kept so far" in runs.output
    again = [name for name, one in runs.after_all["stages"].items() if one["attempt"] > 1]
    assert again == ["tmdb", "pre_ner"]


def test_with_an_output_deleted_only_its_stage_and_those_after_it_run(runs) -> None:
    ran = [name for name, (before, after) in runs.attempts().items() if after > before]
    # Those that were skipped are tried again, as what they lacked may be there now.
    assert [name for name in ran if name not in SKIPPED] == ["post_ner", "subtitle_gen", "mux"]
    kept = re.findall(r"stage \d+/10 (\w+): kept", runs.again.stdout)
    assert kept == ["demux", "pre_ner", "silero_vad", "asr"]
    assert runs.manifest["pipeline"]["status"] == "completed"
    assert runs.subtitles() == runs.before


def test_the_file_has_the_stages_as_they_are_in_the_code() -> None:
    pipeline = read_pipeline(SHIPPED["media"])
    assert [one.name for one in pipeline.stages] == [one.name for one in media_stages.STAGES]
    for stage, one in zip(pipeline.stages, media_stages.STAGES, strict=True):
        assert set(pipeline.depends_on[stage.name]) == set(one.after)
        limits = (stage.timeout_s, stage.optional, stage.retries)
        assert limits == (one.timeout_s, not one.is_critical, one.attempts - 1)


@pytest.fixture
def call(tmp_path) -> StageCall:
    """Returns the call of a stage without a device, whose settings name a large model."""
    config = tmp_path / ".env"
    config.write_text("MEDIA_ASR_MODEL=/models/large\n", encoding="utf-8")
    paths = dict.fromkeys(("output_dir", "log_dir", "pipeline_dir"), tmp_path)
    return StageCall(
        input=tmp_path / "x.mp4",
        job="20261130-001",
        stage="asr",
        config=config,
        inputs={},
        outputs={},
        skipped=(),
        has_device=False,
        **paths,
    )


def test_a_large_model_is_given_a_gpu_unless_the_job_is_for_the_cpu(call) -> None:
    with pytest.raises(DeviceNeeded):
        run(call)
    with pytest.raises(InputOutdated, match="Run the stage silero_vad first"):
        run(replace(call, has_device=True))
    call.config.write_text("MEDIA_ASR_MODEL=/models/large\nDEVICE=cpu\n", encoding="utf-8")
    with pytest.raises(InputOutdated):
        run(call)


def test_a_key_is_taken_from_the_settings_but_not_from_a_copy_without_secrets(
    call, monkeypatch
) -> None:
    monkeypatch.setenv("TMDB_API_KEY", "")
    monkeypatch.setattr(tmdb, "find_title", lambda *_: pytest.fail("it has a key"))
    call = replace(call, stage="tmdb")
    call.config.write_text("TMDB_API_KEY='***'\n", encoding="utf-8")
    with pytest.raises(StageSkipped, match="there is no key for TMDB in TMDB_API_KEY"):
        run(call)
    call.config.write_text("TMDB_API_KEY=0123456789abcdef\n", encoding="utf-8")
    with pytest.raises(pytest.fail.Exception, match="it has a key"):
        run(call)


def test_every_setting_is_a_reason_for_a_stage_to_run_again() -> None:
    read = {one for stage in read_pipeline(SHIPPED["media"]).stages for one in stage.settings}
    assert read == {f"MEDIA_{name.upper()}" for name in MediaSettings.model_fields}


def test_settings_are_variables_of_the_job(tmp_path) -> None:
    given = {"MEDIA_TITLE": "The Marsh", "MEDIA_YEAR": "2024", "LOG_LEVEL": "info"}
    found = read_media_settings(given, tmp_path)
    assert (found.title, found.year, found.language) == ("The Marsh", 2024, "en")
    with pytest.raises(ConfigInvalid, match="unknown setting titel; valid here: asr_model"):
        read_media_settings({"MEDIA_TITEL": "x"}, tmp_path)


def _times(srt: str) -> list[tuple[str, str]]:
    return re.findall(r"(\S+) --> (\S+)", srt)


def _plain(word: str) -> str:
    return re.sub(r"[^\w']", "", word).lower()


def _word_error_rate(said: str, heard: str) -> float:
    """Returns insertions, deletions and replacements per word that was said."""
    expected, words = ([_plain(word) for word in text.split()] for text in (said, heard))
    row = list(range(len(words) + 1))
    for number, word in enumerate(expected, start=1):
        before, row[0] = row[0], number
        for place, other in enumerate(words, start=1):
            cost = min(row[place] + 1, row[place - 1] + 1, before + (word != other))
            before, row[place] = row[place], cost
    return row[-1] / len(expected)
