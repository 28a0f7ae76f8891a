"""How long an MP3 is, which its header may not say.

libsndfile takes the length from a Xing header; without one it guesses from the first frame's
bit rate and then stops decoding at the guess, so that a variable-rate file loses most of its
sound without an error. Here the frames are counted, and a header that says so is put before
them in memory. Layer III only: other layers are left to libsndfile.

Source: ISO 11172-3 and 13818-3 (frame header); G. Bouvigne, "Xing VBR header" (frame count at
a fixed place in the first frame).
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_KBIT_PER_S_V1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_KBIT_PER_S_V2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
_RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_LAYER_III = 1
_VERSION_1 = 3
_MONO = 3


@dataclass(frozen=True)
class _Frame:
    """One frame's header: position and size in the file, and what follows from its bits."""

    start_bytes: int
    size_bytes: int
    n_samples: int
    sample_rate_hz: int
    xing_offset_bytes: int


@dataclass(frozen=True)
class LengthHeader:
    """What the Xing header of an MP3 claims.

    Attributes:
        duration_s: length of the sound.
        size_bytes: where the last frame ends in the file; None if the header does not say.
    """

    duration_s: float
    end_bytes: int | None


def is_mpeg(head: bytes) -> bool:
    """Returns whether a file that begins so is MPEG audio, with or without an ID3 tag."""
    return head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0)  # noqa: PLR2004


def read_length_header(path: Path) -> LengthHeader | None:
    """Returns what the Xing header claims; None where there is none."""
    with path.open("rb") as file:
        start_bytes = _after_id3(file.read(10))
        file.seek(start_bytes)
        head = file.read(1 << 16)
    first = next(_frames(head), None)
    if first is None or (place := _xing_place(head, first)) is None:
        return None
    flags, n_frames = struct.unpack_from(">II", head, place + 4)
    if not flags & 1:
        return None
    (size_bytes,) = struct.unpack_from(">I", head, place + 12)
    end_bytes = start_bytes + first.start_bytes + size_bytes if flags & 2 else None
    return LengthHeader(n_frames * first.n_samples / first.sample_rate_hz, end_bytes)


def open_source_to_end(path: Path) -> Path | io.BytesIO:
    """Returns what libsndfile can decode to its end.

    Returns:
        The path itself, unless it is an MP3 without a length; then its bytes with a Xing header
        before them.
    """
    with path.open("rb") as file:
        head = file.read(10)
    if not is_mpeg(head) or read_length_header(path) is not None:
        return path
    content = path.read_bytes()[_after_id3(head) :]
    frames = _frames(content)
    first = next(frames, None)
    if first is None:
        return path
    n_frames = 1 + sum(1 for _ in frames)
    return io.BytesIO(_length_frame(content, first, n_frames) + content[first.start_bytes :])


def _length_frame(content: bytes, first: _Frame, n_frames: int) -> bytes:
    """Returns a silent frame like the first whose body says how many frames follow."""
    frame = bytearray(max(first.size_bytes, first.xing_offset_bytes + 12))
    frame[:4] = content[first.start_bytes : first.start_bytes + 4]
    struct.pack_into(">4sII", frame, first.xing_offset_bytes, b"Xing", 1, n_frames)
    return bytes(frame)


def _after_id3(head: bytes) -> int:
    """Returns where an ID3v2 tag ends: four bytes of seven bits each hold its size."""
    if head[:3] != b"ID3" or len(head) < 10:  # noqa: PLR2004
        return 0
    a, b, c, d = head[6:10]
    return 10 + (a << 21 | b << 14 | c << 7 | d)


def _xing_place(head: bytes, first: _Frame) -> int | None:
    place = first.start_bytes + first.xing_offset_bytes
    return place if head[place : place + 4] in {b"Xing", b"Info"} else None


def _frames(content: bytes) -> Iterator[_Frame]:
    """Yields the complete frames, stepping over anything between them."""
    position = 0
    while (position := content.find(b"\xff", position)) >= 0:
        frame = _frame_at(content, position)
        if frame is None:
            position += 1
            continue
        if position + frame.size_bytes > len(content):
            return
        yield frame
        position += frame.size_bytes


def _frame_at(content: bytes, position: int) -> _Frame | None:
    """Returns the frame whose header is at a position; None if there is no valid header."""
    if position + 4 > len(content):
        return None
    (header,) = struct.unpack_from(">I", content, position)
    version, layer = header >> 19 & 3, header >> 17 & 3
    bit_rate_index, rate_index, padding = header >> 12 & 15, header >> 10 & 3, header >> 9 & 1
    is_v1 = version == _VERSION_1
    kbit_per_s = (_KBIT_PER_S_V1 if is_v1 else _KBIT_PER_S_V2)[bit_rate_index]
    if header >> 21 != 0x7FF or version == 1 or layer != _LAYER_III:  # noqa: PLR2004
        return None
    if kbit_per_s == 0 or rate_index == 3:  # noqa: PLR2004
        return None
    n_samples = 1152 if is_v1 else 576
    sample_rate_hz = _RATES_HZ[version][rate_index]
    size_bytes = n_samples // 8 * kbit_per_s * 1000 // sample_rate_hz + padding
    is_mono = header >> 6 & 3 == _MONO
    side_bytes = (17 if is_mono else 32) if is_v1 else (9 if is_mono else 17)
    return _Frame(position, size_bytes, n_samples, sample_rate_hz, 4 + side_bytes)
