"""The length of a recording is what decodes, whatever its header says and whatever is around it."""

import re
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import plan_chunks
from badc_core.errors import BadcError, ConfigInvalid, ContentMissing, UnreadableRecording
from badc_core.settings import ChunkSettings
from tests.support.wave_files import (
    LENGTH_S,
    PCM,
    RATE_HZ,
    chunk,
    encode,
    flac_with_total,
    fmt,
    sound,
    wave,
)

N_SAMPLES = RATE_HZ * LENGTH_S
GUANO = chunk(b"guan", b"GUANO|Version: 1.0\n")
GOOD = wave(fmt(), chunk(b"data", PCM))
FLAC = encode(sound(), "FLAC", "PCM_16")
RANDOM = np.random.default_rng(4).bytes(2048)


def ds64(n_bytes: int) -> bytes:
    return chunk(b"ds64", struct.pack("<QQQI", 0, n_bytes, 0, 0))


def read(path: Path, content: bytes, **options) -> tuple[np.ndarray, tuple[str, ...]]:
    path.write_bytes(content)
    with AudioFile(path, **options) as audio:
        blocks = np.concatenate(list(audio.blocks()))
        assert len(blocks) == audio.n_samples
        middle = audio.n_samples // 2
        np.testing.assert_allclose(
            audio.read(middle, audio.n_samples), blocks[middle:].mean(axis=1), atol=1e-6
        )
        return blocks, audio.warnings


WRONG_SIZES = {
    "zero": wave(fmt(), chunk(b"data", PCM, 0), size=36),
    "all_ones": wave(fmt(), chunk(b"data", PCM, 0xFFFFFFFF), size=0xFFFFFFFF),
    "sox_pipe": wave(fmt(), chunk(b"data", PCM, 0x7FFFF000), size=0x7FFFF024),
    "arecord": wave(fmt(), chunk(b"data", PCM, 0x80000000), size=0x80000024),
    "almost_all_ones": wave(fmt(), chunk(b"data", PCM, 0xFFFFFFFF - 36), size=0xFFFFFFFF),
    "of_the_header": wave(fmt(), chunk(b"data", PCM, 44)),
    "of_the_file": wave(fmt(), chunk(b"data", PCM, len(PCM) + 44), size=len(PCM) + 44),
    "44_too_long": wave(fmt(), GUANO, chunk(b"data", PCM, len(PCM) + 44)),
    "ds64_zero": wave(ds64(0), fmt(), chunk(b"data", PCM, 0xFFFFFFFF), form=b"RF64"),
    "ds64_all_ones": wave(
        ds64((1 << 64) - 1), fmt(), chunk(b"data", PCM, 0xFFFFFFFF), form=b"RF64"
    ),
    "ds64_beyond_seek": wave(ds64(1 << 63), fmt(), chunk(b"data", PCM, 0xFFFFFFFF), form=b"RF64"),
    "ds64_beyond_file": wave(
        ds64((1 << 62) + 5), fmt(), chunk(b"data", PCM, 0xFFFFFFFF), form=b"RF64"
    ),
}


@pytest.mark.parametrize("name", WRONG_SIZES)
def test_a_wav_with_a_size_that_is_known_to_be_wrong_is_read_to_its_end(
    tmp_path: Path, name: str
) -> None:
    samples, warnings = read(tmp_path / "a.wav", WRONG_SIZES[name])
    np.testing.assert_array_equal(samples[:, 0] * 32768, np.frombuffer(PCM, "<i2"))
    assert len(warnings) == 1
    assert "9.00 s that are there are taken" in warnings[0]


HALF = len(PCM) // 2 & ~1
ODD_ORDERS = {
    "two_parts": (
        wave(fmt(), chunk(b"data", PCM[:HALF]), chunk(b"data", PCM[HALF:])),
        "in 2 parts, taken in their order",
    ),
    "three_parts": (
        wave(
            fmt(),
            chunk(b"data", PCM[:100]),
            GUANO,
            chunk(b"data", PCM[100:HALF]),
            chunk(b"data", PCM[HALF:], 0xFFFFFFFF),
        ),
        "in 3 parts, taken in their order",
    ),
    "last_part_open": (
        wave(fmt(), chunk(b"data", PCM[:HALF]), chunk(b"data", PCM[HALF:], 0)),
        "in 2 parts, taken in their order",
    ),
    "empty_part": (wave(fmt(), chunk(b"data", b""), chunk(b"data", PCM)), ""),
    "sound_first": (wave(chunk(b"data", PCM), fmt()), ""),
}


@pytest.mark.parametrize("name", ODD_ORDERS)
def test_a_wav_whose_chunks_are_in_another_order_is_read_whole(tmp_path: Path, name: str) -> None:
    content, warning = ODD_ORDERS[name]
    samples, warnings = read(tmp_path / "a.wav", content)
    np.testing.assert_array_equal(samples[:, 0] * 32768, np.frombuffer(PCM, "<i2"))
    assert warning in " ".join(warnings)
    assert bool(warnings) == bool(warning)


def test_a_last_part_that_is_cut_off_is_missed(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(ODD_ORDERS["two_parts"][0][:-1600])
    with pytest.raises(UnreadableRecording, match=r"promises 9\.00 s, 8\.90 s are there"):
        AudioFile(path)
    samples, _ = read(path, path.read_bytes(), accept_truncated=True)
    assert len(samples) == N_SAMPLES - 800


def test_what_is_promised_and_what_is_there_are_figures_that_differ(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(GOOD[:-70])
    with pytest.raises(UnreadableRecording, match=r"promises 9\.000 s, 8\.996 s are there"):
        AudioFile(path)


NIST = (
    "NIST_1A\n   1024\nchannel_count -i 1\nsample_count -i {}\nsample_rate -i {}\n"
    "sample_n_bytes -i 2\nsample_byte_format -s2 01\nsample_sig_bits -i 16\n"
    "sample_coding -s3 pcm\nend_head\n"
)


def test_a_wav_of_the_nist_is_read_and_its_end_is_missed(tmp_path: Path) -> None:
    head = NIST.format(N_SAMPLES, RATE_HZ).encode().ljust(1024)
    samples, warnings = read(tmp_path / "a.wav", head + PCM)
    assert (len(samples), warnings) == (N_SAMPLES, ())
    (tmp_path / "a.wav").write_bytes(head + PCM[:HALF])
    with pytest.raises(UnreadableRecording, match="truncated"):
        AudioFile(tmp_path / "a.wav")


FOLLOWED = {
    "random_bytes": GOOD + RANDOM,
    "id3": GOOD + b"ID3\x04\0\0\0\0\0\x0aTIT2" + bytes(10),
    "id3_and_no_size": wave(fmt(), chunk(b"data", PCM), size=0) + b"TAG" + RANDOM[:125],
    "text": GOOD + b"\r\nrecorded by hand\r\n",
    "wav_fragment": GOOD + GOOD[:5000],
    "another_wav": GOOD + GOOD,
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_whole_wav_followed_by_something_is_read_with_a_warning(
    tmp_path: Path, name: str
) -> None:
    samples, warnings = read(tmp_path / "a.wav", FOLLOWED[name])
    assert len(samples) == N_SAMPLES
    assert len(warnings) == 1


def with_number(content: bytes, before: bytes, skip: int, layout: str, number: int) -> bytes:
    """Returns a file in which the number some bytes behind a name is another."""
    changed = bytearray(content)
    struct.pack_into(layout, changed, content.index(before) + skip, number)
    return bytes(changed)


AIFF, AU, CAF, W64, OGG = (
    encode(sound(), *one)
    for one in (
        ("AIFF", "PCM_16"),
        ("AU", "PCM_16"),
        ("CAF", "PCM_16"),
        ("W64", "PCM_16"),
        ("OGG", "VORBIS"),
    )
)
W64_DATA = b"data\xf3\xac\xd3\x11"
TOLD = {
    "aiff_0": (with_number(AIFF, b"SSND", 4, ">I", 0), "does not say how long"),
    "aiff_all_ones": (with_number(AIFF, b"SSND", 4, ">I", 0xFFFFFFFF), "does not say how long"),
    "w64_0": (with_number(W64, W64_DATA, 16, "<Q", 0), "does not say how long"),
    "w64_all_ones": (with_number(W64, W64_DATA, 16, "<Q", (1 << 64) - 1), "does not say how long"),
    "au_0": (with_number(AU, b".snd", 8, ">I", 0), "does not say how long"),
    "caf_0": (with_number(CAF, b"data", 4, ">q", 0), "does not say how long"),
    "ogg_zeros": (OGG + bytes(200_000), "200000 bytes that are no sound follow"),
    "ogg_text": (OGG + b"by hand", "7 bytes that are no sound follow"),
    "ogg_behind_junk": (RANDOM + OGG, "2048 bytes before its sound"),
    "wav_behind_zeros": (bytes(4096) + GOOD, "4096 bytes before its sound"),
    "wav_behind_junk": (RANDOM + GOOD, "2048 bytes before its sound"),
    "wav_behind_id3": (b"ID3\4\0\0\0\0\0\x0a" + bytes(10) + GOOD, "20 bytes before its sound"),
}


@pytest.mark.parametrize("name", TOLD)
def test_the_whole_sound_is_read_with_a_warning_that_says_what_is_odd(
    tmp_path: Path, name: str
) -> None:
    content, warning = TOLD[name]
    samples, warnings = read(tmp_path / "a.wav", content)
    assert len(samples) == N_SAMPLES
    assert len(warnings) == 1
    assert warning in warnings[0]


def test_a_wav_between_other_bytes_is_read_with_a_warning_for_each_side(tmp_path: Path) -> None:
    samples, warnings = read(tmp_path / "a.wav", RANDOM + GOOD + RANDOM)
    assert len(samples) == N_SAMPLES
    assert len(warnings) == 2


@pytest.mark.parametrize(
    ("tail", "is_counted", "n_warnings"),
    [(W64_DATA + bytes(8), False, 1), (b"list" + W64[28:40] + b"\x38" + bytes(39), True, 0)],
)
def test_what_follows_the_sound_of_a_w64_is_never_taken_for_sound(
    tmp_path: Path, tail: bytes, is_counted: bool, n_warnings: int
) -> None:
    size_bytes = len(W64) + len(tail) * is_counted
    content = W64[:16] + struct.pack("<Q", size_bytes) + W64[24:] + tail
    samples, warnings = read(tmp_path / "a.w64", content)
    np.testing.assert_array_equal(samples, read(tmp_path / "b.w64", W64)[0])
    assert len(warnings) == n_warnings


def test_a_caf_of_unknown_length_is_no_fault(tmp_path: Path) -> None:
    samples, warnings = read(tmp_path / "a.caf", with_number(CAF, b"data", 4, ">q", -1))
    assert (len(samples), warnings) == (N_SAMPLES, ())


def test_a_flac_that_does_not_say_how_long_its_frames_are_is_read(tmp_path: Path) -> None:
    content = FLAC[:8] + bytes(10) + FLAC[18:]
    samples, warnings = read(tmp_path / "a.flac", content)
    assert (len(samples), warnings) == (N_SAMPLES, ())


def test_a_wav_with_the_highest_byte_first_is_read_or_called_truncated(tmp_path: Path) -> None:
    header = struct.pack(">4sIHHIIHH", b"fmt ", 16, 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
    swapped = np.frombuffer(PCM, "<i2").astype(">i2").tobytes()
    body = b"WAVE" + header + struct.pack(">4sI", b"data", len(PCM)) + swapped
    content = struct.pack(">4sI", b"RIFX", len(body)) + body
    samples, warnings = read(tmp_path / "a.wav", content)
    np.testing.assert_array_equal(samples[:, 0] * 32768, np.frombuffer(PCM, "<i2"))
    assert warnings == ()
    with pytest.raises(UnreadableRecording, match="truncated"):
        AudioFile(_written(tmp_path, content[:-5000]))


NO_AUDIO = {
    "web_page": (b"\n<!DOCTYPE html><html>404</html>", "a web page.*Download it again"),
    "archive_with_a_wav": (b"PK\3\4" + bytes(40) + GOOD, "an archive.*Unpack it"),
    "wac": (b"WAC \1\0" + bytes(500), "Kaleidoscope or wac2wav"),
}


@pytest.mark.parametrize("name", NO_AUDIO)
def test_a_file_of_a_known_other_kind_says_what_it_is(tmp_path: Path, name: str) -> None:
    content, what = NO_AUDIO[name]
    with pytest.raises(UnreadableRecording, match=what):
        AudioFile(_written(tmp_path, content))


ODD_BUT_WHOLE = {
    "riff_size_0": wave(fmt(), chunk(b"data", PCM), size=0),
    "bw64": wave(ds64(len(PCM)), fmt(), chunk(b"data", PCM, 0xFFFFFFFF), form=b"BW64"),
    "byte_rate_0": wave(fmt(byte_rate=0), chunk(b"data", PCM)),
    "list_without_padding": wave(
        fmt(), chunk(b"LIST", b"INFOICMT\x03\0\0\0abc", padded=False), chunk(b"data", PCM)
    ),
}


@pytest.mark.parametrize("name", ODD_BUT_WHOLE)
def test_a_wav_with_a_harmless_oddity_is_read(tmp_path: Path, name: str) -> None:
    samples, warnings = read(tmp_path / "a.wav", ODD_BUT_WHOLE[name])
    np.testing.assert_array_equal(samples[:, 0] * 32768, np.frombuffer(PCM, "<i2"))
    assert warnings == ()


@pytest.mark.parametrize("total", [0, 2 * N_SAMPLES, N_SAMPLES // 2, N_SAMPLES + 1, (1 << 36) - 1])
def test_a_flac_with_a_wrong_total_is_read_to_its_end(tmp_path: Path, total: int) -> None:
    samples, warnings = read(tmp_path / "a.flac", flac_with_total(FLAC, total))
    np.testing.assert_array_equal(samples[:, 0], sf.read(_written(tmp_path, FLAC))[0])
    assert len(warnings) == 1
    assert re.search(r"9\.00+ s are there", warnings[0])


@pytest.mark.parametrize("tail", [bytes(4096), RANDOM, GOOD[20000:60000], b"TAG" + RANDOM[:125]])
@pytest.mark.parametrize("total", [N_SAMPLES, 0, 2 * N_SAMPLES])
def test_a_flac_followed_by_something_is_read_with_a_warning(
    tmp_path: Path, total: int, tail: bytes
) -> None:
    samples, warnings = read(tmp_path / "a.flac", flac_with_total(FLAC, total) + tail)
    assert len(samples) == N_SAMPLES
    assert len(warnings) == 1


@pytest.mark.parametrize("n_junk", [1, 512, 4097])
def test_a_flac_behind_junk_is_read_with_a_warning(tmp_path: Path, n_junk: int) -> None:
    samples, warnings = read(tmp_path / "a.flac", bytes(n_junk) + FLAC)
    assert len(samples) == N_SAMPLES
    assert warnings == (f"{n_junk} bytes before its sound are not sound.",)


@pytest.mark.parametrize("seed", [1, 9])
def test_two_flac_files_joined_are_named_with_both_lengths(tmp_path: Path, seed: int) -> None:
    path = _written(tmp_path, FLAC + encode(sound(N_SAMPLES // seed, seed), "FLAC", "PCM_16"))
    with pytest.raises(UnreadableRecording, match=rf"of 9\.00 s and {LENGTH_S // seed}\.00 s"):
        AudioFile(path)


@pytest.mark.parametrize("silent", [0, 1])
def test_a_silent_flac_of_equal_length_joined_to_another_is_named(
    tmp_path: Path, silent: int
) -> None:
    both = [FLAC, FLAC]
    both[silent] = encode(sound() * 0, "FLAC", "PCM_16")
    with pytest.raises(UnreadableRecording, match=r"of 9\.00 s and 9\.00 s"):
        AudioFile(_written(tmp_path, b"".join(both)))


def test_two_ogg_files_joined_are_named(tmp_path: Path) -> None:
    both = [encode(sound(8000, seed), "OGG", "VORBIS") for seed in (1, 2)]
    with pytest.raises(UnreadableRecording, match="several Ogg streams are joined"):
        AudioFile(_written(tmp_path, b"".join(both)))


def test_two_mp3_files_joined_are_read_to_the_end_of_the_second(tmp_path: Path) -> None:
    one = encode(sound(4 * 44_100), "MP3", rate_hz=44_100)
    samples, warnings = read(tmp_path / "a.mp3", one + one)
    assert len(samples) == pytest.approx(8 * 44_100, abs=4 * 1152)
    assert "promises 4.05 s, 8.1" in warnings[0]


@pytest.mark.parametrize("n_frames", [1, 50, 100_000])
def test_an_mp3_whose_header_miscounts_is_read_to_its_end(tmp_path: Path, n_frames: int) -> None:
    content = bytearray(encode(sound(4 * 44_100), "MP3", rate_hz=44_100))
    struct.pack_into(">I", content, content.index(b"Xing") + 8, n_frames)
    samples, warnings = read(tmp_path / "a.mp3", bytes(content))
    assert len(samples) == pytest.approx(4 * 44_100, abs=2 * 1152)
    assert len(warnings) == 1


def test_an_mp3_whose_length_the_decoder_overlooks_is_read_to_its_end(tmp_path: Path) -> None:
    content = bytearray(encode(sound(4 * 44_100), "MP3", rate_hz=44_100))
    content[11] |= 8  # among the zeros before the length
    samples, _ = read(tmp_path / "a.mp3", bytes(content))
    assert len(samples) == pytest.approx(4 * 44_100, abs=3 * 1152)


@pytest.mark.parametrize("place", [1, 289, 290, 291])
def test_an_mp3_whose_first_frames_lost_a_bit_is_never_silently_shorter(
    tmp_path: Path, place: int
) -> None:
    whole = encode(sound(6 * 16_000), "MP3", rate_hz=16_000)
    for bit in range(8):
        content = bytearray(whole)
        content[place] ^= 1 << bit
        try:
            samples, _ = read(tmp_path / "a.mp3", bytes(content))
        except UnreadableRecording:
            continue
        assert len(samples) == pytest.approx(6 * 16_000, abs=3 * 1152)


def test_an_mp3_with_zeros_between_its_tag_and_its_sound_is_read_with_a_warning(
    tmp_path: Path,
) -> None:
    whole = encode(sound(4 * 44_100), "MP3", rate_hz=44_100)
    tag = b"ID3\4\0\0\0\0\0\x0a" + bytes(10)
    samples, warnings = read(tmp_path / "a.mp3", tag + bytes(500) + whole)
    assert len(samples) == 4 * 44_100
    assert warnings == ("500 bytes before its sound are not sound.",)


def test_junk_inside_an_mp3_is_not_counted_as_frames(tmp_path: Path) -> None:
    whole = encode(sound(4 * 44_100), "MP3", rate_hz=44_100)
    path = _written(tmp_path, whole[:5000] + np.random.default_rng(1).bytes(1 << 20) + whole[5000:])
    with AudioFile(path) as audio:
        assert audio.n_samples == pytest.approx(4 * 44_100, abs=3 * 1152)


def test_an_mp3_is_read_beside_the_file_that_macos_puts_there(tmp_path: Path) -> None:
    (tmp_path / "._a.mp3").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(4072))
    samples, warnings = read(tmp_path / "a.mp3", encode(sound(), "MP3"))
    assert (len(samples), warnings) == (N_SAMPLES, ())


TRUNCATED = {
    "wav": (GOOD, 0),
    "ima_adpcm.wav": (encode(sound(), "WAV", "IMA_ADPCM"), 600),
    "w64": (encode(sound(), "W64", "PCM_16"), 100),
    "au": (encode(sound(), "AU", "PCM_16"), 100),
    "caf": (encode(sound(), "CAF", "PCM_16"), 2100),
    "aiff": (encode(sound(), "AIFF", "PCM_16"), 100),
    "flac": (FLAC, 4096),
    "ogg": (encode(sound(), "OGG", "VORBIS"), 17_000),
    "mp3": (encode(sound(), "MP3"), 2 * 1152),
}


@pytest.mark.parametrize("name", TRUNCATED)
def test_what_is_left_of_a_truncated_file_is_read_only_where_asked_for(
    tmp_path: Path, name: str
) -> None:
    content, spare = TRUNCATED[name]
    content = content[: len(content) * 2 // 3]
    path = tmp_path / f"a.{name}"
    path.write_bytes(content)
    with pytest.raises(UnreadableRecording, match=r"truncated: its .*accept_truncated = true"):
        AudioFile(path)
    samples, warnings = read(path, content, accept_truncated=True)
    assert len(samples) == pytest.approx(N_SAMPLES * 2 / 3, abs=spare + 100)
    assert warnings[0].startswith("It is cut off: ")
    with AudioFile(path, expected_samples=len(samples)) as audio:
        assert audio.n_samples == len(samples)
    with pytest.raises(UnreadableRecording, match="truncated"):
        AudioFile(path, expected_samples=len(samples) - 1)


REFUSED = {
    "no_sound": (wave(fmt(), chunk(b"data", b"")), "no sound"),
    "stub": (wave(fmt(), chunk(b"data", b"Version=3.08" + bytes(83), 0), size=0), "no sound"),
    "1_hz": (wave(fmt(rate_hz=1), chunk(b"data", PCM)), "sample rate of 1 Hz"),
    "3_hz": (wave(fmt(rate_hz=3), chunk(b"data", PCM)), "sample rate of 3 Hz"),
    "chunk_of_2_gib": (wave(chunk(b"junk", b"", 0x7FFFFFFF), fmt()), "no sound"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_header_that_cannot_be_true_is_refused_by_name(tmp_path: Path, name: str) -> None:
    content, what = REFUSED[name]
    with pytest.raises(UnreadableRecording, match=what):
        AudioFile(_written(tmp_path, content))


def test_a_header_that_claims_many_channels_costs_little_memory(tmp_path: Path) -> None:
    path = _written(tmp_path, wave(fmt(n_channels=1000), chunk(b"data", PCM)))
    with AudioFile(path) as audio:
        asked: list[int] = []
        raw_read = audio._file.read
        audio._file.read = lambda n, *a, **k: asked.append(n) or raw_read(n, *a, **k)
        assert len(np.concatenate(list(audio.blocks()))) == len(PCM) // 2000
    assert max(asked) * 1000 * 4 <= 1 << 24


def test_a_git_lfs_pointer_is_missing_content_and_says_how_to_fetch_it(tmp_path: Path) -> None:
    text = b"version https://git-lfs.github.com/spec/v1\noid sha256:0f\nsize 12345\n"
    with pytest.raises(ContentMissing, match="git lfs pull"):
        AudioFile(_written(tmp_path, text))


@pytest.mark.parametrize("n_samples", [1 << 40, (1 << 63) - 1])
def test_a_plan_without_end_is_refused_at_once(n_samples: int) -> None:
    with pytest.raises(ConfigInvalid, match="chunks"):
        plan_chunks("rec", n_samples, 8000, ChunkSettings())


def test_every_way_to_refuse_is_an_error_for_people(tmp_path: Path) -> None:
    for n_bytes in range(1, 200, 7):
        with pytest.raises(BadcError):
            AudioFile(_written(tmp_path, GOOD[: min(n_bytes, 40)]))


def _written(folder: Path, content: bytes) -> Path:
    path = folder / "written.audio"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("form", "subtype"), [("WAV", "GSM610"), ("AU", "G721_32")])
def test_a_format_the_decoder_cannot_move_in_is_read_at_any_place(
    tmp_path: Path, form: str, subtype: str
) -> None:
    path = _written(tmp_path, encode(sound(), form, subtype))
    with AudioFile(path) as audio:
        whole = np.concatenate(list(audio.blocks()))[:, 0]
        for start in (40_000, 0, 20_000):
            np.testing.assert_array_equal(
                audio.read(start, start + 1000), whole[start : start + 1000]
            )
