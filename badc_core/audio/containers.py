"""What an audio file holds, judged by its headers and its end before it is decoded.

libsndfile trusts or quietly corrects headers: a truncated WAV just gets shorter. Here headers are
compared with what is there, and a file whose header is wrong in a known way gets a view that shows
libsndfile the sound alone. A file that is as it should be is opened as it is. Damage inside
compressed sound shows only when it is decoded, in `reader.py`.
"""

import re
import shlex
from dataclasses import replace
from pathlib import Path

from badc_core.annexed_files import require_fetched
from badc_core.audio.cut import (
    examine_aiff,
    examine_au,
    examine_caf,
    examine_nist,
    examine_ogg,
    examine_rifx,
    examine_w64,
)
from badc_core.audio.damage import cut_again, explain_damage, explain_undecodable
from badc_core.audio.ffmpeg import (
    INSTALL,
    FfmpegFile,
    FfmpegView,
    find_ffmpeg,
    is_for_ffmpeg,
)
from badc_core.audio.flac import examine_flac, find_start
from badc_core.audio.mpeg import after_id3, examine_mpeg, is_mpeg
from badc_core.audio.riff import read_riff_layout
from badc_core.audio.view import View
from badc_core.audio.wave import examine_wave
from badc_core.errors import ContentMissing, UnreadableRecording

_MAX_JUNK_BYTES = 1 << 20
_SAYS_NOTHING = re.compile(r"File does not exist|Format not on whitelist")
"""libsndfile on an MP3 without a frame; ffmpeg on what it takes for a format not asked of it."""
_FLAC, _OGG, _WAVES = b"fLaC", b"OggS", (b"RIFF", b"RF64", b"BW64")
_WAVE_START = re.compile(rb"(?:RIFF|RF64|BW64)....WAVE", re.DOTALL)
_OGG_START = b"OggS\0\x02"  # the first page of a stream

# In lower case, with what to do about it.
_OTHER_KINDS = (
    ((b"<!doctype", b"<html", b"<?xml"), "a web page: the download failed", "Download it again"),
    (
        (b"creative voice", b".rmf", b"frm8", b"dsd ", b"ajkg"),
        "of a kind that BADC does not read",
        "Convert it to WAV or FLAC",
    ),
    ((b"pk\3\4", b"rar!", b"7z\xbc\xaf", b"\x1f\x8b"), "an archive", "Unpack it"),
)

_FORMS = {
    _FLAC: lambda path, _: examine_flac(path, 0),
    _OGG: examine_ogg,
    b"FORM": examine_aiff,
    b".snd": examine_au,
    b"caff": examine_caf,
    b"riff": examine_w64,
    b"RIFX": examine_rifx,
    b"NIST": examine_nist,
}


def require_content(path: Path) -> int:
    """Returns the size in bytes of a file whose content is here.

    Raises:
        ContentMissing: there is no such file, or it is an annexed link or pointer without content.
        UnreadableRecording: it may not be read, or is a folder.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):  # opening a pipe would wait
        raise UnreadableRecording("it is not a regular file", path, "Remove it or rename it")
    try:
        with path.open("rb") as file:
            size_bytes = file.seek(0, 2)
    except FileNotFoundError as error:
        require_fetched(path)
        remedy = "Put it back, or forget the recording: badc scan --prune DATASET"
        raise ContentMissing("the file is gone", path, cut_again(path) or remedy) from error
    except PermissionError as error:
        raise UnreadableRecording(
            "no permission to read it", path, f"Run: chmod u+r {shlex.quote(str(path))}"
        ) from error
    except OSError as error:
        raise UnreadableRecording(
            f"cannot be read ({error.strerror})", path, "Check the disk it is on"
        ) from error
    require_fetched(path)
    return size_bytes


def examine(path: Path) -> View:
    """Returns how a file is to be read, judged by its headers, its size and its end.

    Raises:
        ContentMissing: the file or its annexed content is not here.
        UnreadableRecording: empty, forbidden, not audio, or wrong in an unknown way.
    """
    size_bytes = require_content(path)
    if size_bytes == 0:
        raise explain_damage(path, "the file is empty (0 bytes)")
    head = _read_head(path)
    layout = read_riff_layout(path)
    if layout is not None:
        return examine_wave(path, layout)
    if (form := _FORMS.get(head[:4])) is not None:
        return form(path, size_bytes)
    if is_for_ffmpeg(head):
        return FfmpegView()
    if is_mpeg(head):
        return _examine_tagged(path, head)
    return _examine_behind_junk(path, head)


def open_refused(path: Path, view: View, reason: str) -> FfmpegFile:
    """Returns a file that libsndfile refuses as ffmpeg decodes it, such as ALAC in a CAF.

    Args:
        path: the file.
        view: how libsndfile was to read it.
        reason: why it does not.

    Raises:
        UnreadableRecording: there is no ffmpeg, it cannot decode it either, or there is more that
            is wrong with the file.
    """
    if view.pieces or view.truncated:
        raise explain_undecodable(path, reason)
    if find_ffmpeg() is None:
        what = f"cannot be decoded by libsndfile ({reason}); ffmpeg may read it"
        raise UnreadableRecording(what, path, INSTALL)
    try:
        return FfmpegView(is_second=True).open(path)
    except UnreadableRecording as error:
        reasons = [one for one in (reason, error.what) if not _SAYS_NOTHING.search(one)]
        neither = "neither libsndfile nor ffmpeg recognises it"
        raise explain_undecodable(path, "; ".join(reasons) or neither) from error


def _examine_tagged(path: Path, head: bytes) -> View:
    """Returns how to read a file that begins like an MP3; a tag may precede a FLAC or AAC too."""
    start_bytes = after_id3(head)
    with path.open("rb") as file:
        file.seek(start_bytes)
        after_tag = file.read(8)
    if after_tag[:4] == _FLAC:
        return examine_flac(path, start_bytes)
    if after_tag[:4] in {*_WAVES, _OGG}:
        return _examine_behind_junk(path, head)
    return FfmpegView() if is_for_ffmpeg(after_tag) else examine_mpeg(path)


def _examine_behind_junk(path: Path, head: bytes) -> View:
    """Returns how to read a FLAC, WAV or Ogg that something else precedes."""
    if (other := _other_kind(path, head)) is not None:
        raise other
    kind, start_bytes = _find_behind_junk(path)
    size_bytes = path.stat().st_size
    if kind == _FLAC:
        view = examine_flac(path, start_bytes)
    elif kind == _OGG:
        view = examine_ogg(path, size_bytes, start_bytes)
    elif (layout := read_riff_layout(path, start_bytes)) is not None:
        view = examine_wave(path, layout)
    else:
        raise _not_audio(path, head)
    view = replace(view, pieces=view.pieces or (range(start_bytes, size_bytes),))
    return view.warn(f"{start_bytes} bytes before its sound are not sound.")


def find_sound_start(path: Path) -> int:
    """Returns where a FLAC, WAV or Ogg begins that something else precedes; 0 for other files."""
    head = _read_head(path)
    if head[:4] in {*_FORMS, *_WAVES} or is_for_ffmpeg(head):
        return 0
    if not is_mpeg(head):
        return _find_behind_junk(path)[1]
    with path.open("rb") as file:
        file.seek(after_id3(head))
        return _find_behind_junk(path)[1] if file.read(4) in {*_WAVES, _OGG} else 0


def _find_behind_junk(path: Path) -> tuple[bytes, int]:
    """Returns what begins behind junk (`fLaC`, `RIFF`, `OggS`) and where; 0 where nothing does."""
    with path.open("rb") as file:
        content = file.read(_MAX_JUNK_BYTES)
    wave = _WAVE_START.search(content)
    places = (
        (_FLAC, find_start(content, 0)),
        (b"RIFF", wave.start() if wave else -1),
        (_OGG, content.find(_OGG_START)),
    )
    return next(((kind, place) for kind, place in places if place >= 0), (b"", 0))


def _not_audio(path: Path, head: bytes) -> UnreadableRecording:
    if not any(head):
        what = "not audio: it begins with nothing but zeros"
        return UnreadableRecording(what, path, "Remove it or rename it")
    shown = head[:12].decode("ascii", "replace").replace("\ufffd", "?")
    what = f"not audio although its name says so: it begins with {shown!r}"
    return UnreadableRecording(what, path, "Remove it or rename it")


def _other_kind(path: Path, head: bytes) -> UnreadableRecording | None:
    """Returns the error for a file of a kind that is known and not read; None for others."""
    if head.startswith(b"WAC "):
        remedy = "Convert it to WAV with Kaleidoscope or wac2wav"
        return UnreadableRecording("it is a WAC of Wildlife Acoustics", path, remedy)
    for beginnings, kind, remedy in _OTHER_KINDS:
        if head.lstrip().lower().startswith(beginnings):
            return UnreadableRecording(f"not audio but {kind}", path, remedy)
    return None


def _read_head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(32)
