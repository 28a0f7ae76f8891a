"""How long a FLAC is, which its header may not say.

Every frame of a FLAC says where its sound begins, with a checksum. So the last frame that decodes
says how long the sound is, whatever total the header gives and whatever follows.

Source: RFC 9639, sections 8.2 (STREAMINFO) and 9.1 (frame header).
"""

import io
import mmap
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import soundfile as sf

from badc_core.audio.damage import explain_damage, explain_joined, name_lengths
from badc_core.audio.flac_sums import header_sum, is_frame
from badc_core.audio.view import WHOLE, ForwardFile, View

STARTS = (b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22")
_HEAD_BYTES = 42
_BLOCK_BYTES = 1 << 20
_TAIL_BYTES = 1 << 16
_SYNCS = (b"\xff\xf8", b"\xff\xf9")
_MAX_HEADER_BYTES = 16
_SHORTEST_BLOCK = 16
_MAX_TOTAL = 1 << 36


@dataclass(frozen=True)
class _Stream:
    """What STREAMINFO says."""

    start_bytes: int
    block_samples: int
    max_frame_bytes: int
    sample_rate_hz: int
    n_channels: int
    total: int

    def seconds(self, n_samples: int) -> str:
        """Returns a length for people."""
        return f"{n_samples / self.sample_rate_hz:.2f} s"


@dataclass(frozen=True)
class _FlacFrame:
    """A frame's header: where it is in the file, and which samples it holds."""

    start_bytes: int
    first_sample: int
    n_samples: int

    @property
    def end_sample(self) -> int:
        return self.first_sample + self.n_samples


def examine_flac(path: Path, start_bytes: int) -> View:
    """Returns how to read a FLAC file.

    Args:
        path: the file.
        start_bytes: where `fLaC` is in it.

    Raises:
        UnreadableRecording: there is no sound in it, or two recordings.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        stream = _read_stream(content, start_bytes)
        if stream is None:
            raise explain_damage(path, "its FLAC header is damaged")
        whole = WHOLE
        if stream.block_samples < _SHORTEST_BLOCK:
            stream = _with_block(content, stream)
            whole = View(_with_total(content, stream, stream.total))
        tail = max(start_bytes + _HEAD_BYTES, len(content) - _TAIL_BYTES - stream.max_frame_bytes)
        last = next(_frames_backwards(content, stream, tail), None)
        is_clean = last is not None and is_frame(content[last.start_bytes :])
        is_whole = last is not None and is_clean and last.end_sample == stream.total
        if is_whole and _is_in_order(content, stream):
            return whole
        if two := _second(content, stream):
            raise explain_joined(path, two)
        if is_whole:
            return whole
        return _examine_odd(path, content, stream, is_clean=is_clean)


def find_start(content: mmap.mmap | bytes, start_bytes: int) -> int:
    """Returns where the next FLAC begins; -1 where there is none."""
    for block_bytes in range(start_bytes, len(content), _BLOCK_BYTES):
        # A search in a mapped file is slow; in bytes it is not.
        block = content[block_bytes : block_bytes + _BLOCK_BYTES + len(STARTS[0]) - 1]
        place = -1
        while (place := block.find(b"fLaC", place + 1)) >= 0:
            if block.startswith(STARTS, place):
                return block_bytes + place
    return -1


def _is_in_order(content: mmap.mmap, stream: _Stream) -> bool:
    """Returns whether frames all over the file have rising numbers, as in one recording.

    In two of equal length the numbers begin anew, however small one of them is. To look at a few
    frames is quicker than to search the file for another beginning.
    """
    n_bytes = len(content) - stream.start_bytes
    small = {n_bytes >> k for k in range(20)}
    places = small | {n_bytes - one for one in small} | {n_bytes * k // 8 for k in range(8)}
    found = [_sample_after(content, stream, stream.start_bytes + one) for one in sorted(places)]
    known = [one for one in found if one >= 0]
    return known == sorted(known)


def _with_block(content: mmap.mmap, stream: _Stream) -> _Stream:
    """Returns a stream whose header does not say how long its frames are, by the first of them."""
    place = content.find(_SYNCS[0], stream.start_bytes + _HEAD_BYTES)
    while place >= 0:
        if (frame := _frame_at(content, place, stream)) is not None:
            return replace(stream, block_samples=frame.n_samples)
        place = content.find(_SYNCS[0], place + 1)
    return stream


def _sample_after(content: mmap.mmap, stream: _Stream, start_bytes: int) -> int:
    """Returns the first sample of the next frame; -1 where none begins soon."""
    block = content[start_bytes : start_bytes + _BLOCK_BYTES // 16]
    place = 0
    while (place := block.find(b"\xff", place)) >= 0:
        if block.startswith(_SYNCS, place):
            frame = _frame_at(content, start_bytes + place, stream)
            if frame is not None:
                return frame.first_sample
        place += 1
    return -1


def _examine_odd(path: Path, content: mmap.mmap, stream: _Stream, *, is_clean: bool) -> View:
    """Returns how to read a file whose header and last frame disagree."""
    n_samples = _count_samples(content, stream)
    if not n_samples:
        raise explain_damage(path, "none of its FLAC frames can be decoded")
    there = stream.seconds(n_samples)
    view = View(_with_total(content, stream, n_samples), n_samples)
    if stream.total == n_samples:
        return view.warn("Something other than sound follows its sound, which is complete.")
    if stream.total == 0:
        return view.warn(f"Its header does not say how long it is: {there} are there and taken.")
    promised, present = name_lengths(
        stream.total / stream.sample_rate_hz, n_samples / stream.sample_rate_hz
    )
    both = f"its header promises {promised}, {present} are there"
    if n_samples > stream.total or is_clean or stream.total == 2 * n_samples:
        return view.warn(f"{both[0].upper()}{both[1:]} and taken.")
    return View(view.pieces, n_samples, truncated=both)


def _second(content: mmap.mmap, first: _Stream) -> str:
    place = find_start(content, first.start_bytes + _HEAD_BYTES)
    second = _read_stream(content, place)
    if second is None:
        return ""
    lengths = f"{first.seconds(first.total)} and {second.seconds(second.total)}"
    return f"two FLAC files are joined in it, of {lengths}; the second begins at byte {place}"


def _read_stream(content: mmap.mmap, start_bytes: int) -> _Stream | None:
    head = content[start_bytes : start_bytes + _HEAD_BYTES] if start_bytes >= 0 else b""
    if len(head) < _HEAD_BYTES or head[:8] not in STARTS:
        return None
    block_samples = int.from_bytes(head[10:12], "big")
    packed = int.from_bytes(head[18:26], "big")
    rate_hz, n_channels = packed >> 44, (packed >> 41 & 7) + 1
    total = packed % _MAX_TOTAL
    if rate_hz == 0:
        return None
    max_frame_bytes = int.from_bytes(head[15:18], "big")
    return _Stream(start_bytes, block_samples, max_frame_bytes, rate_hz, n_channels, total)


def _with_total(content: mmap.mmap, stream: _Stream, total: int) -> tuple[bytes | range, ...]:
    """Returns the pieces of the file with another total in its header.

    The length of frames is put right too, where it is missing.
    """
    start = stream.start_bytes
    head = bytearray(content[start : start + _HEAD_BYTES])
    if int.from_bytes(head[8:10], "big") < _SHORTEST_BLOCK:
        head[8:12] = 2 * min(stream.block_samples, 0xFFFF).to_bytes(2, "big")
    packed = int.from_bytes(head[18:26], "big")
    head[18:26] = (packed - packed % _MAX_TOTAL + total).to_bytes(8, "big")
    return bytes(head), range(start + _HEAD_BYTES, len(content))


def _count_samples(content: mmap.mmap, stream: _Stream) -> int:
    """Returns where the last frame that decodes ends."""
    for frame in _frames_backwards(content, stream, stream.start_bytes + _HEAD_BYTES):
        if _decodes(content, stream, frame):
            return frame.end_sample
    return 0


def _decodes(content: mmap.mmap, stream: _Stream, frame: _FlacFrame) -> bool:
    """Returns whether libsndfile decodes a frame on its own."""
    head = bytearray(content[stream.start_bytes : stream.start_bytes + _HEAD_BYTES])
    head[4] |= 0x80  # the last block of metadata
    head[21] &= 0xF0
    head[22:26] = bytes(4)
    most = max(stream.max_frame_bytes, frame.n_samples * stream.n_channels * 5 + 1024)
    body = content[frame.start_bytes : frame.start_bytes + 2 * most]
    with suppress(sf.LibsndfileError, RuntimeError), ForwardFile(io.BytesIO(head + body)) as one:
        return len(one.read(frame.n_samples, always_2d=True)) == frame.n_samples
    return False


def _frames_backwards(
    content: mmap.mmap, stream: _Stream, start_bytes: int
) -> Iterator[_FlacFrame]:
    """Yields what looks like a frame's header, from the end of the file to a position."""
    end = len(content)
    while True:
        place = max(content.rfind(sync, start_bytes, end) for sync in _SYNCS)
        if place < 0:
            return
        if (frame := _frame_at(content, place, stream)) is not None:
            yield frame
        end = place + 1


def _frame_at(content: mmap.mmap, place: int, stream: _Stream) -> _FlacFrame | None:
    """Returns the frame whose header is at a position; None if there is no valid header."""
    head = content[place : place + _MAX_HEADER_BYTES]
    if len(head) < 6 or head[3] & 1 or head[2] >> 4 == 0 or head[2] & 15 == 15:  # noqa: PLR2004
        return None
    channels = head[3] >> 4
    if (channels + 1 if channels < 8 else 2) != stream.n_channels or channels > 10:  # noqa: PLR2004
        return None
    number, position = _read_number(head)
    size_code, rate_code = head[2] >> 4, head[2] & 15
    n_size = {6: 1, 7: 2}.get(size_code, 0)
    n_rate = {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    end = position + n_size + n_rate
    if number < 0 or end >= len(head) or header_sum(head[:end]) != head[end]:
        return None
    n_samples = (
        int.from_bytes(head[position : position + n_size], "big") + 1
        if n_size
        else 192
        if size_code == 1
        else 144 << size_code
        if size_code < 6  # noqa: PLR2004
        else 1 << size_code
    )
    is_variable = head[1] & 1
    return _FlacFrame(place, number if is_variable else number * stream.block_samples, n_samples)


def _read_number(head: bytes) -> tuple[int, int]:
    """Returns the number coded like UTF-8 at byte 4 and where it ends; -1 where there is none."""
    first = head[4]
    n_ones = 8 - (first ^ 0xFF).bit_length()
    if n_ones == 0:
        return first, 5
    more = head[5 : 4 + n_ones]
    if n_ones in {1, 8} or len(more) < n_ones - 1 or any(one >> 6 != 2 for one in more):  # noqa: PLR2004
        return -1, 0
    number = first & (0x7F >> n_ones)
    for one in more:
        number = number << 6 | one & 0x3F
    return number, 4 + n_ones
