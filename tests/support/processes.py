"""Which processes there are, by Linux's /proc; a test that asks is skipped where there is none."""

import os
from pathlib import Path


def is_alive(pid: int) -> bool:
    """Tells whether a process lives; one that only waits to be buried does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def command_lines(mark: str) -> list[str]:
    """Returns those of all other processes that have some text in their environment."""
    others = [one for one in Path("/proc").glob("[0-9]*") if int(one.name) != os.getpid()]
    return [line for one in others if (line := _command_line(one, os.fsencode(mark)))]


def worker_command_lines(mark: str) -> list[str]:
    """Returns those of detectors' worker processes with some text in their environment."""
    return [line for line in command_lines(mark) if "badc_core.engine.worker" in line]


def _command_line(entry: Path, mark: bytes) -> str:
    try:
        if mark not in (entry / "environ").read_bytes():
            return ""
        return os.fsdecode((entry / "cmdline").read_bytes()).replace("\0", " ")
    except OSError:
        return ""
