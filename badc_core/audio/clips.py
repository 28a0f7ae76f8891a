"""Cutting a part out of a media file, with all its tracks, by ffmpeg.

Nothing is encoded again, except FLAC, whose header would have the checksum of the whole: a part
begins and ends where packets do, video at the key frame before.
"""

import subprocess
from pathlib import Path

from badc_core.audio.ffmpeg import INSTALL, find_ffmpeg
from badc_core.audio.ffmpeg_messages import parse_report
from badc_core.child_environment import child_environment
from badc_core.errors import ConfigInvalid, UnreadableRecording
from badc_core.units import format_duration, write_seconds


def cut_clip(media: Path, target: Path, start_s: float, end_s: float | None) -> None:
    """Writes a part of a media file.

    Args:
        media: the file.
        target: of the same kind.
        start_s: where the part begins.
        end_s: where it ends; None for the end of the file.

    Raises:
        UnreadableRecording: ffmpeg is missing or cannot read the file.
        ConfigInvalid: the file is over before the part begins.
    """
    program = find_ffmpeg()
    if program is None:
        raise UnreadableRecording("cutting a part of it needs ffmpeg", media, INSTALL)
    until = [] if end_s is None else ["-t", write_seconds(end_s - start_s)]
    codec = "flac" if media.suffix.lower() == ".flac" else "copy"
    command = [
        program, "-nostdin", "-nostats", "-loglevel", "level+info",
        "-protocol_whitelist", "file,pipe", "-ss", write_seconds(start_s), *until,
        "-i", f"file:{media}", "-map", "0:v?", "-map", "0:a?", "-map", "0:s?",
        "-c", "copy", "-c:a", codec, f"file:{target}",
    ]  # fmt: skip
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, check=False, env=child_environment()
    )
    report = parse_report(done.stderr.decode(errors="replace"))
    if report.duration_s is not None and start_s >= report.duration_s:
        raise ConfigInvalid(
            f"is over after {format_duration(report.duration_s)}",
            media,
            "Let the part begin before",
        )
    if done.returncode or not target.is_file() or not target.stat().st_size:
        raise UnreadableRecording(f"cannot be cut (ffmpeg: {report.reason})", media, "Play it")
