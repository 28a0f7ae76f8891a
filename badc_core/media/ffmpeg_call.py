"""Running ffmpeg on a whole file; the program is found, and streamed from, in `audio/ffmpeg.py`.

Source: https://ffmpeg.org/ffmpeg.html (options), ffmpeg-protocols.html (whitelist).
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from badc_core.audio.clips import MEDIA_CONTAINERS
from badc_core.audio.ffmpeg import find_ffmpeg
from badc_core.audio.ffmpeg_messages import FfmpegReport, parse_report
from badc_core.child_environment import child_environment
from badc_core.errors import ContentMissing, ProgramMissing
from badc_core.media.results import INSTALL

_READABLE = f"{MEDIA_CONTAINERS},srt"


def run_ffmpeg(inputs: Sequence[Path], options: Sequence[str], output: Path) -> FfmpegReport | None:
    """Writes a file from others.

    Args:
        inputs: what is read, in the order that `-map` counts.
        options: for the output.
        output: written over if it is there.

    Returns:
        What ffmpeg says where it fails; None where it does not.

    Raises:
        ProgramMissing: there is no ffmpeg.
        ContentMissing: an input is not there.
    """
    program = find_ffmpeg()
    if program is None:
        raise ProgramMissing("ffmpeg is not installed", "", INSTALL)
    command = [program, "-nostdin", "-nostats", "-y", "-loglevel", "level+info"]
    for path in inputs:
        if not path.is_file():
            what = "it is a folder, not a file" if path.is_dir() else "it is not there"
            raise ContentMissing(what, path, "Check its path")
        command += ["-protocol_whitelist", "file", "-format_whitelist", _READABLE]
        command += ["-i", f"file:{path}"]
    done = subprocess.run(
        [*command, *options, f"file:{output}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=child_environment(),
        check=False,
    )
    report = parse_report(done.stderr.decode(errors="replace"))
    return report if done.returncode or report.is_cut_off else None
