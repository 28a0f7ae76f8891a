"""Files that only ffmpeg reads, made by ffmpeg itself."""

import subprocess
from pathlib import Path

from badc_core.audio.ffmpeg import find_ffmpeg


def encode_with_ffmpeg(source: Path, path: Path, *options: str) -> Path:
    """Writes a sound file in the format of another's ending; returns its path."""
    program = find_ffmpeg()
    assert program is not None, "the extra `ffmpeg` is part of `dev`"
    command = [program, "-nostdin", "-v", "error", "-y", "-i", str(source), *options]
    subprocess.run([*command, f"file:{path}"], check=True)
    return path
