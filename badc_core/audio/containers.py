"""Whether an audio file is what it claims to be, judged by its headers before it is decoded.

libsndfile trusts or quietly corrects headers: a truncated WAV just gets shorter. These checks
read a few hundred bytes. Damage inside compressed sound (FLAC, MP3, OGG) shows only when it is
decoded, in `reader.py`.
"""

import re
import shlex
import struct
from contextlib import suppress
from pathlib import Path

from badc_core.audio.mpeg import is_mpeg, read_length_header
from badc_core.audio.riff import RiffLayout, read_chunk_bytes, read_riff_layout
from badc_core.errors import ContentMissing, UnreadableRecording

_ANNEX_POINTER = b"/annex/objects/"
_OTHER_MAGIC = (b"fLaC", b"riff", b"caff", b".snd")
_CHUNK_FILE = re.compile(r".*_chunk_[0-9]+_[0-9]+\.wav", re.IGNORECASE)
_MAX_OGG_PAGE_BYTES = 65_307
_LAST_PAGE = 4
_BLOCK_BYTES = 1 << 20


def require_content(path: Path) -> int:
    """Returns the size in bytes of a file whose content is here.

    Raises:
        ContentMissing: there is no such file, or it is an annexed link or pointer without content.
        UnreadableRecording: it may not be read, or is a folder.
    """
    try:
        with path.open("rb") as file:
            size_bytes, head = file.seek(0, 2), _read_head(path)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise _annexed(path) from error
        remedy = "Put it back, or forget the recording: badc scan --prune DATASET"
        raise ContentMissing("the file is gone", path, _cut_again(path) or remedy) from error
    except PermissionError as error:
        raise UnreadableRecording(
            "no permission to read it", path, f"Run: chmod u+r {shlex.quote(str(path))}"
        ) from error
    except OSError as error:
        raise UnreadableRecording(
            f"cannot be read ({error.strerror})", path, "Check the disk it is on"
        ) from error
    if head.startswith(_ANNEX_POINTER):
        raise _annexed(path)
    return size_bytes


def require_fetched(path: Path) -> None:
    """Raises where a file of git-annex, audio or not, has its content elsewhere.

    Raises:
        ContentMissing: it is an annexed link or pointer without content.
    """
    if path.is_symlink() and not path.exists():
        raise _annexed(path)
    with suppress(OSError):  # nor does one that is not there, or that may not be read
        if _read_head(path).startswith(_ANNEX_POINTER):
            raise _annexed(path)


def check_container(path: Path) -> None:
    """Raises where the headers disagree with the file's size.

    Raises:
        ContentMissing: the file or its annexed content is not here.
        UnreadableRecording: empty, forbidden, not audio, cut short, or with a header that was
            never completed.
    """
    size_bytes = require_content(path)
    if size_bytes == 0:
        raise explain_damage(path, "the file is empty (0 bytes)")
    head = _read_head(path)
    layout = read_riff_layout(path)
    if layout is not None:
        _check_wave(path, layout)
    elif head[:4] == b"OggS":
        _check_ogg(path, size_bytes)
    elif head[:4] == b"FORM":
        _check_aiff(path, head, size_bytes)
    elif is_mpeg(head):
        _check_mpeg(path, size_bytes)
    elif not head.startswith(_OTHER_MAGIC):
        raise _not_audio(path, head)


def explain_damage(path: Path, what: str) -> UnreadableRecording:
    """Returns the error for a file that is not whole, with what makes it whole again."""
    return UnreadableRecording(
        what, path, _cut_again(path) or "Copy it again from the card, or remove it"
    )


def _cut_again(path: Path) -> str:
    """Returns what writes a chunk's file again; empty for a recording."""
    if not _CHUNK_FILE.fullmatch(path.name):
        return ""
    return "Run on its recording, to write it again: badc chunk run FILE --chunk-duration SECONDS"


def _check_wave(path: Path, layout: RiffLayout) -> None:
    """Compares the length of `data` with what follows.

    A Frontier Labs BAR before firmware 3.00 writes the file's size as the size of its sound; such
    a file is complete (https://github.com/ecoacoustics/known-problems, FL005).
    """
    sound, bytes_per_s = layout.find("data"), _bytes_per_s(path, layout)
    if sound is None or bytes_per_s == 0:
        raise explain_damage(path, "its WAV header has no sound in it")
    claimed_s = sound.size_bytes / bytes_per_s
    if sound.end_bytes > layout.file_bytes and sound.size_bytes != layout.file_bytes:
        present_s = (layout.file_bytes - sound.start_bytes) / bytes_per_s
        what = f"truncated: its header promises {claimed_s:.2f} s, {present_s:.2f} s are there"
        raise explain_damage(path, what)
    if not _is_padding(path, min(layout.end_bytes, layout.file_bytes)):
        following_s = (layout.file_bytes - sound.start_bytes) / bytes_per_s
        raise UnreadableRecording(
            f"its header was never completed: it promises {claimed_s:.2f} s, "
            f"about {following_s:.2f} s follow",
            path,
            "The recording was probably interrupted: repair its header, or remove it",
        )


def _bytes_per_s(path: Path, layout: RiffLayout) -> int:
    """Returns what the `fmt ` chunk says; 0 without one."""
    fmt = layout.find("fmt ")
    content = read_chunk_bytes(path, fmt) if fmt else b""
    return int(struct.unpack_from("<I", content, 8)[0]) if len(content) >= 12 else 0  # noqa: PLR2004


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


def _check_ogg(path: Path, size_bytes: int) -> None:
    """A complete Ogg stream ends with a page marked as its last (RFC 3533, section 6)."""
    with path.open("rb") as file:
        file.seek(max(0, size_bytes - _MAX_OGG_PAGE_BYTES))
        tail = file.read()
    page = tail.rfind(b"OggS")
    if page < 0 or page + 27 > len(tail) or not tail[page + 5] & _LAST_PAGE:
        raise explain_damage(path, "truncated: its last Ogg page is missing")
    n_segments = tail[page + 26]
    sizes = tail[page + 27 : page + 27 + n_segments]
    if len(sizes) < n_segments or page + 27 + n_segments + sum(sizes) > len(tail):
        raise explain_damage(path, "truncated: its last Ogg page is cut off")


def _check_aiff(path: Path, head: bytes, size_bytes: int) -> None:
    claimed_bytes = 8 + int.from_bytes(head[4:8], "big")
    if claimed_bytes > size_bytes + 1:
        what = f"truncated: its header promises {claimed_bytes} bytes, {size_bytes} are there"
        raise explain_damage(path, what)


def _check_mpeg(path: Path, size_bytes: int) -> None:
    length = read_length_header(path)
    if length is not None and length.end_bytes is not None and length.end_bytes > size_bytes:
        what = f"its header promises {length.duration_s:.2f} s in {length.end_bytes} bytes"
        raise explain_damage(path, f"truncated: {what}, {size_bytes} are there")


def _not_audio(path: Path, head: bytes) -> UnreadableRecording:
    if not any(head):
        what = "not audio: it begins with nothing but zeros"
    else:
        shown = head[:12].decode("ascii", "replace").replace("\ufffd", "?")
        what = f"not audio although its name says so: it begins with {shown!r}"
    return UnreadableRecording(what, path, "Remove it or rename it")


def _annexed(path: Path) -> ContentMissing:
    remedy = f"Run: datalad get {shlex.quote(str(path))}"
    return ContentMissing("its content is not on this machine", path, remedy)


def _read_head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)
