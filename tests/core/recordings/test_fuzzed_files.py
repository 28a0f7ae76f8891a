"""Thousands of damaged files through the code of the stage `recording`.

Each is described plausibly or refused with an explanation; nothing else may happen.
"""

import random
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError
from badc_core.recordings.describe import describe_recording
from badc_core.recordings.registry import RegisteredRecording
from tests.support.ffmpeg_files import encode_with_ffmpeg
from tests.support.wave_files import bext_chunk, chunk, encode, fmt, sound, wamd_chunk, wave

N_SAMPLES = 4000
SHORT = sound(N_SAMPLES)
PCM = (SHORT * 32767).astype("<i2").tobytes()
GUANO = chunk(b"guan", b"GUANO|Version: 1.0\nTimestamp: 2023-05-11T13:30:00-06:00\n")
WAMD = wamd_chunk({1: "SM4", 5: "2023-05-11 13:30:00-06:00", 6: "WGS84,53.5,N,113.5,W,700"})
PARTS = (chunk(b"data", PCM[:1000]), chunk(b"data", PCM[1000:]))
COMMENT = b"INFOICMT\x04\0\0\0abc\0"


def encode_m4a() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source.wav")
        source.write_bytes(encode(SHORT, "WAV", "PCM_16"))
        options = ("-movflags", "+faststart")
        return encode_with_ffmpeg(source, source.with_suffix(".m4a"), *options).read_bytes()


SEEDS: dict[str, bytes] = {
    "wav": wave(fmt(), WAMD, bext_chunk(b"2023-05-11", b"13:30:00"), chunk(b"data", PCM), GUANO),
    "parts.wav": wave(fmt(), chunk(b"LIST", COMMENT), *PARTS),
    "float.wav": encode(SHORT, "WAV", "FLOAT"),
    "adpcm.wav": encode(SHORT, "WAV", "IMA_ADPCM"),
    "gsm.wav": encode(SHORT, "WAV", "GSM610"),
    "rf64.wav": encode(SHORT, "RF64", "PCM_16"),
    "w64": encode(SHORT, "W64", "PCM_16"),
    "aiff": encode(SHORT, "AIFF", "PCM_16"),
    "au": encode(SHORT, "AU", "PCM_16"),
    "caf": encode(SHORT, "CAF", "PCM_16"),
    "flac": encode(SHORT, "FLAC", "PCM_16"),
    "stereo.flac": encode(np.stack([SHORT, -SHORT], 1), "FLAC", "PCM_24"),
    "ogg": encode(SHORT, "OGG", "VORBIS"),
    "opus": encode(SHORT, "OGG", "OPUS"),
    "mp3": encode(SHORT, "MP3"),
    "m4a": encode_m4a(),
}
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def flip(content: bytearray, draw: random.Random) -> None:
    for _ in range(draw.choice((1, 1, 2, 8))):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)


def flip_header(content: bytearray, draw: random.Random) -> None:
    content[draw.randrange(min(128, len(content)))] = draw.randrange(256)


def set_number(content: bytearray, draw: random.Random) -> None:
    order = draw.choice("<>")
    place = draw.randrange(min(200, len(content) - 4))
    struct.pack_into(f"{order}I", content, place, draw.choice(NUMBERS))


def cut(content: bytearray, draw: random.Random) -> None:
    del content[draw.randrange(1, len(content)) :]


def remove(content: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(content))
    del content[start : start + draw.randrange(1, 600)]


def append(content: bytearray, draw: random.Random) -> None:
    content += draw.choice((bytes(500), draw.randbytes(500), bytes(content)))


def insert(content: bytearray, draw: random.Random) -> None:
    start = draw.choice((0, draw.randrange(len(content))))
    content[start:start] = draw.choice((bytes(99), draw.randbytes(99), b"RIFF", b"fLaC", b"ID3"))


def blank(content: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(content))
    n_bytes = min(len(content) - start, draw.randrange(1, 2000))
    content[start : start + n_bytes] = bytes(n_bytes)


KINDS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flip, flip_header, flip_header, set_number, set_number, cut, remove, append, insert, blank,
)  # fmt: skip


def mutants(ending: str, n_mutants: int) -> list[bytes]:
    draw = random.Random(ending)
    made = []
    for _ in range(n_mutants):
        content = bytearray(SEEDS[ending])
        for _ in range(draw.choice((1, 1, 2))):
            if len(content) > 8:
                draw.choice(KINDS)(content, draw)
        made.append(bytes(content))
    return made


def describe_all(folder: Path, ending: str, n_mutants: int) -> int:
    """Returns how many mutants were described."""
    path = folder / "audio" / f"20230601_053000.{ending}"
    path.parent.mkdir()
    n_described = 0
    for accept in (False, True):
        dataset = Dataset.open(folder, {"recordings": {"accept_truncated": accept}})
        for number, content in enumerate(mutants(ending, n_mutants)):
            if number % 4 == 0 or not accept:
                n_described += describe_one(dataset, path, content)
    return n_described


def describe_one(dataset: Dataset, path: Path, content: bytes) -> bool:
    path.write_bytes(content)
    name = path.relative_to(dataset.root).as_posix()
    try:
        described = describe_recording(dataset, RegisteredRecording("one", name))
    except BadcError as error:
        if not (error.what and error.remedy):
            pytest.fail(f"unexplained: {error!r}")
        return False
    assert 0 < described.n_samples < 100 * N_SAMPLES
    assert 0 <= described.clipped_fraction <= 1
    assert described.rms_dbfs <= described.peak_dbfs + 1e-6
    return True


@pytest.mark.parametrize("ending", SEEDS)
def test_a_damaged_file_is_described_or_refused_with_an_explanation(
    tmp_path: Path, ending: str
) -> None:
    n_mutants = 6 if ending == "m4a" else 20  # a program is started for each
    assert describe_all(tmp_path, ending, n_mutants) > 0


@pytest.mark.soak
@pytest.mark.parametrize("ending", SEEDS)
def test_ten_thousand_damaged_files_are_described_or_refused(tmp_path: Path, ending: str) -> None:
    assert describe_all(tmp_path, ending, 10_000 // len(SEEDS)) > 0
