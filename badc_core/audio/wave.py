"""Where the sound of a WAV file is, whatever its header says.

A header is written before the recording and completed after it, and much can happen in between.
Where it is wrong in a known way, libsndfile is shown a new header and the sound alone.

Source: Multimedia Programming Interface 1.0 (fmt, data); EBU Tech 3306 (RF64);
https://github.com/ecoacoustics/known-problems (FL003, FL005, FL012).
"""

import struct
from dataclasses import dataclass, replace
from pathlib import Path

from badc_core.audio.damage import explain_damage, explain_joined, explain_strange, name_lengths
from badc_core.audio.mpeg import examine_mpeg_in_wave
from badc_core.audio.riff import RiffChunk, RiffLayout, read_chunk_bytes
from badc_core.audio.view import WHOLE, View

_PLACEHOLDERS = (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, (1 << 63) - 1, (1 << 64) - 1)
_PLACEHOLDER_SLACK = 1 << 17
"""A placeholder may be less by a header, or rounded down, such as sox's 0x7FFFF000."""
_PLAIN_HEADER_BYTES = 44
_SHORTEST_SOUND_BYTES = 1024
_PLAIN_CODES = frozenset({1, 3})
_EXTENSIBLE = 0xFFFE
_MP3 = 0x55
_BLOCK_BYTES = 1 << 20
_MOST_BYTES = 1 << 44
"""More than any disk of a recorder holds."""
_MAX_RIFF_BYTES = 0xFFFFFFFF - 64
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")


@dataclass(frozen=True)
class _Format:
    """What `fmt ` says, put right."""

    code: int
    content: bytes
    byte_rate: int
    block_bytes: int
    is_mended: bool

    def length(self, n_bytes: int) -> str:
        """Returns how long so many bytes of sound last, for people."""
        return f"{n_bytes / self.byte_rate:.2f} s" if self.byte_rate else f"{n_bytes} bytes"


def examine_wave(path: Path, layout: RiffLayout) -> View:
    """Returns how to read a WAV file.

    Raises:
        UnreadableRecording: there is no sound in it, or its header is wrong in an unknown way.
    """
    fmt = _read_format(path, layout)
    sounds = [one for one in layout.chunks if one.name == "data"]
    if not sounds or fmt is None:
        is_long = layout.file_bytes > _SHORTEST_SOUND_BYTES
        explain = explain_strange if is_long else explain_damage
        lacks = "does not say what its sound is" if sounds else "has no sound in it"
        raise explain(path, f"its WAV header {lacks}")
    is_open = _is_unknown(sounds[-1], layout)
    filled = [one for one in sounds if one.size_bytes or (is_open and one is sounds[-1])]
    sounds = filled or sounds
    if fmt.code == _MP3:
        if len(sounds) > 1:
            raise explain_joined(path, f"it is a WAV around {len(sounds)} MP3s")
        return _examine_mp3(path, layout, sounds[0], fmt)
    if len(sounds) > 1:
        return _join(sounds, layout, fmt)
    return _examine_one(path, layout, sounds[0], fmt)


def _examine_one(path: Path, layout: RiffLayout, sound: RiffChunk, fmt: _Format) -> View:
    n_present = layout.file_bytes - sound.start_bytes
    if _is_unknown(sound, layout):
        if n_present < _SHORTEST_SOUND_BYTES:
            raise explain_damage(path, "there is no sound in it")
        is_absurd = _MOST_BYTES < sound.size_bytes not in _PLACEHOLDERS
        warning = (
            f"Its header promises {sound.size_bytes:.0e} bytes, which cannot be true"
            if is_absurd
            else "Its header does not say how long it is"
        )
        return _rebuild(sound, n_present, fmt, warning)
    if sound.size_bytes > n_present:
        return _view_short(sound, n_present, fmt)
    warning = _what_follows(path, layout, sound, fmt)
    is_behind = (layout.find("fmt ") or sound).start_bytes > sound.start_bytes
    is_odd = fmt.is_mended or layout.form == "BW64" or layout.lacks_padding or is_behind
    if warning or is_odd or layout.find("data") != sound:
        return _rebuild(sound, sound.size_bytes, fmt, warning)
    return WHOLE


def _examine_mp3(path: Path, layout: RiffLayout, sound: RiffChunk, fmt: _Format) -> View:
    """Returns how to read a WAV file around an MP3, whose length libsndfile guesses."""
    end_bytes = layout.file_bytes if _is_unknown(sound, layout) else sound.end_bytes
    view = examine_mpeg_in_wave(path, range(sound.start_bytes, min(end_bytes, layout.file_bytes)))
    if end_bytes <= layout.file_bytes or view.truncated:
        return view
    n_present = layout.file_bytes - sound.start_bytes
    return replace(view, truncated=_promise(sound.size_bytes, n_present, fmt))


def _join(sounds: list[RiffChunk], layout: RiffLayout, fmt: _Format) -> View:
    """Returns how to read a file whose sound is in several chunks: one after the other."""
    last = sounds[-1]
    is_open = _is_unknown(last, layout)
    ends = [layout.file_bytes if one is last and is_open else one.end_bytes for one in sounds]
    pieces = [
        range(one.start_bytes, min(end, layout.file_bytes))
        for one, end in zip(sounds, ends, strict=True)
    ]
    view = _show(pieces, fmt).warn(f"Its sound is in {len(pieces)} parts, taken in their order.")
    n_promised = sum(end - one.start_bytes for one, end in zip(sounds, ends, strict=True))
    n_present = sum(map(len, pieces))
    if n_promised > n_present:
        return replace(view, truncated=_promise(n_promised, n_present, fmt))
    return view


def _read_format(path: Path, layout: RiffLayout) -> _Format | None:
    chunk = layout.find("fmt ")
    content = read_chunk_bytes(path, chunk) if chunk else b""
    if len(content) < 16:  # noqa: PLR2004
        return None
    code, n_channels, rate_hz, byte_rate, block_bytes, bits = struct.unpack_from("<HHIIHH", content)
    if code == _EXTENSIBLE and len(content) >= 26:  # noqa: PLR2004
        (code,) = struct.unpack_from("<H", content, 24)
    if code not in _PLAIN_CODES:
        return _Format(code, content, byte_rate, max(1, block_bytes), is_mended=False)
    block_bytes = max(1, n_channels * ((bits + 7) // 8))
    mended = bytearray(content)
    struct.pack_into("<IH", mended, 8, rate_hz * block_bytes & 0xFFFFFFFF, block_bytes & 0xFFFF)
    return _Format(
        code, bytes(mended), rate_hz * block_bytes, block_bytes, is_mended=byte_rate == 0
    )


def _is_unknown(sound: RiffChunk, layout: RiffLayout) -> bool:
    """Returns whether the length of `data` is what stands there before a recording ends."""
    n_bytes = sound.size_bytes
    if n_bytes > layout.file_bytes - sound.start_bytes:
        return n_bytes > _MOST_BYTES or any(
            0 <= one - n_bytes < _PLACEHOLDER_SLACK for one in _PLACEHOLDERS
        )
    is_placeholder = n_bytes in {0, _PLAIN_HEADER_BYTES, sound.start_bytes}
    return is_placeholder and layout.end_bytes < layout.file_bytes - n_bytes


def _view_short(sound: RiffChunk, n_present: int, fmt: _Format) -> View:
    """Returns how to read a file that ends before its header says."""
    n_missing = sound.size_bytes - n_present
    if n_missing <= max(sound.start_bytes, _PLAIN_HEADER_BYTES):  # the header counted in
        warning = f"Its header promises {n_missing} bytes more than it holds"
        return _rebuild(sound, n_present, fmt, warning)
    view = _rebuild(sound, n_present, fmt)
    return replace(view, truncated=_promise(sound.size_bytes, n_present, fmt))


def _promise(n_promised: int, n_present: int, fmt: _Format) -> str:
    """Returns what a file lacks, in figures that differ."""
    lengths = f"{n_promised} bytes", f"{n_present}"
    if fmt.byte_rate:
        lengths = name_lengths(n_promised / fmt.byte_rate, n_present / fmt.byte_rate)
    return f"its header promises {lengths[0]}, {lengths[1]} are there"


def _what_follows(path: Path, layout: RiffLayout, sound: RiffChunk, fmt: _Format) -> str:
    """Returns a warning about what follows the sound; empty where it is chunks or padding.

    Raises:
        UnreadableRecording: it may be more of the sound.
    """
    other = next((one for one in layout.chunks if one.name in {"RIFF", "RF64"}), None)
    if other is not None:
        rest = fmt.length(layout.file_bytes - other.start_bytes)
        return f"Another WAV file follows its {fmt.length(sound.size_bytes)}: up to {rest} more"
    end_bytes = min(layout.end_bytes, layout.file_bytes)
    if _is_padding(path, end_bytes):
        return ""
    n_following = layout.file_bytes - end_bytes
    is_claimed = layout.claimed_end_bytes in range(sound.end_bytes, end_bytes + 2)
    if is_claimed or _is_note(path, end_bytes):
        return f"{n_following} bytes that are no sound follow it"
    both = (
        f"it promises {fmt.length(sound.size_bytes)}, about "
        f"{fmt.length(layout.file_bytes - sound.start_bytes)} follow"
    )
    raise explain_strange(path, f"its header was never completed: {both}")


def _is_padding(path: Path, start_bytes: int) -> bool:
    """Returns whether at most one byte, or nothing but zeros, follows a position."""
    with path.open("rb") as file:
        file.seek(start_bytes)
        block = file.read(_BLOCK_BYTES)
        if len(block) <= 1:
            return True
        while block:
            if block.count(0) != len(block):
                return False
            block = file.read(_BLOCK_BYTES)
    return True


def _is_note(path: Path, start_bytes: int) -> bool:
    """Returns whether a tag of music players or a short text follows a position."""
    with path.open("rb") as file:
        file.seek(start_bytes)
        content = file.read(_BLOCK_BYTES)
    return content.startswith(_TAGS) or content.decode("latin-1").replace("\0", " ").isprintable()


def _rebuild(sound: RiffChunk, n_bytes: int, fmt: _Format, warning: str = "") -> View:
    """Returns a view of one chunk's sound alone, as far as it is there."""
    view = _show([range(sound.start_bytes, sound.start_bytes + n_bytes)], fmt)
    length = f"; the {fmt.length(n_bytes - n_bytes % fmt.block_bytes)} that are there are taken."
    return view.warn(warning + length) if warning else view


def _show(sounds: list[range], fmt: _Format) -> View:
    """Returns a view of sound behind a plain header, in whole blocks of samples."""
    whole = [one[: len(one) - len(one) % fmt.block_bytes] for one in sounds]
    n_bytes = sum(map(len, whole))
    content = fmt.content + b"\0" * (len(fmt.content) % 2)
    chunks = struct.pack("<4sI", b"fmt ", len(fmt.content)) + content
    n_all = 4 + len(chunks) + 8 + n_bytes
    if n_bytes <= _MAX_RIFF_BYTES:
        head = struct.pack("<4sI", b"RIFF", n_all) + b"WAVE" + chunks
        head += struct.pack("<4sI", b"data", n_bytes)
    else:
        sizes = struct.pack("<4sIQQQI", b"ds64", 28, n_all + 36, n_bytes, 0, 0)
        head = b"RF64\xff\xff\xff\xffWAVE" + sizes + chunks + b"data\xff\xff\xff\xff"
    return View((head, *whole))
