"""Whether files of the rarer formats are as long as their headers say.

libsndfile reads such a file to where it was cut, without a word. Each function returns how to
read a file; one that is cut is readable too, and says what is missing.

Source: RFC 3533, section 6 (Ogg); Apple, AIFF 1.3 and CAF 1.0; Sun, AU; Sonic Foundry, Wave64;
NIST, SPHERE.
"""

import math
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from badc_core.audio.damage import explain_joined
from badc_core.audio.view import WHOLE, View

_MAX_OGG_PAGE_BYTES = 65_307
_LAST_PAGE = 4
_UNKNOWN_32 = 0xFFFFFFFF
_UNKNOWN_64 = (1 << 64) - 1
_UNKNOWN_LENGTH = "Its header does not say how long it is; all that follows is taken."
_BLOCK_BYTES = 1 << 16
_NIST_BYTES = 1024
_NIST_FIELD = re.compile(r"^(\w+) -\w+ (\S+)", re.MULTILINE)
_NIST_SIZES = ("sample_count", "channel_count", "sample_n_bytes")


def examine_ogg(path: Path, size_bytes: int, start_bytes: int = 0) -> View:
    """A complete Ogg stream ends with a whole page marked as its last.

    Args:
        path: the file.
        size_bytes: of the file.
        start_bytes: where its first page is.

    Raises:
        UnreadableRecording: it ends with another stream, of which libsndfile reads nothing.
    """
    end_bytes = _end_of_content(path, size_bytes)
    with path.open("rb") as file:
        file.seek(start_bytes)
        head = file.read(18)
        file.seek(max(start_bytes, end_bytes - 2 * _MAX_OGG_PAGE_BYTES))
        tail = file.read(end_bytes - file.tell())
    page = tail.rfind(b"OggS")
    view = View((range(start_bytes, size_bytes),)) if start_bytes else WHOLE
    if page < 0 or page + 27 > len(tail) or not tail[page + 5] & _LAST_PAGE:
        return replace(view, truncated="its last Ogg page is missing")
    n_segments = tail[page + 26]
    sizes = tail[page + 27 : page + 27 + n_segments]
    n_following = len(tail) - (page + 27 + n_segments + sum(sizes)) + size_bytes - end_bytes
    if len(sizes) < n_segments or n_following < 0:
        return replace(view, truncated="its last Ogg page is cut off")
    if tail[page + 14 : page + 18] != head[14:]:
        raise explain_joined(path, "several Ogg streams are joined in it")
    if n_following == 0:
        return view
    view = View((range(start_bytes, size_bytes - n_following),))
    return view.warn(_following(n_following))


def examine_aiff(path: Path, size_bytes: int) -> View:
    """The sound is in a chunk `SSND`, numbers with their highest byte first."""
    for name, start, claimed in _chunks(path, 12, ">4sI", size_bytes):
        if name == b"SSND":
            return _compare(claimed, size_bytes - start, _UNKNOWN_32)
    return WHOLE


def examine_rifx(path: Path, size_bytes: int) -> View:
    """A WAV whose numbers have their highest byte first."""
    for name, start, claimed in _chunks(path, 12, ">4sI", size_bytes):
        if name == b"data":
            return _compare(claimed, size_bytes - start, _UNKNOWN_32)
    return WHOLE


def examine_au(path: Path, size_bytes: int) -> View:
    """The header says where the sound begins and how long it is; all ones is any length."""
    with path.open("rb") as file:
        head = file.read(12)
    if len(head) < 12:  # noqa: PLR2004
        return WHOLE
    start, claimed = struct.unpack(">II", head[4:])
    if claimed == 0 and start < size_bytes:
        pieces = (head[:8] + struct.pack(">I", _UNKNOWN_32), range(12, size_bytes))
        return View(pieces).warn(_UNKNOWN_LENGTH)
    return WHOLE if claimed == _UNKNOWN_32 else _compare(claimed, size_bytes - start)


def examine_caf(path: Path, size_bytes: int) -> View:
    """A file with another size than it claims, which libsndfile refuses, is shown with its own.

    A size of -1 is for recordings whose end is not known yet, and no fault.
    """
    for name, start, claimed in _chunks(path, 8, ">4sQ", size_bytes):
        if name == b"data":
            view = _compare(claimed, size_bytes - start, _UNKNOWN_64)
            if view == WHOLE:
                return view
            size = struct.pack(">Q", size_bytes - start)
            pieces = (range(start - 8), size, range(start, size_bytes))
            return replace(view, pieces=pieces, warnings=() if claimed else view.warnings)
    return WHOLE


def examine_w64(path: Path, size_bytes: int) -> View:
    """Chunks are named by 16 bytes, and their sizes count the header in.

    libsndfile takes all that follows the sound for sound, even chunks.
    """
    with path.open("rb") as file:
        file_bytes = int.from_bytes(file.read(24)[16:], "little")
        position = 40
        while position + 24 <= size_bytes:
            file.seek(position)
            name, claimed = struct.unpack("<16sQ", file.read(24))
            if name[:4] == b"data":
                n_present = size_bytes - position - 24
                view = _compare(max(0, claimed - 24), n_present, _UNKNOWN_64 - 24)
                if view != WHOLE or claimed - 24 >= n_present:
                    return view
                view = View((range(position + claimed),))
                n_following = size_bytes - max(file_bytes, position + claimed + -claimed % 8)
                return view.warn(_following(n_following)) if n_following > 0 else view
            position += max(24, claimed + -claimed % 8)
    return WHOLE


def examine_nist(path: Path, size_bytes: int) -> View:
    """A header in plain text says how many samples follow it; speech corpora call it WAV."""
    with path.open("rb") as file:
        head = file.read(_NIST_BYTES).decode("latin-1")
    fields = dict(_NIST_FIELD.findall(head))
    numbers = [fields.get(name, "") for name in _NIST_SIZES]
    if fields.get("sample_coding", "pcm") != "pcm" or not all(map(str.isdigit, numbers)):
        return WHOLE
    start_bytes = head[8:16].strip()
    n_head_bytes = int(start_bytes) if start_bytes.isdigit() else _NIST_BYTES
    return _compare(math.prod(map(int, numbers)), size_bytes - n_head_bytes)


def _following(n_bytes: int) -> str:
    return f"{n_bytes} bytes that are no sound follow its sound."


def _end_of_content(path: Path, size_bytes: int) -> int:
    """Returns where the zeros at a file's end begin."""
    with path.open("rb") as file:
        while size_bytes > 0:
            start_bytes = max(0, size_bytes - _BLOCK_BYTES)
            file.seek(start_bytes)
            block = file.read(size_bytes - start_bytes).rstrip(b"\0")
            if block:
                return start_bytes + len(block)
            size_bytes = start_bytes
    return 0


def _chunks(
    path: Path, position: int, layout: str, size_bytes: int
) -> Iterator[tuple[bytes, int, int]]:
    """Yields name, beginning of the content and claimed size of chunks."""
    n_head = struct.calcsize(layout)
    is_padded = n_head == 8  # noqa: PLR2004
    with path.open("rb") as file:
        while position + n_head <= size_bytes:
            file.seek(position, os.SEEK_SET)
            name, claimed = struct.unpack(layout, file.read(n_head))
            yield name, position + n_head, claimed
            position += n_head + claimed + (claimed % 2 if is_padded else 0)


def _compare(claimed: int, present: int, unknown: int = 0) -> View:
    """Returns how to read a file, from the bytes of sound that it claims and has.

    Args:
        claimed: what its header says.
        present: what there is from where the sound begins.
        unknown: what stands there where the length is not known, besides 0.
    """
    if present > 1 and claimed in {0, unknown}:
        return WHOLE.warn(_UNKNOWN_LENGTH)
    if claimed <= present + 1:
        return WHOLE
    what = f"its header promises {claimed} bytes of sound, {present} are there"
    share = f"{present / claimed:.0%}"
    return View(truncated=what if share == "100%" else f"{what} ({share})")
