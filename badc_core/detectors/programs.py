"""Running other people's programs on a chunk, for detectors that are programs.

A program stays in the worker's process group, so that ending a worker ends it too.
"""

import os
import signal
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from badc_core.audio.reader import AudioFile
from badc_core.child_environment import child_environment
from badc_core.chunks.plan import Chunk
from badc_core.detectors.chunk_files import ChunkFile, write_chunk_file
from badc_core.detectors.interface import Detection, DetectorReport, RecordingContext
from badc_core.errors import BadcError, DetectorFailed, DetectorMissing, OutOfMemory
from badc_core.out_of_memory import mentions_memory

_REPORTED_CHARACTERS = 500
_KEPT_BYTES = 1 << 16
_SHELL_SIGNAL_BASE = 128


@dataclass(frozen=True)
class CompletedProgram:
    """A program that ended.

    Attributes:
        command: what was run.
        returncode: its exit code; below 0 the signal that killed it.
        stdout, stderr: the last 64 KiB of what it wrote.
        peak_rss_mib: most memory that it, or a program it ran, ever held. Linux counts from before
            the program was loaded, so it is never below the peak of the process that started it.
    """

    command: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    peak_rss_mib: float

    @property
    def last_line(self) -> str:
        """The last line it wrote, to standard error if there is one, else to standard output."""
        text = self.stderr if self.stderr.strip() else self.stdout
        written = [line.strip() for line in text.splitlines() if line.strip()]
        return written[-1][-_REPORTED_CHARACTERS:] if written else ""

    def report(self) -> DetectorReport:
        """Returns what telemetry keeps of it."""
        return DetectorReport(
            self.command,
            self.returncode,
            self.stdout[-_REPORTED_CHARACTERS:],
            self.stderr[-_REPORTED_CHARACTERS:],
            peak_rss_mib=self.peak_rss_mib,
        )

    def failure(self, what: str, where: str, remedy: str) -> BadcError:
        """Returns the error of a run that failed, with the last line the program wrote.

        A mention of memory makes the error OutOfMemory, on which a shorter chunk is tried.
        """
        kind = OutOfMemory if mentions_memory(f"{self.stdout}\n{self.stderr}") else DetectorFailed
        return kind(f"{what}: {self.last_line}" if self.last_line else what, where, remedy)


class ProgramPerChunk(ABC):
    """What detectors share that start a program for every chunk.

    Attributes:
        batch_windows: 1: the program is given one chunk at a time.
    """

    batch_windows = 1

    def __init__(self) -> None:
        """Starts without a report."""
        self._report: DetectorReport | None = None

    def batches(
        self, audio: AudioFile, chunk: Chunk, recording_context: RecordingContext
    ) -> Iterator[ChunkFile]:
        """Yields the chunk as a file."""
        yield write_chunk_file(audio, chunk, recording_context)

    def detect(self, batch: ChunkFile) -> list[list[Detection]]:
        """Returns what the program found, at or above the minimum score, by start, then label.

        Raises:
            OutOfMemory: it failed and mentions memory.
            DetectorFailed: it failed, or what it wrote is missing or cannot be used.
            DetectorMissing: it can no longer be started.
            StorageFull, OutputUnwritable: what it wrote cannot be kept where that is wanted.
        """
        self._report = None
        try:
            found = self._run(batch)
            self._add_notes(batch.keep_output())
            return [found]
        finally:
            batch.remove()

    def report(self) -> DetectorReport | None:
        """Returns how the program's last run went."""
        return self._report

    def close(self) -> None:  # noqa: B027  (nothing is left to do, for any of them)
        """Does nothing: the program has ended and its files are removed."""

    def _add_notes(self, notes: tuple[str, ...]) -> None:
        if self._report is not None and notes:
            self._report = replace(self._report, notes=(*self._report.notes, *notes))

    @abstractmethod
    def _run(self, batch: ChunkFile) -> list[Detection]:
        """Runs the program, sets the report, returns what it found."""


def run_program(command: Sequence[str], cwd: Path | None = None) -> CompletedProgram:
    """Runs a program to its end, without a shell and with nothing on its standard input.

    Args:
        command: program and arguments.
        cwd: folder it runs in; None for this process's.

    Raises:
        DetectorMissing: it cannot be started.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        try:
            program = subprocess.Popen(
                command,
                cwd=cwd,
                env=child_environment(),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                close_fds=False,  # the lease of the device is the program's too
            )
        except OSError as error:
            raise DetectorMissing(
                f"cannot be started ({error.strerror})", command[0], "Make it a runnable program"
            ) from error
        peak_rss_mib = _wait(program)
        return CompletedProgram(
            tuple(command), program.returncode, _tail(stdout), _tail(stderr), peak_rss_mib
        )


def _wait(program: "subprocess.Popen[bytes]") -> float:
    """Waits for a program's end, sets its exit code and returns its `peak_rss_mib`."""
    with program:
        try:
            _, status, usage = os.wait4(program.pid, 0)
        except BaseException:
            program.kill()
            raise
        program.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def describe_exit(returncode: int) -> str:
    """Returns an exit code in words: `exit code 3`, `exit code -9 (killed by SIGKILL, ...)`."""
    number = -returncode if returncode < 0 else returncode - _SHELL_SIGNAL_BASE
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"exit code {returncode}"
    hint = ", as happens where memory runs out" if name == "SIGKILL" else ""
    return f"exit code {returncode} (killed by {name}{hint})"


def _tail(file: IO[bytes]) -> str:
    """Returns the end of what was written to a file."""
    length = file.seek(0, 2)
    file.seek(max(0, length - _KEPT_BYTES))
    return file.read().decode("utf-8", errors="replace")
