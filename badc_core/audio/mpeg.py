"""How long an MP3 is, which its header may not say.

libsndfile takes the length from a Xing header and stops decoding there; without one it guesses
from the first frame's bit rate and stops at the guess, so that sound is lost without an error.
Here the frames are counted; where the header says otherwise, libsndfile is shown another. Layer
III only: other layers are left to libsndfile.

Source: ISO 11172-3 and 13818-3 (frame header); G. Bouvigne, "Xing VBR header" (frame count at
a fixed place in the first frame).
"""

import mmap
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import soundfile as sf

from badc_core.audio.damage import explain_damage, name_lengths
from badc_core.audio.view import WHOLE, View

_KBIT_PER_S_V1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_KBIT_PER_S_V2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
_RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_LAYER_III = 1
_VERSION_1 = 3
_MONO = 3
_MOST_TRIMMED = 2 * 4095 + 2 * 1152
"""A header may have the decoder leave out so many samples at both ends."""
_LENGTH_MARKS = (b"Xing", b"Info")


@dataclass(frozen=True)
class _Frame:
    """One frame's header: position and size in the file, and what follows from its bits."""

    start_bytes: int
    size_bytes: int
    n_samples: int
    sample_rate_hz: int
    xing_offset_bytes: int


def is_mpeg(head: bytes) -> bool:
    """Returns whether a file that begins so is MPEG audio, with or without an ID3 tag."""
    return head[:3] == b"ID3" or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0)  # noqa: PLR2004


def examine_mpeg(path: Path, part: range | None = None) -> View:
    """Returns how to read an MP3.

    It is never opened by its path: libsndfile would take the `._` file that macOS puts beside it
    for its sound.

    Args:
        path: the file.
        part: the bytes that are the MP3, of a file with more in it.

    Raises:
        UnreadableRecording: its beginning is damaged, so that the decoder overlooks the rest.
    """
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), part.stop if part else 0, access=mmap.ACCESS_READ) as content,
    ):
        return _examine(path, content, View((part,)) if part else View(is_anonymous=True))


def examine_mpeg_in_wave(path: Path, part: range) -> View:
    """Returns how to read a WAV file around an MP3, of which libsndfile guesses the length.

    Args:
        path: the file.
        part: the bytes that are the MP3.

    Raises:
        UnreadableRecording: its beginning is damaged, so that the decoder overlooks the rest.
    """
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), part.stop, access=mmap.ACCESS_READ) as content,
    ):
        first = _first_frame(content, part.start)
        n_frames = _count_frames(content, first)[0] if first else 0
        has_length = first is not None and _says_length(content, first)
    n_samples = n_frames * first.n_samples if first else 0
    if n_samples and not has_length and _count_announced(path, WHOLE) >= n_samples:
        return View(n_samples=n_samples)
    return examine_mpeg(path, part)


def _examine(path: Path, content: mmap.mmap, plain: View) -> View:
    """Returns how to read it: as `plain` does where nothing is wrong with it."""
    start_bytes = next((piece.start for piece in plain.pieces if isinstance(piece, range)), 0)
    start_bytes += after_id3(content[start_bytes : start_bytes + 10])
    first = _first_frame(content, start_bytes)
    if first is None:
        return plain
    n_frames, end_bytes = _count_frames(content, first)
    if not _says_length(content, first):
        body = range(first.start_bytes, len(content))
        return View((_length_frame(content, first, n_frames), body))
    view = _compare(content, first, n_frames - 1, end_bytes) or plain
    n_before = first.start_bytes - start_bytes
    if n_before and view == plain:
        view = View((range(first.start_bytes, len(content)),))
        view = view.warn(f"{n_before} bytes before its sound are not sound.")
    if view.truncated or _is_sound(content, first):
        return view
    n_least = (n_frames - 1) * first.n_samples - _MOST_TRIMMED
    if _count_announced(path, view) >= n_least:
        return view
    # The frame with the length is damaged in a way that hides it from the decoder.
    body = range(first.start_bytes + first.size_bytes, end_bytes)
    view = View((_length_frame(content, first, n_frames - 1), body))
    if _count_announced(path, view) < n_least:
        raise explain_damage(path, "its first frames are damaged, so that little is decoded")
    return view.warn("The frame that says how long it is is damaged; its frames are counted.")


def _says_length(content: mmap.mmap, first: _Frame) -> bool:
    place = first.start_bytes + first.xing_offset_bytes
    return content[place : place + 4] in _LENGTH_MARKS and bool(content[place + 7] & 1)


def _is_sound(content: mmap.mmap, first: _Frame) -> bool:
    """Returns whether the decoder surely finds the length in the first frame, as in most files."""
    head = first.start_bytes + 4
    following = first.start_bytes + first.size_bytes
    second = _frame_at(content[following : following + 4], following)
    return (
        second is not None
        and not any(content[head : first.start_bytes + first.xing_offset_bytes])
        and (second.n_samples, second.sample_rate_hz, second.xing_offset_bytes)
        == (first.n_samples, first.sample_rate_hz, first.xing_offset_bytes)
    )


def _count_announced(path: Path, view: View) -> int:
    """Returns how many samples libsndfile would decode; 0 where it cannot open the file."""
    with suppress(sf.LibsndfileError, RuntimeError), view.open(path) as file:
        return int(file.frames)
    return 0


def _compare(content: mmap.mmap, first: _Frame, n_frames: int, end_bytes: int) -> View | None:
    """Returns how to read a file whose first frame is wrong about how many follow; else None."""
    place = first.start_bytes + first.xing_offset_bytes
    (n_claimed,) = struct.unpack_from(">I", content, place + 8)
    n_promised_bytes = 0
    if content[place + 7] & 2:
        (n_promised_bytes,) = struct.unpack_from(">I", content, place + 12)
    n_left_bytes = len(content) - end_bytes
    ends_in_frame = 0 < n_left_bytes < _frame_size(content[end_bytes : end_bytes + 4])
    # Some count the first frame in.
    if n_claimed == n_frames or (n_claimed == n_frames + 1 and not ends_in_frame):
        return None
    head = bytearray(content[first.start_bytes : first.start_bytes + first.size_bytes])
    struct.pack_into(">I", head, first.xing_offset_bytes + 8, n_frames)
    if content[place + 7] & 2:
        struct.pack_into(">I", head, first.xing_offset_bytes + 12, end_bytes - first.start_bytes)
    body = range(first.start_bytes + first.size_bytes, end_bytes)
    view = View((bytes(head), body))
    frame_s = first.n_samples / first.sample_rate_hz
    promised, there = name_lengths(n_claimed * frame_s, n_frames * frame_s)
    both = f"its header promises {promised}, {there} are there"
    is_all_here = 0 < n_promised_bytes <= len(content) - first.start_bytes
    if n_claimed > n_frames and not is_all_here:
        return View(view.pieces, truncated=both)
    return view.warn(f"{both[0].upper()}{both[1:]} and taken.")


def _length_frame(content: mmap.mmap, first: _Frame, n_frames: int) -> bytes:
    """Returns a silent frame like the first whose body says how many frames follow."""
    frame = bytearray(max(first.size_bytes, first.xing_offset_bytes + 12))
    frame[:4] = content[first.start_bytes : first.start_bytes + 4]
    struct.pack_into(">4sII", frame, first.xing_offset_bytes, b"Xing", 1, n_frames)
    return bytes(frame)


def after_id3(head: bytes) -> int:
    """Returns where an ID3v2 tag ends: four bytes of seven bits each hold its size."""
    if head[:3] != b"ID3" or len(head) < 10:  # noqa: PLR2004
        return 0
    a, b, c, d = head[6:10]
    return 10 + (a << 21 | b << 14 | c << 7 | d)


def _first_frame(content: mmap.mmap, start_bytes: int) -> _Frame | None:
    """Returns the first frame that another one, or the end, follows."""
    position = start_bytes - 1
    while (position := content.find(b"\xff", position + 1)) >= 0:
        frame = _frame_at(content[position : position + 4], position)
        if frame is not None:
            end = position + frame.size_bytes
            if end == len(content) or _frame_size(content[end : end + 4]):
                return frame
    return None


def _count_frames(content: mmap.mmap, first: _Frame) -> tuple[int, int]:
    """Returns how many complete frames there are, and where the last ends in the file.

    Anything between frames is stepped over.
    """
    n_frames, position, end_bytes = 0, first.start_bytes, first.start_bytes
    n_bytes = len(content)
    sizes: dict[bytes, int] = {}
    find_size = sizes.get
    while position + 4 <= n_bytes:
        head = content[position : position + 4]
        # Files have some 40,000 frames an hour, nearly all with a header that came before.
        while position == end_bytes and (size := find_size(head)) and position + size <= n_bytes:
            n_frames += 1
            position = end_bytes = position + size
            head = content[position : position + 4]
        size = find_size(head) or sizes.setdefault(head, _frame_size(head))
        following = position + size
        if size and following > n_bytes:
            break
        # Among other bytes there is what looks like a frame's header; then another must follow.
        is_lost = position != end_bytes and following < n_bytes
        if not size or (is_lost and not _frame_size(content[following : following + 4])):
            position = content.find(b"\xff", position + 1)
            if position < 0:
                break
        else:
            n_frames += 1
            position = end_bytes = following
    return n_frames, end_bytes


def _frame_size(header: bytes) -> int:
    """Returns how many bytes the frame of a header has; 0 where it is none."""
    frame = _frame_at(header, 0)
    return frame.size_bytes if frame else 0


def _frame_at(head: bytes, position: int) -> _Frame | None:
    """Returns the frame at a position whose header is given; None if that is no valid header."""
    if len(head) < 4:  # noqa: PLR2004
        return None
    (header,) = struct.unpack(">I", head)
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
