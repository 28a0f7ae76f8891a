"""Small disks that fill up, made by mounting; for tests that run as root."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.lacking import lacking


@contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[None]:
    """Mounts a disk of some KiB at a folder until the block ends; ends the test without root."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        lacking("the right to mount a disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, free_kib: int) -> None:
    """Fills the disk of a folder up to some KiB."""
    state = os.statvfs(folder)
    n_bytes = state.f_bavail * state.f_frsize - free_kib * 1024
    filler = folder / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, n_bytes)
