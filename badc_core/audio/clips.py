"""Cutting a part out of a media file, with all its tracks, by ffmpeg.

Nothing is encoded again, except FLAC, whose header would have the checksum of the whole: a part
begins and ends where packets do, video at the key frame before.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from badc_core.audio.ffmpeg import CONTAINERS, INSTALL, SHARED_CONTAINERS, find_ffmpeg
from badc_core.audio.ffmpeg_messages import FfmpegReport, parse_report
from badc_core.child_environment import child_environment
from badc_core.errors import ConfigInvalid, UnreadableRecording
from badc_core.units import format_duration, write_seconds

MEDIA_CONTAINERS = f"{CONTAINERS},{SHARED_CONTAINERS},mp3,avi,mpeg,mpegts,flv"
"""No playlist, which could make ffmpeg read other files, and no text, which it shows as video."""
_ROUNDED_S = 0.01
"""ffmpeg says lengths in steps of this."""


def require_media(media: Path, start_s: float, end_s: float | None) -> None:
    """Returns if a file is sound or video, and a part of it lies inside, by its header.

    Without ffmpeg nothing is known, so nothing is refused; nor is a part where no length is known.

    Args:
        media: the file, which is there.
        start_s: where the part begins.
        end_s: where it ends; None for the end of the file.

    Raises:
        UnreadableRecording: there is neither sound nor video in it.
        ConfigInvalid: it is over before the part begins or ends.
    """
    program = find_ffmpeg()
    if program is None:
        return
    report, _ = _call(program, [], media, [])
    if not report.n_tracks and not report.has_picture:
        remedy = "Name a sound or video file"
        raise UnreadableRecording("there is neither sound nor video in it", media, remedy)
    length_s = report.duration_s
    if length_s is None:
        return
    what = f"is over after {format_duration(length_s)}"
    if start_s >= length_s:
        raise ConfigInvalid(what, media, "Let the part begin before")
    if end_s is not None and end_s > length_s + _ROUNDED_S:
        raise ConfigInvalid(what, media, "Let the part end before")


def cut_clip(media: Path, target: Path, start_s: float, end_s: float | None) -> None:
    """Writes a part of a media file.

    Args:
        media: the file.
        target: of the same kind.
        start_s: where the part begins.
        end_s: where it ends; None for the end of the file.

    Raises:
        UnreadableRecording: ffmpeg is missing or cannot read the file.
    """
    program = find_ffmpeg()
    if program is None:
        raise UnreadableRecording("cutting a part of it needs ffmpeg", media, INSTALL)
    until = [] if end_s is None else ["-t", write_seconds(end_s - start_s)]
    codec = "flac" if media.suffix.lower() == ".flac" else "copy"
    tracks = ["-map", "0:v?", "-map", "0:a?", "-map", "0:s?", "-c", "copy", "-c:a", codec]
    report, failed = _call(
        program, ["-ss", write_seconds(start_s), *until], media, [*tracks, f"file:{target}"]
    )
    if failed or not target.is_file() or not target.stat().st_size:
        raise UnreadableRecording(f"cannot be cut (ffmpeg: {report.reason})", media, "Play it")


def _call(
    program: str, before: Sequence[str], media: Path, after: Sequence[str]
) -> tuple[FfmpegReport, bool]:
    """Returns what ffmpeg says, and whether it failed; without an output it always does.

    Args:
        program: ffmpeg.
        before: options for the input.
        media: the input.
        after: the output and its options.
    """
    words = [program, "-nostdin", "-nostats", "-loglevel", "level+info", *before]
    words += ["-protocol_whitelist", "file,pipe", "-format_whitelist", MEDIA_CONTAINERS]
    done = subprocess.run(
        [*words, "-i", f"file:{media}", *after],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        env=child_environment(),
    )
    return parse_report(done.stderr.decode(errors="replace")), done.returncode != 0
