"""Running the process of a stage to its end, or to the end of its time."""

import os
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from badc_core.atomic import naming_storage_trouble
from badc_core.detectors.programs import describe_exit
from badc_core.errors import ConfigInvalid, ProgramMissing
from badc_core.pipelines.guard import end_guard, guard_group, start_guard
from badc_core.pipelines.log_masking import masking
from badc_core.pipelines.processes import (
    ATTEMPT_VARIABLE,
    MARK_VARIABLE,
    end_processes,
    wait_for_end,
)
from badc_core.secret_values import Secrets

_TAIL_BYTES = 4096
_REPORTED_CHARACTERS = 300
_ENDING_S = 1.0
"""What its children may take to end after a process, such as those of multiprocessing."""


@dataclass(frozen=True)
class Program:
    """A process to run.

    Attributes:
        words: program and arguments; no shell sees them.
        folder: that it runs in.
        environment: all of its variables.
        log: to which its output is appended, line by line.
        secrets: that must not get into the log.
        mark: of the stage, by which what it starts is found.
        descriptors: open files that it inherits.
    """

    words: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    log: Path
    secrets: Secrets
    mark: str
    descriptors: tuple[int, ...] = ()


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        returncode: its exit code, below 0 the signal that killed it; None if its time was over.
        last_line: of what it wrote.
        left_processes: whether something that it started was still there.
    """

    returncode: int | None
    last_line: str
    left_processes: bool

    def explain_failure(self, timeout_s: float | None) -> str:
        """Returns why it failed; empty if it did not."""
        if self.returncode is None:
            return f"it was not done after {timeout_s:g} s, and was ended"
        if self.returncode == 0:
            return ""
        return ": ".join(filter(None, (describe_exit(self.returncode), self.last_line)))


def run_to_end(program: Program, timeout_s: float | None) -> Ended:
    """Runs a process; when this returns, raises or is killed, nothing that it started is left.

    Raises:
        ProgramMissing, ConfigInvalid: it cannot be started.
        StorageFull, OutputUnwritable: the log cannot be written.
    """
    with naming_storage_trouble(program.log):
        program.log.parent.mkdir(parents=True, exist_ok=True)
        log = os.open(program.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    try:
        start = os.fstat(log).st_size
        with naming_storage_trouble(program.log), masking(log, program.secrets) as pipe:
            returncode, left = _run(program, pipe, timeout_s)
    finally:
        os.close(log)
    return Ended(returncode, _last_line(program.log, start), left)


def _run(
    program: Program, pipe: tuple[int, int], timeout_s: float | None
) -> tuple[int | None, bool]:
    group = None
    read, log = pipe
    attempt = secrets.token_hex(16)
    guard = start_guard(attempt, read, program.descriptors)
    try:
        process = _start(program, log, attempt)
        group = process.pid
        guard_group(guard, group)
        try:
            returncode: int | None = process.wait(timeout_s)
            wait_for_end(program.mark, group, _ENDING_S)
        except subprocess.TimeoutExpired:
            returncode = None
    finally:
        # Also after a success: what it has left running might write its outputs again.
        left = end_processes(program.mark, group)
        if group is not None:
            process.wait()
        end_guard(guard)
    return returncode, left


def _start(program: Program, log: int, attempt: str) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            program.words,
            cwd=program.folder,
            env={
                **program.environment,
                MARK_VARIABLE: program.mark,
                ATTEMPT_VARIABLE: attempt,
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=program.descriptors,
        )
    except FileNotFoundError as error:
        raise ProgramMissing("there is no such program", program.words[0], "Install it") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        remedy = "Correct the command"
        raise ConfigInvalid(f"cannot be started ({why})", program.words[0], remedy) from error


def _last_line(log: Path, start: int) -> str:
    """Returns the last line that was written to a log since it had some size."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start, size - _TAIL_BYTES))
        text = file.read().decode("utf-8", errors="replace")
    lines = [one.strip() for one in text.splitlines() if one.strip()]
    return lines[-1][-_REPORTED_CHARACTERS:] if lines else ""
