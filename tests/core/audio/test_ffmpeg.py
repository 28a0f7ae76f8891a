"""What libsndfile cannot read is decoded by ffmpeg, streamed, to its true end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from badc_core.audio import containers, ffmpeg, reader
from badc_core.audio.ffmpeg import FfmpegFile, find_ffmpeg
from badc_core.audio.reader import AudioFile
from badc_core.datasets.dataset import Dataset
from badc_core.errors import UnreadableRecording
from badc_core.recordings import scan
from badc_core.recordings.describe import describe_recording
from badc_core.recordings.registry import (
    RegisteredRecording,
    forget_missing,
    register_recordings,
)
from badc_core.recordings.scan import find_audio, list_folders
from tests.support.ffmpeg_files import encode_with_ffmpeg

RATE_HZ = 44_100
N_SAMPLES = 2 * RATE_HZ
AAC = ("-c:a", "aac", "-b:a", "128k")


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "source.wav"
    time_s = np.arange(N_SAMPLES) / RATE_HZ
    sf.write(path, 0.3 * np.sin(2 * np.pi * (500 + 1000 * time_s) * time_s), RATE_HZ)
    return path


@pytest.fixture(scope="module")
def m4a(source: Path) -> Path:
    return encode_with_ffmpeg(source, source.with_name("whole.m4a"), *AAC)


def decode(path: Path, **options) -> tuple[np.ndarray, tuple[str, ...]]:
    with AudioFile(path, **options) as audio:
        samples = np.concatenate(list(audio.blocks()))
        assert len(samples) == audio.n_samples
        return samples, audio.warnings


FORMATS = {
    "m4a": ("M4A", AAC, 0),
    "mov": ("MOV", ("-c:a", "pcm_s16le"), 0),
    "3gp": ("3GP", AAC, 0),
    "mka": ("MATROSKA", AAC, 1024),
    "webm": ("MATROSKA", ("-c:a", "libopus", "-ar", "48000"), 0),
    "aac": ("AAC", AAC, 3072),
    "wma": ("ASF", ("-c:a", "wmav2"), 2048),
    "ac3": ("AC3", ("-c:a", "ac3"), 1536),
    "wv": ("WV", ("-c:a", "wavpack"), 0),
    "tta": ("TTA", ("-c:a", "tta"), 0),
}


@pytest.mark.parametrize("ending", FORMATS)
def test_a_format_that_only_ffmpeg_reads_is_decoded_to_its_end(
    source: Path, tmp_path: Path, ending: str
) -> None:
    name, options, spare = FORMATS[ending]
    samples, warnings = decode(encode_with_ffmpeg(source, tmp_path / f"a.{ending}", *options))
    rate_hz = 48_000 if ending == "webm" else RATE_HZ
    assert abs(len(samples) - N_SAMPLES * rate_hz // RATE_HZ) <= spare
    assert warnings == ()
    with AudioFile(tmp_path / f"a.{ending}") as audio:
        assert (audio.format, audio.sample_rate_hz, audio.n_channels) == (name, rate_hz, 1)
        assert audio.decoder.startswith("ffmpeg ")
    assert 0.2 < np.sqrt(2 * np.mean(samples**2)) < 0.4


@pytest.mark.parametrize("codec", ["alac.m4a", "wv", "tta"])
def test_what_is_stored_without_loss_is_read_without_loss(
    source: Path, tmp_path: Path, codec: str
) -> None:
    options = ("-c:a", "alac") if codec == "alac.m4a" else ()
    samples, _ = decode(encode_with_ffmpeg(source, tmp_path / f"a.{codec}", *options))
    np.testing.assert_array_equal(samples[:, 0], sf.read(source, dtype="float32")[0])


REFUSED = {"a.oga": ("flac", "ogg"), "a.caf": ("alac", "caf"), "b.caf": ("flac", "caf")}


@pytest.mark.parametrize("name", REFUSED)
def test_what_libsndfile_refuses_is_read_by_ffmpeg_without_loss(
    source: Path, tmp_path: Path, name: str
) -> None:
    codec, container = REFUSED[name]
    path = encode_with_ffmpeg(source, tmp_path / name, "-c:a", codec, "-f", container)
    samples, warnings = decode(path)
    np.testing.assert_array_equal(samples[:, 0], sf.read(source, dtype="float32")[0])
    assert warnings == ()
    with AudioFile(path, expected_samples=N_SAMPLES) as audio:
        np.testing.assert_array_equal(audio.read(60_000, 61_000), samples[60_000:61_000, 0])
        np.testing.assert_array_equal(audio.read(100, 5000), samples[100:5000, 0])


@pytest.mark.parametrize("name", REFUSED)
def test_damage_in_what_only_ffmpeg_reads_is_no_sound(
    source: Path, tmp_path: Path, name: str
) -> None:
    codec, container = REFUSED[name]
    path = encode_with_ffmpeg(source, tmp_path / name, "-c:a", codec, "-f", container)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = np.random.default_rng(1).bytes(40)
    path.write_bytes(content)
    with pytest.raises(UnreadableRecording, match=r"cannot be decoded.*If another program plays"):
        decode(path)
    path.write_bytes(content[:middle])
    with pytest.raises(UnreadableRecording, match="truncated"):
        decode(path)


def test_what_libsndfile_refuses_names_ffmpeg_where_there_is_none(
    source: Path, tmp_path: Path, monkeypatch
) -> None:
    path = encode_with_ffmpeg(source, tmp_path / "a.caf", "-c:a", "alac")
    monkeypatch.setattr(containers, "find_ffmpeg", lambda: None)
    with pytest.raises(UnreadableRecording, match=r"ffmpeg may read it\. Run: pip") as raised:
        decode(path)
    assert "Copy it again" not in str(raised.value)


def test_what_nothing_decodes_is_not_said_to_lack_sound(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    content = bytearray(source.read_bytes())
    content[20:22] = b"\xfe\x7f"
    path.write_bytes(content)
    with pytest.raises(UnreadableRecording, match=r"cannot be decoded .*If another program plays"):
        decode(path)


def test_an_mp3_without_a_frame_is_refused_in_plain_words(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(b"\xff\xfb\x90\x64" + bytes(range(16)))
    with pytest.raises(UnreadableRecording) as raised:
        decode(path)
    assert "cannot be decoded (neither libsndfile nor ffmpeg recognises it)" in str(raised.value)


def test_an_mp3_whose_last_frame_is_cut_is_truncated(source: Path, tmp_path: Path) -> None:
    path = encode_with_ffmpeg(source, tmp_path / "a.mp3")
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UnreadableRecording, match="truncated"):
        decode(path)
    samples, (warning,) = decode(path, accept_truncated=True)
    assert 0 <= N_SAMPLES - len(samples) <= 2 * 1152
    assert "It is cut off" in warning


MP3_IN_WAV = {"cbr": ("-b:a", "64k"), "low": ("-b:a", "64k", "-ar", "24000"), "vbr": ("-q:a", "5")}


@pytest.mark.parametrize("kind", MP3_IN_WAV)
def test_an_mp3_in_a_wav_is_read_to_its_end(source: Path, tmp_path: Path, kind: str) -> None:
    options = ("-c:a", "libmp3lame", *MP3_IN_WAV[kind])
    path = encode_with_ffmpeg(source, tmp_path / "a.wav", *options)
    (tmp_path / "decoded").mkdir()
    decoded = sf.info(encode_with_ffmpeg(path, tmp_path / "decoded/a.wav", "-c:a", "pcm_s16le"))
    samples, warnings = decode(path)
    # Of variable rate the delay of the decoder is left out, 529 samples.
    assert decoded.frames - len(samples) == (529 if kind == "vbr" else 0)
    assert warnings == ()
    with AudioFile(path) as audio:
        for start, end in ((30_000, 40_000), (20_000, 21_000), (100, 5000)):
            np.testing.assert_array_equal(audio.read(start, end), samples[start:end, 0])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableRecording, match="truncated"):
        AudioFile(path)
    half, _ = decode(path, accept_truncated=True)
    assert 0.3 < len(half) / len(samples) < 0.7


def test_a_wav_around_two_mp3s_is_refused(source: Path, tmp_path: Path) -> None:
    path = encode_with_ffmpeg(source, tmp_path / "a.wav", "-c:a", "libmp3lame")
    content = bytearray(path.read_bytes())
    sound = content[content.index(b"data") :]
    content += bytes(len(content) % 2) + sound
    content[4:8] = (len(content) - 8).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(UnreadableRecording, match="a WAV around 2 MP3s"):
        AudioFile(path)


def test_any_range_equals_that_slice_of_the_whole(m4a: Path) -> None:
    whole, _ = decode(m4a)
    with AudioFile(m4a, expected_samples=len(whole)) as audio:
        for start, end in ((60_000, 70_000), (70_000, len(whole)), (100, 5000), (4000, 6000)):
            np.testing.assert_array_equal(audio.read(start, end), whole[start:end, 0])


def test_channels_are_kept_apart(source: Path, tmp_path: Path) -> None:
    left = "pan=stereo|c0=c0|c1=0*c0"
    samples, _ = decode(encode_with_ffmpeg(source, tmp_path / "a.wv", "-af", left))
    assert samples.shape == (N_SAMPLES, 2)
    assert np.abs(samples[:, 0]).max() > 0.2
    assert not samples[:, 1].any()


CUT = {"m4a": (*AAC, "-movflags", "+faststart"), "mka": AAC, "aac": AAC}


@pytest.mark.parametrize("ending", CUT)
def test_what_is_left_of_a_file_that_was_cut_off_is_read_only_where_asked_for(
    source: Path, tmp_path: Path, ending: str
) -> None:
    path = encode_with_ffmpeg(source, tmp_path / f"a.{ending}", *CUT[ending])
    os.truncate(path, path.stat().st_size * 2 // 3)
    with pytest.raises(UnreadableRecording, match=r"truncated: .* s .*can be decoded \(ffmpeg: "):
        decode(path)
    samples, warnings = decode(path, accept_truncated=True)
    assert N_SAMPLES // 2 < len(samples) < N_SAMPLES * 3 // 4
    assert warnings[0].startswith("It is cut off: ")
    with AudioFile(path, expected_samples=len(samples)) as audio:
        np.testing.assert_array_equal(audio.read(0, len(samples)), samples[:, 0])


def test_an_m4a_whose_recorder_lost_power_says_what_is_missing(m4a: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.m4a"
    path.write_bytes(m4a.read_bytes()[:-5000])
    with pytest.raises(UnreadableRecording, match=r"truncated: its table of contents \(moov\)"):
        AudioFile(path)


@pytest.mark.parametrize("accept", [False, True])
def test_a_damaged_m4a_is_never_a_shorter_sound(m4a: Path, tmp_path: Path, accept: bool) -> None:
    content = bytearray(m4a.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 2000] = bytes(2000)
    path = tmp_path / "damaged.m4a"
    path.write_bytes(content)
    with pytest.raises(UnreadableRecording, match=r"promises 2\.00 s, 1\.\d\d s .*\(ffmpeg: "):
        decode(path, accept_truncated=accept)


def test_the_sound_of_a_video_is_taken_and_of_several_tracks_the_first(
    source: Path, tmp_path: Path
) -> None:
    picture = ("-f", "lavfi", "-i", "color=size=64x64:rate=5:duration=4")
    tracks = ("-map", "1:v", "-map", "0:a", "-map", "0:a", *AAC, "-c:v", "mpeg4")
    samples, warnings = decode(encode_with_ffmpeg(source, tmp_path / "a.mp4", *picture, *tracks))
    assert len(samples) == N_SAMPLES
    assert warnings == ("It has 2 tracks of sound; the first is taken.",)


def test_a_video_without_sound_is_refused_by_name(source: Path, tmp_path: Path) -> None:
    picture = ("-f", "lavfi", "-i", "color=size=64x64:rate=5:duration=1")
    path = encode_with_ffmpeg(source, tmp_path / "a.mp4", *picture, "-map", "1:v", "-c:v", "mpeg4")
    with pytest.raises(UnreadableRecording, match="there is no sound in it"):
        AudioFile(path)


def test_a_playlist_makes_ffmpeg_read_no_other_file(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{source}\n#EXT-X-ENDLIST\n")
    with pytest.raises(UnreadableRecording, match="not audio"):
        AudioFile(path)
    with pytest.raises(UnreadableRecording, match="cannot be decoded"):
        FfmpegFile(path)


@pytest.mark.parametrize("name", ["-i a.m4a", "a; echo b.m4a", "pipe:0.m4a", "a:b 'é' %03d.m4a"])
def test_a_name_is_never_read_as_an_option(m4a: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(m4a.read_bytes())
    assert len(decode(path)[0]) == N_SAMPLES


def test_a_file_that_changed_since_it_was_counted_is_refused(m4a: Path) -> None:
    with AudioFile(m4a, expected_samples=N_SAMPLES - 10) as audio:
        assert len(audio.read(0, 1000)) == 1000
        with pytest.raises(UnreadableRecording, match="changed since"):
            audio.read(1000, N_SAMPLES - 10)
    with (
        AudioFile(m4a, expected_samples=N_SAMPLES + 10) as audio,
        pytest.raises(UnreadableRecording, match="decoding stops"),
    ):
        audio.read(1000, N_SAMPLES + 10)


def test_ffmpeg_ends_when_its_reader_is_killed(source: Path, tmp_path: Path) -> None:
    long = encode_with_ffmpeg(source, tmp_path / "long.wv", "-af", "apad=whole_dur=60")
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from badc_core.audio.reader import AudioFile\n"
        "audio = AudioFile(Path(sys.argv[1]))\n"
        "print(audio._file._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(long)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        pid = int(child.stdout.readline())
        assert is_running(pid)
        child.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_that_hangs_is_given_up(m4a: Path, tmp_path: Path, monkeypatch) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(ffmpeg, "find_ffmpeg", lambda: str(program))
    monkeypatch.setattr(ffmpeg, "_SILENT_FOR_S", 0.1)  # else the test would take minutes
    with pytest.raises(UnreadableRecording, match="ffmpeg has not gone on"):
        AudioFile(m4a)


def test_the_one_on_path_goes_before_the_one_of_the_extra(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "imageio_ffmpeg" in str(find_ffmpeg.__wrapped__())
    (tmp_path / "ffmpeg").touch(0o755)
    assert find_ffmpeg.__wrapped__() == str(tmp_path / "ffmpeg")


@pytest.fixture
def dataset(m4a: Path, tmp_path: Path) -> Dataset:
    (tmp_path / "audio" / "S1").mkdir(parents=True)
    for name in ("20240501_050000.m4a", "20240501_060000.M4A"):
        (tmp_path / "audio" / "S1" / name).write_bytes(m4a.read_bytes())
    return Dataset.open(tmp_path)


def test_a_description_is_decoded_once_and_says_by_what(dataset: Dataset, monkeypatch) -> None:
    reads: list[int] = []
    read = FfmpegFile.read
    monkeypatch.setattr(
        reader.FfmpegFile, "read", lambda *a, **k: reads.append(len(got := read(*a, **k))) or got
    )
    (one, _) = register_recordings(dataset).registry
    recording = describe_recording(dataset, one)
    assert recording.n_samples == N_SAMPLES == sum(reads)
    assert recording.audio_format == "M4A"
    assert recording.start_local is not None
    assert recording.comments["Decoder"].startswith("ffmpeg ")


def test_comments_in_an_m4a_are_read(source: Path, tmp_path: Path) -> None:
    comment = "Recorded at 13:30:00 11/05/2023 (UTC-6) by AudioMoth 24E144085F256607"
    (tmp_path / "audio").mkdir()
    encode_with_ffmpeg(
        source, tmp_path / "audio" / "a.m4a", *AAC, "-metadata", f"comment={comment}"
    )
    recording = describe_recording(
        Dataset.open(tmp_path), RegisteredRecording("one", "audio/a.m4a")
    )
    assert recording.sources["start_local"] == "audiomoth"
    assert recording.utc_offset_min == -360


def test_without_ffmpeg_scan_says_which_files_need_it_and_none_is_forgotten(
    dataset: Dataset, monkeypatch
) -> None:
    register_recordings(dataset)
    (dataset.root / "audio" / "S1" / "20240501_070000.wav").write_bytes(b"")
    monkeypatch.setattr(scan, "find_ffmpeg", lambda: None)
    assert [one.path for one in find_audio(dataset)] == ["audio/S1/20240501_070000.wav"]
    said = list_folders(dataset).explain_passed_over()
    assert said == "Passed over: 2 .m4a (need ffmpeg: pip install 'badc[ffmpeg]')"
    assert forget_missing(dataset) == ()


def test_without_ffmpeg_its_absence_is_named(dataset: Dataset, monkeypatch) -> None:
    monkeypatch.setattr(ffmpeg, "find_ffmpeg", lambda: None)
    (one, _) = register_recordings(dataset).registry
    with pytest.raises(UnreadableRecording, match=r"need ffmpeg.*pip install 'badc\[ffmpeg\]'"):
        describe_recording(dataset, one)
