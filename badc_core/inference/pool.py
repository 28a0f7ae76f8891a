"""Worker processes as the engine sees them: start, send, hear, kill.

What to send to whom is decided in `engine.py`.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

from badc_core.inference import protocol
from badc_core.inference.protocol import ChunkTask
from badc_core.settings import DetectorSettings

_STDERR_TAIL_BYTES = 2000


@dataclass(frozen=True)
class Heard:
    """A message from a worker; `content` is None when the worker is gone."""

    worker: "WorkerProcess"
    content: dict[str, Any] | None


@dataclass(frozen=True)
class Assignment:
    """A task on its way through a worker.

    Attributes:
        attempt: 1 for the first.
        is_suspect: it was in a worker that died, so it runs alone in one from now on.
    """

    task: ChunkTask
    attempt: int = 1
    is_suspect: bool = False


class WorkerProcess:
    """One running worker.

    Attributes:
        label: its place, such as `cpu-0`; a replacement inherits it.
        assigned: what it has been given and not answered, oldest first.
        is_ready: it has said hello.
    """

    def __init__(
        self, label: str, settings: DetectorSettings, inbox: "queue.SimpleQueue[Heard]"
    ) -> None:
        self.label = label
        self.assigned: deque[Assignment] = deque()
        self.is_ready = False
        self._inbox = inbox
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the worker)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "badc_core.inference.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            encoding="utf-8",
            env=_environment(),
            start_new_session=True,
        )
        self._write(protocol.encode("setup", detector=settings.model_dump()))
        self._listener = threading.Thread(target=self._listen, name=f"hear-{label}", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, assignment: Assignment) -> None:
        """Gives it a chunk to do after those it has."""
        self.assigned.append(assignment)
        self._write(protocol.encode("chunk", **protocol.task_to_json(assignment.task)))

    def stderr_tail(self) -> str:
        """Returns the end of what it wrote to standard error."""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _STDERR_TAIL_BYTES))
        return self._stderr.read().decode(errors="replace").strip()

    def end(self, grace_s: float = 0.0) -> int:
        """Ends the process; returns its exit code (negative: the signal).

        Args:
            grace_s: how long it may take to end by itself before it is killed.
        """
        try:
            return self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
        return self._process.wait()

    def close(self) -> None:
        """Ends the process at once and forgets what it wrote."""
        self.end()
        self._listener.join()
        self._stderr.close()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue

    def _write(self, line: str) -> None:
        """Writes a line; a dead worker is noticed by the listener, not here."""
        if self._process.stdin is not None:
            try:
                self._process.stdin.write(line)
                self._process.stdin.flush()
            except BrokenPipeError:
                return

    def _listen(self) -> None:
        stream = self._process.stdout
        try:
            for line in stream or ():
                self._inbox.put(Heard(self, json.loads(line)))
        except ValueError:
            pass
        finally:
            self._inbox.put(Heard(self, None))


def _environment() -> dict[str, str]:
    """Returns the worker's environment: no GPU, one thread per library."""
    return {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }
