"""The texts in a file's header, whatever its format: recorders' comments survive conversion.

Names are those of the format, in capitals: `ICMT` of RIFF is `COMMENT` or `DESCRIPTION` in the
Vorbis comments of FLAC and Ogg, `COMM` in ID3. Chunks of RIFF are read in `wave_texts.py`.
What libsndfile does not read, ffmpeg is asked about.
Only headers are read. Damage in them gives fewer texts and never an error.

Sources: RFC 9639 (FLAC; Vorbis comments in 8.6, foreign `riff` blocks in 8.4), RFC 7845 (Opus),
ID3v2.3 and 2.4 (https://id3.org), Apple's AIFF 1.3.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from badc_core.audio.containers import find_sound_start
from badc_core.audio.ffmpeg import FfmpegFile, is_for_ffmpeg
from badc_core.audio.riff import read_chunk_bytes, read_riff_layout
from badc_core.audio.wave_texts import TEXT_CHUNKS, clean_text, parse_chunk
from badc_core.errors import UnreadableRecording

_MAX_BYTES = 1 << 20
_VORBIS_BLOCK, _APPLICATION_BLOCK = 4, 2
_LAST_BLOCK = 0x80
_OGG_COMMENTS = (b"\x03vorbis", b"OpusTags")
_AIFF_TEXTS = {b"ANNO": "COMMENT", b"AUTH": "ARTIST", b"NAME": "NAME", b"(c) ": "COPYRIGHT"}
_ID3_ENCODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")
_ID3_VERSION_4 = 4


def read_tags(path: Path) -> dict[str, str]:
    """Returns the texts in a file's header, name -> text."""
    start_bytes = find_sound_start(path)
    layout = read_riff_layout(path, start_bytes)
    tags: dict[str, str] = {}
    if layout is not None:
        for chunk in layout.chunks:
            if chunk.name in TEXT_CHUNKS:
                tags.update(parse_chunk(chunk.name, read_chunk_bytes(path, chunk)))
        return tags
    with path.open("rb") as file, suppress(UnreadableRecording):
        if is_for_ffmpeg(file.read(8)):
            with FfmpegFile(path) as sound:
                return {name.upper(): text for name, text in sound.tags.items()}
        file.seek(start_bytes)
        try:
            for name, text in _read_foreign(file):
                tags.setdefault(name.upper(), text)
        except (struct.error, IndexError, UnicodeError):
            pass  # What was read before the damage stands.
    return tags


def _read_foreign(file: BinaryIO) -> Iterator[tuple[str, str]]:
    start_bytes = file.tell()
    head = file.read(12)
    file.seek(start_bytes)
    if head[:3] == b"ID3":
        size_bytes = _id3_size(head[6:10])
        yield from _parse_id3(file.read(min(10 + size_bytes, _MAX_BYTES)))
        file.seek(10 + size_bytes)
        head = file.read(12)
        file.seek(-len(head), os.SEEK_CUR)
    if head[:4] == b"fLaC":
        file.seek(4, os.SEEK_CUR)
        yield from _read_flac(file)
    elif head[:4] == b"OggS":
        yield from _read_ogg(file.read(_MAX_BYTES))
    elif head[:4] == b"FORM" and head[8:12] in {b"AIFF", b"AIFC"}:
        file.seek(12, os.SEEK_CUR)
        yield from _read_aiff(file)


def _read_flac(file: BinaryIO) -> Iterator[tuple[str, str]]:
    while len(header := file.read(4)) == 4:  # noqa: PLR2004
        kind, size_bytes = header[0] & ~_LAST_BLOCK, int.from_bytes(header[1:], "big")
        if kind in {_VORBIS_BLOCK, _APPLICATION_BLOCK}:
            content = file.read(size_bytes)
            is_text = kind == _VORBIS_BLOCK
            yield from _parse_vorbis(content) if is_text else _parse_riff_block(content)
        else:
            file.seek(size_bytes, os.SEEK_CUR)
        if header[0] & _LAST_BLOCK:
            return


def _parse_riff_block(content: bytes) -> Iterator[tuple[str, str]]:
    """Yields what a chunk of the WAV says that `flac --keep-foreign-metadata` was given."""
    if content[:4] == b"riff":
        yield from parse_chunk(content[4:8].decode("latin-1"), content[12:]).items()


def _read_ogg(content: bytes) -> Iterator[tuple[str, str]]:
    """Yields the comments in the first packets, which may reach over pages."""
    packets, position = bytearray(), 0
    while content[position : position + 4] == b"OggS" and len(packets) < _MAX_BYTES:
        start = position + 27 + content[position + 26]
        position = start + sum(content[position + 27 : start])
        packets += content[start:position]
    for name in _OGG_COMMENTS:
        if (found := packets.find(name)) >= 0:
            yield from _parse_vorbis(bytes(packets[found + len(name) :]))
            return
    if packets[:5] == b"\x7fFLAC":
        # The first packet ends with the stream's facts; a block of comments follows.
        yield from _parse_vorbis(bytes(packets[13 + 38 + 4 :]))


def _parse_vorbis(content: bytes) -> Iterator[tuple[str, str]]:
    (vendor_bytes,) = struct.unpack_from("<I", content)
    position = 4 + vendor_bytes
    (count,) = struct.unpack_from("<I", content, position)
    position += 4
    for _ in range(count):
        (size_bytes,) = struct.unpack_from("<I", content, position)
        position += 4
        name, equals, text = clean_text(content[position : position + size_bytes]).partition("=")
        if equals:
            yield name, text
        position += size_bytes


def _read_aiff(file: BinaryIO) -> Iterator[tuple[str, str]]:
    while len(header := file.read(8)) == 8:  # noqa: PLR2004
        name, size_bytes = struct.unpack(">4sI", header)
        after = file.tell() + size_bytes + size_bytes % 2
        if name in _AIFF_TEXTS:
            yield _AIFF_TEXTS[name], clean_text(file.read(min(size_bytes, _MAX_BYTES)))
        elif name in {b"ID3 ", b"id3 "}:
            yield from _parse_id3(file.read(min(size_bytes, _MAX_BYTES)))
        file.seek(after)


def _parse_id3(content: bytes) -> Iterator[tuple[str, str]]:
    """Yields the text and comment frames of ID3v2.3 and 2.4."""
    position = 10
    while content[position : position + 1].isalpha():
        name = content[position : position + 4].decode("latin-1")
        size = content[position + 4 : position + 8]
        is_new = content[3] == _ID3_VERSION_4
        size_bytes = _id3_size(size) if is_new else int.from_bytes(size, "big")
        frame = content[position + 10 : position + 10 + size_bytes]
        if name == "COMM" or (name[0] == "T" and frame):
            yield from _parse_id3_frame(name, frame)
        position += 10 + size_bytes


def _parse_id3_frame(name: str, frame: bytes) -> Iterator[tuple[str, str]]:
    text = frame[4 if name == "COMM" else 1 :].decode(_ID3_ENCODINGS[frame[0]], "replace")
    parts = [part.strip("\0\ufeff \r\n") for part in text.split("\0")]
    if name == "TXXX" and len(parts) > 1:
        yield parts[0], parts[1]
    else:
        yield name, next((part for part in reversed(parts) if part), "")


def _id3_size(digits: bytes) -> int:
    return sum((digit & 0x7F) << 7 * (3 - index) for index, digit in enumerate(digits))
