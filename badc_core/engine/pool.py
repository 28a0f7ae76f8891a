"""Worker processes as the engine sees them: start, send, listen, kill.

What to send to whom is decided in `engine.py`.
"""

import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from badc_core.accounts import expand_home
from badc_core.atomic import naming_storage_trouble
from badc_core.child_environment import child_environment
from badc_core.detector_settings import DetectorSettings
from badc_core.devices.places import Place
from badc_core.engine import protocol
from badc_core.engine.protocol import ChunkTask
from badc_core.errors import ConfigInvalid, OutputUnwritable
from badc_core.json_texts import parse_object
from badc_core.locks import is_locked, lock_file, unlock

_STDERR_TAIL_BYTES = 2000
_SCRATCH_PREFIX = "badc-scratch-"
_LOCK = ".lock"
_LONGEST_MAKING_S = 60.0
_EXIT_POLL_S = 0.01
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Unless the user wants it otherwise; a worker has one core."""
_MOST_STDERR_BYTES = 1 << 20


@dataclass(frozen=True)
class Message:
    """A message from a worker; `content` is None when the worker is gone."""

    worker: "WorkerProcess"
    content: dict[str, Any] | None


@dataclass(frozen=True)
class Assignment:
    """A task on its way through a worker.

    Attributes:
        attempt: 1 for the first.
        n_failures: attempts whose failure was its own.
        is_suspect: it was in a worker that died, so it runs alone in one from now on.
    """

    task: ChunkTask
    attempt: int = 1
    n_failures: int = 0
    is_suspect: bool = False


class WorkerProcess:
    """One running worker.

    Args:
        place: where it runs; a replacement inherits it.
        settings: the detector.
        scratch: folder below which it gets its own for temporary files.
        inbox: where its messages are put.

    Attributes:
        floor: weaker detections are left out by it.
        assigned: what it has been given and not answered, oldest first.
        is_ready: it has said hello.
        since: when it started what it is doing now, loading or its oldest chunk; monotonic.
        since_utc: the same by the clock.
        overdue: why it was ended for taking too long; empty if it was not.
        overdue_task: what it was at then; None while loading.
    """

    def __init__(
        self,
        place: Place,
        settings: DetectorSettings,
        scratch: Path,
        inbox: "queue.SimpleQueue[Message]",
    ) -> None:
        self.place = place
        self.floor = settings.floor
        self.assigned: deque[Assignment] = deque()
        self.is_ready = False
        self.overdue = ""
        self.overdue_task: ChunkTask | None = None
        self._inbox = inbox
        with naming_storage_trouble(scratch):
            self._scratch = tempfile.mkdtemp(prefix=f"{place.label}-", dir=scratch)
            # Lives as long as the worker.
            self._stderr = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115
        self.begin()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "badc_core.engine.worker", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            encoding="utf-8",
            env={
                **_ONE_THREAD,
                **child_environment(),
                **place.environment(),
                "PYTHONUNBUFFERED": "1",
                "TMPDIR": self._scratch,
            },
            start_new_session=True,
            pass_fds=place.descriptors,
        )
        detector = {**settings.model_dump(), "min_score": settings.floor}
        setup = {"detector": detector, "scratch": self._scratch}
        self._write(protocol.encode("setup", **setup))
        self._listener = threading.Thread(
            target=self._listen, name=f"hear-{place.label}", daemon=True
        )
        self._listener.start()

    @property
    def label(self) -> str:
        """Its place's name, such as `cpu-0`."""
        return self.place.label

    @property
    def pid(self) -> int:
        """Its process id, and that of its process group."""
        return self._process.pid

    def begin(self) -> None:
        """Records that it starts something now."""
        self.since = time.monotonic()
        self.since_utc = datetime.now(UTC)
        if os.fstat(self._stderr.fileno()).st_size > _MOST_STDERR_BYTES:
            # What is before its end is given back to the disk; the worker writes on behind it.
            os.ftruncate(self._stderr.fileno(), 0)

    def send(self, assignment: Assignment) -> None:
        """Gives it a chunk to do after those it has."""
        self.assigned.append(assignment)
        self._write(protocol.encode("chunk", **protocol.task_to_json(assignment.task)))

    def stderr_tail(self) -> str:
        """Returns the end of what it wrote to standard error."""
        size = os.fstat(self._stderr.fileno()).st_size
        start = max(0, size - _STDERR_TAIL_BYTES)
        tail = os.pread(self._stderr.fileno(), size - start, start)
        return tail.decode(errors="replace").replace("\0", "").strip()

    def kill(self) -> None:
        """Ends it and all it started, at once; its listener then says that it is gone."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.kill()

    def end(self, grace_s: float = 0.0) -> int:
        """Ends the process and all it started; returns its exit code (negative: the signal).

        Args:
            grace_s: how long it may take to end by itself before it is killed.
        """
        if self._process.returncode is None:
            self._await_exit(grace_s)
            self.kill()
        return self._process.wait()

    def close(self) -> None:
        """Ends the process at once, and forgets what it wrote."""
        self.end()
        self._listener.join()
        self._stderr.close()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _await_exit(self, grace_s: float) -> None:
        """Waits for its exit without reaping it: the number of its group must not be reused yet."""
        if not hasattr(os, "waitid"):  # macOS before Python 3.13
            return
        wanted = os.WEXITED | os.WNOWAIT | os.WNOHANG
        deadline = time.monotonic() + grace_s
        while os.waitid(os.P_PID, self.pid, wanted) is None and time.monotonic() < deadline:
            time.sleep(_EXIT_POLL_S)

    def _write(self, line: str) -> None:
        """Writes a line; a dead worker is noticed by the listener, not here."""
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.write(line)
                self._process.stdin.flush()

    def _listen(self) -> None:
        stream = self._process.stdout
        try:
            for line in stream or ():
                self._inbox.put(Message(self, parse_object(line)))
        except ValueError:
            pass
        finally:
            self._inbox.put(Message(self, None))


@contextmanager
def scratch_folder(parent: str) -> Iterator[Path]:
    """Yields a folder for temporary files of workers, and removes it afterwards.

    What killed processes left is removed too: each holds a lock that dies with it.

    Args:
        parent: where to make it; empty for the system's place.
    """
    place = expand_home(parent) if parent else Path(tempfile.gettempdir())
    folder, descriptor = _locked_folder(place)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        unlock(descriptor)


def _locked_folder(place: Path) -> tuple[Path, int]:
    """Returns a new folder in a place, and what holds its lock."""
    try:
        with naming_storage_trouble(place):
            place.mkdir(parents=True, exist_ok=True)
            _sweep(place)
            unlocked = Path(tempfile.mkdtemp(prefix=f".{_SCRATCH_PREFIX}", dir=place))
            descriptor = lock_file(unlocked / _LOCK)
            folder = unlocked.with_name(unlocked.name.removeprefix("."))
            unlocked.rename(folder)
    except OutputUnwritable as error:
        raise ConfigInvalid(
            str(error.what), f"inference.scratch, {place}", "Choose a folder that can be written to"
        ) from error
    return folder, descriptor


def _sweep(place: Path) -> None:
    """Removes scratch folders whose makers are dead."""
    for folder in (*place.glob(f"{_SCRATCH_PREFIX}*"), *place.glob(f".{_SCRATCH_PREFIX}*")):
        with suppress(OSError):
            if _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    """Returns whether no process uses a folder, nor is making it.

    A folder has its lock before it has its name, so one without was being removed; one that is
    hidden still after a minute was being made.
    """
    if folder.name.startswith("."):
        return time.time() - folder.stat().st_mtime > _LONGEST_MAKING_S
    return not is_locked(folder / _LOCK)
