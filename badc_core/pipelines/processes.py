"""All processes of a stage: finding them, and ending them.

They are the process group that was started and, on Linux, every process with the stage's mark in
its environment, and what such processes started. So those that made a session of their own, or
whose parent has ended, are found too, also after the runner itself was killed. Elsewhere only the
process group is.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from badc_core.file_names import absolute
from badc_core.hashing import sha256_bytes

MARK_VARIABLE = "BADC_STAGE_MARK"
ATTEMPT_VARIABLE = "BADC_STAGE_ATTEMPT"
"""Marks the processes of one attempt at a stage."""
_PROC = Path("/proc")
_POLL_S = 0.05
_GRACE_S = 5.0
_KILL_S = 10.0


def mark_of(folder: Path, stage: str) -> str:
    """Returns what marks the processes of a job's stage, whoever started them."""
    return sha256_bytes(os.fsencode(f"{absolute(folder)}\0{stage}"))[:32]


def find_processes(mark: str, group: int | None = None) -> set[int]:
    """Returns the processes of a stage, without this one.

    Args:
        mark: of the stage, or of one attempt at it.
        group: its process group and session; None if that is not known.
    """
    wanted = {os.fsencode(f"{name}={mark}") for name in (MARK_VARIABLE, ATTEMPT_VARIABLE)}
    parents: dict[int, int] = {}
    found: set[int] = set()
    for entry in _PROC.glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):  # it has ended, or is another user's
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            pid = int(entry.name)
            if fields[0] in {"Z", "X"}:
                continue
            parents[pid] = int(fields[1])
            is_in_group = group in {int(fields[2]), int(fields[3])}
            if is_in_group or wanted & {*(entry / "environ").read_bytes().split(b"\0")}:
                found.add(pid)
    while started := {one for one, parent in parents.items() if parent in found} - found:
        found |= started
    return found - {os.getpid()}


def end_processes(mark: str, group: int | None = None, grace_s: float = _GRACE_S) -> bool:
    """Ends all processes of a stage: by SIGTERM, and those left after a while by SIGKILL.

    Args:
        mark: of the stage, or of one attempt at it.
        group: a process group to end too; None if there is none.
        grace_s: how long they may take to end by themselves.

    Returns:
        whether there were any.
    """
    found = _signal(mark, group, signal.SIGTERM)
    if not found:
        return False
    try:
        wait_for_end(mark, group, grace_s)
    finally:
        end_s = time.monotonic() + _KILL_S
        while _signal(mark, group, signal.SIGKILL) and time.monotonic() < end_s:
            time.sleep(_POLL_S)
    return True


def wait_for_end(mark: str, group: int | None, at_most_s: float) -> None:
    """Waits until a stage has no processes any more, or some time has passed."""
    end_s = time.monotonic() + at_most_s
    while time.monotonic() < end_s and _signal(mark, group, 0):
        time.sleep(_POLL_S)


def _signal(mark: str, group: int | None, number: int) -> bool:
    """Sends a signal to all processes of a stage, 0 for none; returns whether there are any."""
    sent = False
    for pid in find_processes(mark, group):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
            sent = True
    if group is not None and not _PROC.is_dir():
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
            sent = True
    return sent
