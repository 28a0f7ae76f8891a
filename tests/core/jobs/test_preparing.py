"""`badc job prepare`: a job for a media file, or for a part of one."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.commands import run_badc

from badc_core.chunks.muting import require_unmuted
from badc_core.chunks.place import CutRequest
from badc_core.chunks.writer import write_chunks
from badc_core.errors import ConfigInvalid
from badc_core.jobs import load_manifest
from badc_core.jobs.environment import read_text, variables
from badc_core.jobs.finding import JobFinder
from badc_core.jobs.job_states import summarize
from badc_core.jobs.places import job_places
from badc_core.jobs.preparing import Preparation, prepare_job
from badc_core.media import demux
from badc_core.media.folder import MediaFolder
from badc_core.media_settings import MediaSettings

RATE_HZ = 16_000
PLANTED = "hf_3f9ab77c21d0"


@pytest.fixture
def root(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("BADC_JOBS", str(tmp_path / "jobs"))
    (tmp_path / "jobs" / "config").mkdir(parents=True)
    (tmp_path / "jobs" / "config" / ".env").write_text(f"HF_TOKEN={PLANTED}\nDEVICE=old\n")
    return tmp_path


def _ramp(path: Path, seconds: int) -> np.ndarray:
    samples = np.arange(seconds * RATE_HZ, dtype=np.int32)
    samples = (samples % 30_000).astype(np.int16)
    soundfile.write(path, samples, RATE_HZ, subtype="PCM_16")
    return samples


def test_a_job_is_prepared_for_a_whole_file(root) -> None:
    media = root / "Dawn Chorus (2025).wav"
    _ramp(media, 1)
    done = run_badc(
        *("job", "prepare", media.name, "--workflow", "count", "--device", "cpu", "--json"),
        folder=root,
    )
    job = json.loads(done.stdout)
    manifest = load_manifest(Path(job["output_dir"]))
    assert manifest["input"] == {"file": str(media), "title": "Dawn Chorus", "year": 2025}
    settings = variables(read_text(Path(job["env_file"])))
    assert settings["HF_TOKEN"] == PLANTED
    assert (settings["INPUT_FILE"], settings["WORKFLOW"]) == (str(media), "count")
    assert settings["DEVICE"] == "cpu"
    assert "HF_TOKEN=***\n" in read_text(Path(job["env_backup"]))
    listed = json.loads(run_badc("job", "list", "--json", folder=root).stdout)
    assert [(one["state"], one["input"]) for one in listed] == [("created", "Dawn Chorus")]


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_part_is_cut_out(root, ending) -> None:
    media = root / f"-a 'b\n.{ending}"
    samples = _ramp(media, 10)
    job = json.loads(
        run_badc(
            *("job", "prepare", "--start", "0:02", "--end", "5.5", "--json", "--", media.name),
            folder=root,
        ).stdout
    )
    clip = Path(job["input"]["file"])
    assert clip == Path(job["output_dir"], "media", media.name)
    cut, rate_hz = soundfile.read(clip, dtype="int16")
    assert rate_hz == RATE_HZ
    assert len(cut) == pytest.approx(3.5 * RATE_HZ, abs=0.3 * RATE_HZ)
    start = 2 * RATE_HZ
    assert abs(int(np.flatnonzero(samples[start - RATE_HZ :] == cut[0])[0]) - RATE_HZ) < 5_000
    assert np.array_equal(np.diff(cut[:100].astype(int)), np.ones(99))
    settings = variables(read_text(Path(job["env_file"])))
    assert (settings["CLIP_START_S"], settings["CLIP_END_S"]) == ("2", "5.5")
    assert settings["CLIP_FILE"] == str(clip)
    shown = run_badc("job", "show", job["job_id"], folder=root).stdout
    assert f"{str(media).replace(chr(10), '?')} from 2 s to 5.5 s, {settings['DEVICE']}\n" in shown


def test_no_part_is_cut_out_of_a_dataset_that_mutes_speech(root) -> None:
    media = root / "dataset" / "audio" / "S1" / "a.wav"
    media.parent.mkdir(parents=True)
    _ramp(media, 1)
    (root / "dataset" / "badc.toml").write_text('[speech]\nprivacy = "mute"\n')
    (root / "link.wav").symlink_to(media)
    for name in (media, "link.wav"):
        done = run_badc("job", "prepare", name, "--end", "0.5", folder=root, code=1)
        assert 'speech.privacy is "mute"' in done.stderr
    with pytest.raises(ConfigInvalid, match=r"speech\.privacy"):
        demux.run(MediaFolder(media, root / "outputs"), MediaSettings())
    with pytest.raises(ConfigInvalid, match=f"badc chunk run {media}"):
        write_chunks(root / "link.wav", CutRequest(1.0, output_dir=root / "cut"))
    folders = ("jobs", "outputs", "cut")
    assert not [one for folder in folders for one in (root / folder).rglob("*.wav")]


def test_chunk_files_in_which_speech_is_muted_may_be_copied(root) -> None:
    media = root / "dataset" / "audio" / "S1" / "a.wav"
    media.parent.mkdir(parents=True)
    _ramp(media, 20)
    settings = root / "dataset" / "badc.toml"
    settings.write_text('[speech]\nprivacy = "flag"\n')
    folder = write_chunks(media, CutRequest(10.0)).folder
    settings.write_text('[speech]\nprivacy = "mute"\n')
    chunk, other = sorted(folder.glob("*.wav"))
    with pytest.raises(ConfigInvalid, match=r"speech\.privacy"):
        require_unmuted(chunk)  # it was cut before
    write_chunks(media, CutRequest(10.0))
    require_unmuted(chunk)
    (root / "link.wav").symlink_to(chunk)
    require_unmuted(root / "link.wav")
    _ramp(other, 1)
    with pytest.raises(ConfigInvalid, match=r"speech\.privacy"):
        require_unmuted(other)  # it is not what was written


def test_an_interrupted_preparation_is_a_failed_job_without_secrets(root) -> None:
    _ramp(root / "a.wav", 1)

    def interrupted(_target: Path) -> None:
        raise KeyboardInterrupt

    wanted = Preparation(root / "a.wav", "ana", 0.0, 1.0, "", "cpu")
    with pytest.raises(KeyboardInterrupt):
        prepare_job(job_places(), wanted, interrupted)
    (job,) = JobFinder(job_places()).jobs()
    assert summarize(job).state == "failed"
    assert not list((root / "jobs" / "config").glob(".env.job_*"))


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("--start", "1:2:3:4"), 2, "not a time"),
        (("--start", "-1"), 2, "not a time"),
        (("--end", "0"), 2, "must be after"),
        (("--start", "9", "--end", "0:08"), 2, "must be after"),
        (("--device", "tpu"), 2, "use one of"),
    ],
)
def test_bad_words_create_nothing(root, words, code, why) -> None:
    _ramp(root / "a.wav", 1)
    assert why in run_badc("job", "prepare", "a.wav", *words, folder=root, code=code).stderr
    assert "no such file" in run_badc("job", "prepare", "b.wav", folder=root, code=1).stderr
    assert not (root / "jobs" / "out").exists()


@pytest.mark.parametrize(
    ("name", "words", "why"),
    [
        ("a.wav", ("--start", "2:00"), "is over after 1.0 s. Let the part begin before"),
        ("a.wav", ("--end", "1.1"), "is over after 1.0 s. Let the part end before"),
        ("a.txt", (), "there is neither sound nor video in it"),
        ("a.srt", ("--end", "1"), "there is neither sound nor video in it"),
    ],
)
def test_what_is_no_media_or_is_over_before_creates_nothing(root, name, words, why) -> None:
    _ramp(root / "a.wav", 1)
    for text in ("a.txt", "a.srt"):
        (root / text).write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    assert why in run_badc("job", "prepare", name, *words, folder=root, code=1).stderr
    assert not (root / "jobs" / "out").exists()
    run_badc("job", "prepare", "a.wav", "--end", "1", folder=root)
