"""Sound that libsndfile cannot read, decoded by the program ffmpeg: M4A, WMA, AC-3 and others.

ffmpeg writes a WAV of float32 into a pipe, from beginning to end; nothing is stored. Its messages
say what the file is and what is wrong with it. How long the sound is shows only at its end.
An optional program: the extra `ffmpeg` brings one.

Source: https://ffmpeg.org/ffmpeg.html and ffmpeg-formats.html (options).
"""

import importlib.util
import os
import select
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from badc_core.audio.damage import explain_damage, explain_undecodable, name_lengths
from badc_core.audio.ffmpeg_messages import FfmpegReport, parse_report
from badc_core.audio.view import View
from badc_core.child_environment import child_environment
from badc_core.errors import UnreadableRecording

INSTALL = "Run: pip install 'badc[ffmpeg]', or install ffmpeg"

# Only these, since a playlist could make ffmpeg read other files.
CONTAINERS = "mov,matroska,asf,aac,ac3,eac3,amr,wv,ape,tta"
SHARED_CONTAINERS = "ogg,caf,wav,w64,aiff,au,flac,nistsphere"
"""Those of libsndfile, which may hold an encoding that only ffmpeg decodes."""
# The values stay the same; handing on small frames took 1.6 times as long.
_LARGE_PIECES = "asetnsamples=n=65536:p=0"
_RIFF_BYTES = 12
_SILENT_FOR_S = 120
_END_S = 60
_SHORTER_S = 0.5
"""The length in a header is that of the longest track, and rounded."""
_PADDING_S = 0.2
"""Where there is one track alone, it may count what the encoder put around the sound."""

_BEGINNINGS = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"\x30\x26\xb2\x75",  # ASF, WMA
    b"\x0b\x77",  # AC-3
    b"#!AMR",
    b"wvpk",
    b"MAC ",
    b"TTA1",
)
_MP4_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})


@cache
def find_ffmpeg() -> str | None:
    """Returns the program: the one on PATH, else that of the extra; None without either."""
    if (on_path := shutil.which("ffmpeg")) is not None:
        return on_path
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        return None
    import imageio_ffmpeg  # noqa: PLC0415  (optional)

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        return None


def is_for_ffmpeg(head: bytes) -> bool:
    """Returns whether a file that begins so is of a kind that only ffmpeg reads."""
    is_adts = len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0  # noqa: PLR2004
    return head.startswith(_BEGINNINGS) or head[4:8] in _MP4_BOXES or is_adts


@dataclass(frozen=True)
class FfmpegView(View):
    """A file that ffmpeg decodes.

    Attributes:
        is_second: whether libsndfile refused it; then ffmpeg is only believed where it finds no
            fault, since it decodes much of what is damaged.
    """

    is_second: bool = False

    def open(self, path: Path) -> "FfmpegFile":
        """Returns the file as ffmpeg reads it.

        Raises:
            UnreadableRecording: there is no ffmpeg, or it finds no sound in the file.
        """
        return FfmpegFile(path, is_second=self.is_second)


class FfmpegFile:
    """A file that is being decoded, from its beginning.

    Attributes:
        samplerate, channels: of the first track of sound.
        frames: 0, since only its end tells.
        format, subtype: such as M4A and AAC.
        decoder: ffmpeg and its version.
        tags: the texts in its header, name -> text.
        warnings: one sentence each.
    """

    def __init__(self, path: Path, *, is_second: bool = False) -> None:
        """Starts ffmpeg and reads what it says about the file.

        Args:
            path: the file.
            is_second: whether libsndfile refused it.

        Raises:
            UnreadableRecording: there is no ffmpeg, or it finds no sound in the file.
        """
        self._path = path
        self._is_second = is_second
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115  (closed with this object)
        try:
            self._process = _start(path, self._messages.fileno(), is_second)
        except UnreadableRecording:
            self._messages.close()
            raise
        self._pipe: IO[bytes] = self._process.stdout  # type: ignore[assignment]
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)
        self.frames = 0
        try:
            self.samplerate, self.channels = self._read_header()
        except UnreadableRecording:
            self.close()
            raise
        report = self._report()
        self.format = _name_format(path, report.container)
        self.subtype = report.codec.upper()
        self.decoder = f"ffmpeg {report.version}"
        self.tags = report.tags
        self.warnings: tuple[str, ...] = ()
        if report.n_tracks > 1:
            self.warnings = (f"It has {report.n_tracks} tracks of sound; the first is taken.",)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends ffmpeg; a second call does nothing."""
        self._pipe.close()
        self._process.kill()
        self._process.wait()
        self._messages.close()

    def read(
        self, frames: int, dtype: str = "float32", *, always_2d: bool = True
    ) -> npt.NDArray[Any]:
        """Returns the next samples, fewer at the end: shape [n_samples, n_channels].

        Raises:
            UnreadableRecording: ffmpeg has stopped answering.
        """
        block_bytes = 4 * self.channels
        content = self._take(frames * block_bytes)
        whole = len(content) - len(content) % block_bytes
        samples = np.frombuffer(content[:whole], "<f4").reshape(-1, self.channels)
        return samples.astype(dtype) if always_2d else samples.astype(dtype).squeeze(1)

    def explain_end(self, n_samples: int) -> str:
        """Returns what is missing of a file that was cut off; empty where all of it was decoded.

        Args:
            n_samples: how many were read until nothing followed.

        Raises:
            UnreadableRecording: it is damaged otherwise.
        """
        code = self._wait()
        report = self._report()
        there_s = n_samples / self.samplerate
        promised_s = report.duration_s
        both = f"only {there_s:.2f} s of its sound can be decoded"
        if promised_s is not None:
            promised, there = name_lengths(promised_s, there_s)
            both = f"its header promises {promised}, {there} can be decoded"
        if report.errors or code:
            both += f" (ffmpeg: {report.reason})"
        is_short = self._is_second or promised_s is None or there_s < promised_s - 0.01
        if (report.errors and is_short) or code:
            if report.is_cut_off:
                return both
            raise (explain_undecodable if self._is_second else explain_damage)(self._path, both)
        # A picture may go on after the sound.
        is_alone = report.n_tracks == 1 and not report.has_picture
        slack_s = _PADDING_S if self._is_second else _SHORTER_S
        if promised_s is not None and is_alone and there_s < promised_s - slack_s:
            return both
        if report.errors:
            self.warnings += (f"ffmpeg says of it: {report.reason}.",)
        return ""

    def _read_header(self) -> tuple[int, int]:
        """Returns rate and channels, after the header of the WAV that ffmpeg writes."""
        self._take(_RIFF_BYTES)
        found: tuple[int, int] | None = None
        while len(chunk := self._take(8)) == 8 and chunk[:4] != b"data":  # noqa: PLR2004
            content = self._take(int.from_bytes(chunk[4:], "little"))
            if chunk[:4] == b"fmt " and len(content) >= 8:  # noqa: PLR2004
                n_channels, rate_hz = struct.unpack_from("<HI", content, 2)
                found = rate_hz, n_channels
        if found is None:
            raise self._explain_start()
        return found

    def _explain_start(self) -> UnreadableRecording:
        self._wait()
        report = self._report()
        if report.container and not report.n_tracks:
            remedy = "Remove it, or leave its ending out of recordings.extensions in badc.toml"
            return UnreadableRecording("there is no sound in it", self._path, remedy)
        if "moov atom not found" in report.reason:
            what = "its table of contents (moov), which recorders write last, is missing"
            return explain_damage(self._path, f"truncated: {what}")
        return explain_damage(self._path, f"cannot be decoded (ffmpeg: {report.reason})")

    def _take(self, n_bytes: int) -> bytearray:
        """Returns the next bytes of ffmpeg's output, fewer at its end."""
        content = bytearray(n_bytes)
        place, n_read = memoryview(content), 0
        while n_read < n_bytes:
            if not self._poll.poll(_SILENT_FOR_S * 1000):
                what = f"ffmpeg has not gone on for {_SILENT_FOR_S} s"
                raise UnreadableRecording(what, self._path, "Check the disk it is on")
            n_new = self._pipe.readinto(place[n_read:])  # type: ignore[attr-defined]
            if not n_new:
                break
            n_read += n_new
        place.release()
        del content[n_read:]
        return content

    def _wait(self) -> int:
        try:
            return self._process.wait(_END_S)
        except subprocess.TimeoutExpired as error:
            what = f"ffmpeg has not ended within {_END_S} s"
            raise UnreadableRecording(what, self._path, "Check the disk it is on") from error

    def _report(self) -> FfmpegReport:
        length = os.fstat(self._messages.fileno()).st_size
        return parse_report(os.pread(self._messages.fileno(), length, 0).decode(errors="replace"))


def _start(path: Path, messages: int, is_second: bool) -> "subprocess.Popen[bytes]":
    program = find_ffmpeg()
    if program is None:
        ending = path.suffix.lower() or "this kind"
        raise UnreadableRecording(f"files of {ending} need ffmpeg", path, INSTALL)
    containers = SHARED_CONTAINERS if is_second else CONTAINERS
    reading = ["-protocol_whitelist", "file,pipe", "-format_whitelist", containers]
    # ffmpeg leaves out the padding of a CAF's last packet, which ALAC does not have: up to 0.1 s.
    is_caf = is_second and path.suffix.lower() == ".caf"
    reading += ["-flags2", "+skip_manual"] if is_caf else []
    command = [
        program, "-nostdin", "-nostats", "-loglevel", "level+info", *reading, "-threads", "1",
        "-i", f"file:{path}", "-map", "0:a:0", "-af", _LARGE_PIECES, "-f", "wav",
        "-c:a", "pcm_f32le", "-flush_packets", "0", "pipe:1",
    ]  # fmt: skip
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
            bufsize=0,
            env=child_environment(),
            # Ctrl-C is for the reader; where that ends, so does the pipe and with it ffmpeg.
            start_new_session=True,
        )
    except OSError as error:
        what = f"ffmpeg cannot be started ({error.strerror})"
        raise UnreadableRecording(what, program, INSTALL) from error


def _name_format(path: Path, container: str) -> str:
    """Returns the name people know: that of the ending where the file is of that family."""
    ending = path.suffix.lower().removeprefix(".")
    is_family = container == "mov" and ending in {"m4a", "m4b", "mp4", "3gp"}
    return (ending if is_family else container).upper()
