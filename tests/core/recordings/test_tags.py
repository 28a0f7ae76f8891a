import struct
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from badc_core.audio.tags import read_tags
from badc_core.recordings.audiomoth import interpret_comment, read_audiomoth
from badc_core.recordings.guano import read_guano

RATE_HZ = 8000
COMMENT = (
    "Recorded at 11:30:00 20/06/2024 (UTC-6) by AudioMoth 243B1F026488F56E at medium gain while "
    "battery was 4.0V and temperature was 22.1C."
)
GUANO = "GUANO|Version: 1.0\nTimestamp: 2024-06-20T11:30:00-06:00\nModel: SM4\n"


def write_sound(path: Path, comment: str = "", **options: str) -> Path:
    sound = 0.1 * np.sin(np.arange(RATE_HZ) / 3)
    with sf.SoundFile(path, "w", RATE_HZ, 1, **options) as file:
        if comment:
            file.comment, file.artist = comment, "AudioMoth 243B1F026488F56E"
        file.write(sound)
    return path


def insert_flac_block(path: Path, kind: int, content: bytes) -> None:
    """Puts a block of metadata after the stream's facts, which stay first."""
    whole = path.read_bytes()
    block = bytes([kind]) + len(content).to_bytes(3, "big") + content
    path.write_bytes(whole[:42] + block + whole[42:])


def vorbis_comments(**tags: str) -> bytes:
    texts = [f"{name}={text}".encode() for name, text in tags.items()]
    count = struct.pack("<I", len(texts))
    return b"\0\0\0\0" + count + b"".join(struct.pack("<I", len(text)) + text for text in texts)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", {}),
        ("a.flac", {}),
        ("a.ogg", {"subtype": "VORBIS"}),
        ("a.ogg", {"subtype": "OPUS"}),
        ("a.aiff", {}),
        ("a.mp3", {}),
    ],
)
def test_the_audiomoth_comment_is_read_in_every_format(tmp_path, name, options) -> None:
    found = read_audiomoth(read_tags(write_sound(tmp_path / name, COMMENT, **options)))
    assert found is not None
    assert (found.clock, found.utc_offset_min) == (datetime(2024, 6, 20, 11, 30), -360)
    assert found.fields["device_serial"] == "243B1F026488F56E"
    assert found.warnings == ()


@pytest.mark.parametrize("before", [bytes(4096), b"ID3\4\0\0\0\0\0\x0a" + bytes(10)])
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
def test_the_comment_is_read_where_other_bytes_precede_the_sound(tmp_path, name, before) -> None:
    path = write_sound(tmp_path / name, COMMENT)
    path.write_bytes(before + path.read_bytes())
    found = read_audiomoth(read_tags(path))
    assert found is not None
    assert found.utc_offset_min == -360


@pytest.mark.parametrize("tag", ["DESCRIPTION", "description", "comment", "ICMT"])
def test_a_comment_is_read_under_every_name_that_converters_give_it(tmp_path, tag) -> None:
    path = write_sound(tmp_path / "a.flac")
    insert_flac_block(path, 4, vorbis_comments(**{tag: COMMENT, "encoder": "x"}))
    found = read_audiomoth(read_tags(path))
    assert found is not None
    assert found.utc_offset_min == -360


def test_what_flac_keeps_of_a_wave_file_is_read(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.flac")
    info = b"ICMT" + struct.pack("<I", len(COMMENT)) + COMMENT.encode()
    insert_flac_block(path, 2, b"riffLIST" + struct.pack("<I", len(info) + 4) + b"INFO" + info)
    insert_flac_block(path, 2, b"riffguan" + struct.pack("<I", len(GUANO)) + GUANO.encode())
    tags = read_tags(path)
    found, guano = read_audiomoth(tags), read_guano(tags)
    assert found is not None
    assert guano is not None
    assert found.utc_offset_min == guano.utc_offset_min == -360
    assert guano.fields == {"device_model": "SM4"}


@pytest.mark.parametrize("encoding", [0, 1, 2, 3])
@pytest.mark.parametrize("version", [3, 4])
def test_id3_comments_are_read_in_every_encoding(tmp_path, encoding, version) -> None:
    text = ("eng\0" + COMMENT).encode(("latin-1", "utf-16", "utf-16-be", "utf-8")[encoding])
    if encoding in {1, 2}:
        codec = ("utf-16", "utf-16-be")[encoding - 1]
        text = b"eng" + "\0".encode(codec) + COMMENT.encode(codec)
    frame = bytes([encoding]) + text
    size = len(frame)
    sizes = bytes([0, 0, size >> 7, size & 127]) if version == 4 else size.to_bytes(4, "big")
    body = b"COMM" + sizes + b"\0\0" + frame
    head = b"ID3" + bytes([version, 0, 0, 0, 0, len(body) >> 7, len(body) & 127])
    path = tmp_path / "a.mp3"
    path.write_bytes(head + body + bytes(100))
    found = read_audiomoth(read_tags(path))
    assert found is not None
    assert found.utc_offset_min == -360


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.aiff", "a.mp3"])
def test_a_damaged_header_gives_fewer_texts_and_no_error(tmp_path: Path, name: str) -> None:
    content = bytearray(write_sound(tmp_path / name, COMMENT).read_bytes())
    rng = np.random.default_rng(1)
    for _ in range(100):
        damaged = bytearray(content)
        for place in rng.integers(0, min(len(content), 400), 5):
            damaged[place] = rng.integers(256)
        (tmp_path / name).write_bytes(damaged[: rng.integers(1, len(content))])
        read_tags(tmp_path / name)


def test_milliseconds_in_an_audiomoth_comment_are_kept() -> None:
    found = interpret_comment("Recorded at 11:30:00.500 21/06/2024 (UTC+2) by AudioMoth Live.")
    assert (found.clock, found.utc_offset_min) == (datetime(2024, 6, 21, 11, 30, 0, 500_000), 120)


@pytest.mark.parametrize(
    "comment",
    [
        "Recorded on 2024-06-21 at noon by AudioMoth 243B1F026488F56E",
        "Recorded at 11:30:00 31/02/2024 (UTC) by AudioMoth 243B1F026488F56E",
        "Recorded at 11:30:00 21/06/2024 (UTC summer) by AudioMoth 243B1F026488F56E",
    ],
)
def test_an_audiomoth_comment_that_cannot_be_read_is_warned_of(comment: str) -> None:
    assert "cannot be read" in interpret_comment(comment).warnings[0]
