"""Real files, whole and damaged, through the door every reader uses."""

import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from badc_core.audio import reader
from badc_core.audio.channel import EACH
from badc_core.audio.channel_files import open_channels
from badc_core.audio.containers import examine, require_content
from badc_core.audio.reader import AudioFile
from badc_core.audio.view import WHOLE
from badc_core.errors import ChannelMissing, ContentMissing, UnreadableRecording

RATE_HZ = 16_000
HEADER_BYTES = 44


def noise(n_samples: int, n_channels: int = 1) -> np.ndarray:
    samples = np.random.default_rng(7).normal(0, 0.1, (n_samples, n_channels))
    return samples.astype(np.float32)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    path = tmp_path / "whole.wav"
    sf.write(path, noise(3 * RATE_HZ), RATE_HZ, subtype="PCM_16")
    return path


def edited(wav: Path, name: str, content: bytes) -> Path:
    path = wav.with_name(name)
    path.write_bytes(content)
    return path


def with_data_size(content: bytes, n_bytes: int) -> bytes:
    return content[:40] + struct.pack("<I", n_bytes) + content[44:]


def decode(path: Path) -> np.ndarray:
    with AudioFile(path) as audio:
        return np.concatenate(list(audio.blocks()))


def test_a_whole_wav_passes(wav: Path) -> None:
    assert examine(wav) == WHOLE
    assert len(decode(wav)) == 3 * RATE_HZ


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    path.touch()
    with pytest.raises(UnreadableRecording, match="empty"):
        AudioFile(path)


def test_text_renamed_to_wav_is_called_not_audio(tmp_path: Path) -> None:
    path = tmp_path / "notes.wav"
    path.write_text("It rained.\n")
    with pytest.raises(UnreadableRecording, match="not audio"):
        AudioFile(path)


def test_a_file_of_zeros_is_called_not_audio(tmp_path: Path) -> None:
    path = tmp_path / "preallocated.wav"
    path.write_bytes(bytes(100_000))
    with pytest.raises(UnreadableRecording, match="nothing but zeros"):
        AudioFile(path)


def test_a_truncated_wav_says_what_it_promises_and_what_is_there(wav: Path) -> None:
    half = edited(wav, "half.wav", wav.read_bytes()[: HEADER_BYTES + RATE_HZ * 3])
    with pytest.raises(UnreadableRecording, match=r"promises 3\.00 s, 1\.50 s are there"):
        AudioFile(half)


def test_a_wav_cut_inside_its_header_is_refused(wav: Path) -> None:
    for n_bytes in (4, 12, 20, 36, 43):
        with pytest.raises(UnreadableRecording):
            AudioFile(edited(wav, f"cut{n_bytes}.wav", wav.read_bytes()[:n_bytes]))


def test_a_header_that_disagrees_in_an_unknown_way_is_refused(wav: Path) -> None:
    content = with_data_size(wav.read_bytes(), 1000)
    with pytest.raises(UnreadableRecording, match="never completed"):
        AudioFile(edited(wav, "interrupted.wav", content))


def test_padding_and_further_chunks_after_the_sound_are_tolerated(wav: Path) -> None:
    content = wav.read_bytes()
    for tail in (b"\0", b"\x07", bytes(5000), b"LIST\x04\0\0\0INFO", b"guan\x01\0\0\0a\0"):
        assert len(decode(edited(wav, "tail.wav", content + tail))) == 3 * RATE_HZ


def test_the_known_length_error_of_old_frontier_labs_recorders_is_tolerated(wav: Path) -> None:
    content = with_data_size(wav.read_bytes(), wav.stat().st_size)
    assert len(decode(edited(wav, "bar.wav", content))) == 3 * RATE_HZ


def test_a_wav_without_samples_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.wav"
    sf.write(path, noise(0), RATE_HZ)
    with pytest.raises(UnreadableRecording, match="no sound"):
        AudioFile(path)


def test_an_rf64_file_is_read_by_its_long_size(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    sf.write(path, noise(RATE_HZ), RATE_HZ, format="RF64", subtype="PCM_16")
    assert len(decode(path)) == RATE_HZ
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UnreadableRecording, match="truncated"):
        AudioFile(path)


@pytest.mark.parametrize("ending", ["flac", "ogg", "mp3", "aiff"])
def test_a_truncated_file_never_decodes_as_a_shorter_one(tmp_path: Path, ending: str) -> None:
    whole = tmp_path / f"whole.{ending}"
    sf.write(whole, noise(20 * RATE_HZ), RATE_HZ)
    assert len(decode(whole)) == 20 * RATE_HZ
    for share in (0.3, 0.7, 0.99):
        cut = tmp_path / f"cut.{ending}"
        cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
        with pytest.raises(UnreadableRecording):
            decode(cut)


def test_a_truncated_field_recording_fails_when_it_is_decoded(
    field_audio: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.flac"
    content = (field_audio / "soundscape.flac").read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableRecording):
        decode(cut)


def test_a_range_beyond_the_damage_fails_too(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.flac", tmp_path / "broken.flac"
    sf.write(whole, noise(20 * RATE_HZ), RATE_HZ)
    content = bytearray(whole.read_bytes())
    content[len(content) // 2 : -30_000] = bytes(len(content) - 30_000 - len(content) // 2)
    broken.write_bytes(content)
    with AudioFile(broken) as audio:
        assert len(audio.read(0, RATE_HZ)) == RATE_HZ
        with pytest.raises(UnreadableRecording):
            audio.read(15 * RATE_HZ, 16 * RATE_HZ)


def without_length_header(mp3: Path) -> bytes:
    """Drops the first frame, where LAME says how many follow."""
    content = mp3.read_bytes()
    place = max(content.find(b"Xing"), content.find(b"Info"))
    assert 0 < place < 100
    return content[content.index(content[:2], place) :]


def test_an_mp3_without_a_length_is_decoded_to_its_end(tmp_path: Path) -> None:
    whole, bare = tmp_path / "whole.mp3", tmp_path / "bare.mp3"
    samples = noise(20 * 44_100)
    samples[3 * 44_100 :] *= 0.001  # the bit rate falls, so libsndfile's guess is far too short
    sf.write(whole, samples, 44_100, bitrate_mode="VARIABLE", compression_level=0.5)
    bare.write_bytes(without_length_header(whole))
    with sf.SoundFile(bare) as guessed:
        assert guessed.frames < 15 * 44_100
    with AudioFile(bare) as audio:
        assert abs(audio.n_samples - 20 * 44_100) <= 3 * 1152
    assert len(decode(bare)) == audio.n_samples


def test_the_shortest_recording_is_readable(field_audio: Path) -> None:
    assert len(decode(field_audio / "veryshort.wav")) == 6266


def test_all_field_recordings_decode_to_their_promised_length(field_audio: Path) -> None:
    for path in field_audio.iterdir():
        if path.suffix in {".wav", ".flac", ".mp3"}:
            with AudioFile(path) as audio:
                assert sum(map(len, audio.blocks())) == audio.n_samples


@pytest.fixture(scope="module", params=["wav", "flac", "ogg", "mp3", "bare.mp3", "field.mp3"])
def decoded(request, tmp_path_factory) -> tuple[Path, np.ndarray]:
    path = tmp_path_factory.mktemp("seek") / f"recording.{request.param}"
    if request.param == "field.mp3":
        field = request.getfixturevalue("field_audio")
        shutil.copyfile(field / "CommonYellowthroat.mp3", path)
    elif request.param == "bare.mp3":
        whole = path.with_name("whole.mp3")
        sf.write(whole, noise(5 * 44_100), 44_100)
        path.write_bytes(without_length_header(whole))
    else:
        sf.write(path, noise(5 * 44_100), 44_100)
    if request.param == "bare.mp3":
        return path, decode(path)[:, 0]
    whole, _ = sf.read(path, dtype="float32")
    return path, whole


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ranges=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 40_000)), min_size=1, max_size=5))
def test_any_range_equals_that_slice_of_the_whole(decoded, ranges) -> None:
    path, whole = decoded
    with AudioFile(path) as audio:
        for share, n_samples in ranges:
            start = int(share * (len(whole) - 1))
            end = min(len(whole), start + n_samples)
            np.testing.assert_array_equal(audio.read(start, end), whole[start:end])
        np.testing.assert_array_equal(np.concatenate(list(audio.blocks()))[:, 0], whole)


@pytest.mark.parametrize("ending", ["mp3", "ogg"])
def test_windows_that_overlap_are_decoded_once(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{ending}"
    sf.write(path, noise(5 * RATE_HZ), RATE_HZ)
    with AudioFile(path) as audio:
        whole = np.concatenate(list(audio.blocks()))[:, 0]
    with AudioFile(path) as audio:
        decoder = audio._file
        for start in range(0, 4 * RATE_HZ, RATE_HZ // 2):
            window = audio.read(start, start + RATE_HZ)
            np.testing.assert_array_equal(window, whole[start : start + RATE_HZ])
            window[:] = 0  # as a network of the user's own may
        assert audio._file is decoder, "went back to the beginning"


def test_a_recording_longer_than_a_block_decodes_as_in_one_piece(decoded, monkeypatch) -> None:
    path, whole = decoded
    monkeypatch.setattr(reader, "_BLOCK_SAMPLES", 5000)  # else minutes of sound would be needed
    np.testing.assert_array_equal(decode(path)[:, 0], whole)


def test_channels_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    samples = noise(1000, 2)
    sf.write(path, samples, RATE_HZ, subtype="FLOAT")
    with AudioFile(path) as audio:
        read = audio.read(0, 1000)
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, samples.mean(axis=1), atol=1e-7)


def test_a_link_without_content_is_missing_not_unreadable(tmp_path: Path) -> None:
    link = tmp_path / "annexed.wav"
    link.symlink_to(".git/annex/objects/xx/yy/MD5E-s10--abc.wav")
    with pytest.raises(ContentMissing, match="datalad get"):
        AudioFile(link)


def test_an_unlocked_pointer_without_content_is_missing_not_unreadable(tmp_path: Path) -> None:
    pointer = tmp_path / "annexed.wav"
    pointer.write_text("/annex/objects/MD5E-s105842246--abc.wav\n")
    with pytest.raises(ContentMissing, match="datalad get"):
        AudioFile(pointer)


def test_the_command_of_a_remedy_names_the_file_whatever_it_is_called(tmp_path: Path) -> None:
    link = tmp_path / "Sambaa K'e; echo.wav"
    link.symlink_to(".git/annex/objects/xx/yy/MD5E-s10--abc.wav")
    with pytest.raises(ContentMissing) as caught:
        require_content(link)
    command = caught.value.remedy.removeprefix("Run: ")
    assert shlex.split(command) == ["datalad", "get", str(link)]


def test_an_absent_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ContentMissing, match="gone"):
        require_content(tmp_path / "absent.wav")


def test_a_forbidden_file_is_unreadable_and_says_so(wav: Path) -> None:
    # Permissions do not bind root, so root asks as another user, who must reach the folder.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        forbidden = Path(folder) / "forbidden.wav"
        shutil.copyfile(wav, forbidden)
        forbidden.chmod(0)
        answer = check_as_ordinary_user(forbidden)
    assert "no permission to read it" in answer
    assert "chmod u+r" in answer


def check_as_ordinary_user(path: Path) -> str:
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from badc_core.audio.containers import examine\n"
        "from badc_core.errors import UnreadableRecording\n"
        "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "try: examine(Path(sys.argv[1]))\n"
        "except UnreadableRecording as error: print(error)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    return answer.stdout


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
def test_a_channel_is_read_as_it_is_in_any_order(tmp_path: Path, name: str) -> None:
    sound = noise(2 * RATE_HZ, 3 if name != "a.mp3" else 2)
    sf.write(tmp_path / name, sound, RATE_HZ)
    whole = decode(tmp_path / name)
    for channel in range(whole.shape[1]):
        with AudioFile(tmp_path / name, channel=channel) as audio:
            for start, end in ((9_000, 20_000), (5, 3_000), (3_000, len(whole))):
                np.testing.assert_array_equal(audio.read(start, end), whole[start:end, channel])
    each = open_channels(tmp_path / name, EACH)
    assert [one.channel for one in each] == list(range(whole.shape[1]))
    for number, audio in enumerate(each):
        np.testing.assert_array_equal(audio.read(0, len(whole)), whole[:, number])
        audio.close()


def test_a_file_without_the_channel_says_how_many_it_has(wav: Path) -> None:
    with pytest.raises(ChannelMissing, match="1 channel, so there is no channel 2 to analyse"):
        AudioFile(wav, channel=1)
