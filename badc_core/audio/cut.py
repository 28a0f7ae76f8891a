"""Whether files of the rarer formats are as long as their headers say.

libsndfile reads such a file to where it was cut, without a word. Each function returns how to
read a file; one that is cut is readable too, and says what is missing.

Source: RFC 3533, section 6 (Ogg); Apple, AIFF 1.3 and CAF 1.0; Sun, AU; Sonic Foundry, Wave64.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

from badc_core.audio.damage import explain_strange
from badc_core.audio.view import WHOLE, View

_MAX_OGG_PAGE_BYTES = 65_307
_LAST_PAGE = 4
_UNKNOWN_32 = 0xFFFFFFFF
_UNKNOWN_64 = (1 << 64) - 1


def examine_ogg(path: Path, size_bytes: int) -> View:
    """A complete Ogg stream ends with a whole page marked as its last.

    Raises:
        UnreadableRecording: it ends with another stream, of which libsndfile reads nothing.
    """
    with path.open("rb") as file:
        head = file.read(18)
        file.seek(max(0, size_bytes - 2 * _MAX_OGG_PAGE_BYTES))
        tail = file.read()
    page = tail.rfind(b"OggS")
    if page < 0 or page + 27 > len(tail) or not tail[page + 5] & _LAST_PAGE:
        return View(truncated="its last Ogg page is missing")
    n_segments = tail[page + 26]
    sizes = tail[page + 27 : page + 27 + n_segments]
    if len(sizes) < n_segments or page + 27 + n_segments + sum(sizes) > len(tail):
        return View(truncated="its last Ogg page is cut off")
    if tail[page + 14 : page + 18] != head[14:]:
        raise explain_strange(path, "several Ogg streams are joined in it: split it")
    return WHOLE


def examine_aiff(path: Path, size_bytes: int) -> View:
    """The sound is in a chunk `SSND`, numbers with their highest byte first."""
    for name, start, claimed in _chunks(path, 12, ">4sI", size_bytes):
        if name == b"SSND":
            return _compare(claimed, size_bytes - start)
    return WHOLE


def examine_au(path: Path, size_bytes: int) -> View:
    """The header says where the sound begins and how long it is."""
    with path.open("rb") as file:
        head = file.read(12)
    if len(head) < 12:  # noqa: PLR2004
        return WHOLE
    start, claimed = struct.unpack(">II", head[4:])
    return WHOLE if claimed == _UNKNOWN_32 else _compare(claimed, size_bytes - start)


def examine_caf(path: Path, size_bytes: int) -> View:
    """A cut file is refused by libsndfile, so it is shown one whose sound ends with the file."""
    for name, start, claimed in _chunks(path, 8, ">4sQ", size_bytes):
        if name == b"data":
            view = WHOLE if claimed == _UNKNOWN_64 else _compare(claimed, size_bytes - start)
            if not view.truncated:
                return view
            size = struct.pack(">Q", size_bytes - start)
            pieces = (range(start - 8), size, range(start, size_bytes))
            return View(pieces, truncated=view.truncated)
    return WHOLE


def examine_w64(path: Path, size_bytes: int) -> View:
    """Chunks are named by 16 bytes, and their sizes count the header in."""
    with path.open("rb") as file:
        position = 40
        while position + 24 <= size_bytes:
            file.seek(position)
            name, claimed = struct.unpack("<16sQ", file.read(24))
            if name[:4] == b"data":
                return _compare(claimed - 24, size_bytes - position - 24)
            position += max(24, claimed + -claimed % 8)
    return WHOLE


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


def _compare(claimed: int, present: int) -> View:
    if claimed <= present + 1:
        return WHOLE
    share = present / claimed
    what = f"its header promises {claimed} bytes of sound, {present} are there ({share:.0%})"
    return View(truncated=what)
