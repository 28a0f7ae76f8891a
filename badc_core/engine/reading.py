"""Reading and resampling ahead of the model, in a thread of the worker.

What is made of the batches is in `worker.py`.
"""

import errno
import json
import queue
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from badc_core.audio.channel import EACH, Channel, name_channel
from badc_core.audio.channel_files import open_channels
from badc_core.audio.reader import AudioFile
from badc_core.detectors.chunk_files import ChunkFile
from badc_core.detectors.interface import Batch, Detector
from badc_core.engine import protocol
from badc_core.engine.protocol import ChunkTask
from badc_core.errors import BadcError, DetectorFailed, StorageFull, UnreadableRecording

_BATCHES_AHEAD = 2
_WINDOWS_PER_BATCH = 12


@dataclass(frozen=True)
class StartOfTask:
    """Marks the beginning of a task in the stream from the reading thread."""

    task: ChunkTask
    started: float


@dataclass(frozen=True)
class EndOfTask:
    """Marks the end of a task, with the error that cut its reading short."""

    error: BadcError | None = None


Part = StartOfTask | Batch | EndOfTask | None


class ReadAhead:
    """Turns task lines into window batches, in a thread, a bounded number ahead."""

    def __init__(self, lines: TextIO, detector: Detector) -> None:
        self._lines = lines
        self._detector = detector
        self._open: tuple[AudioFile, ...] = ()
        self._opened: tuple[Path, Channel] | None = None
        n_ahead = _BATCHES_AHEAD + detector.batch_windows // _WINDOWS_PER_BATCH
        self._room = threading.Semaphore(n_ahead)
        self._parts: queue.SimpleQueue[Part] = queue.SimpleQueue()
        self._is_idle = False
        threading.Thread(target=self._run, name="read-ahead", daemon=True).start()

    def __iter__(self) -> Iterator[StartOfTask | Batch | EndOfTask]:
        while (part := self._parts.get()) is not None:
            if not isinstance(part, StartOfTask | EndOfTask):
                self._room.release()
            yield part

    @property
    def is_starved(self) -> bool:
        """Whether nothing is ready and nothing is being read: the next task may take long."""
        return self._is_idle and self._parts.empty()

    def _run(self) -> None:
        try:
            while line := self._next_line():
                task = protocol.task_from_json(json.loads(line))
                self._parts.put(StartOfTask(task, time.monotonic()))
                self._parts.put(self._read(task))
        finally:  # also where a line is no task: a worker nobody feeds must end
            self._parts.put(None)

    def _next_line(self) -> str:
        """Returns the next line; empty where there will be no more."""
        self._is_idle = True
        line = next(self._lines, "")
        self._is_idle = False
        return line

    def _read(self, task: ChunkTask) -> EndOfTask:
        try:
            for audio in self._channels(task):
                for batch in self._detector.batches(audio, task.chunk, task.recording_context):
                    self._room.acquire()
                    files = _files_of(task, audio)
                    self._parts.put(batch.kept_in(files) if isinstance(batch, ChunkFile) else batch)
        except Exception as error:  # noqa: BLE001  (the top of a thread: must answer for the task)
            return EndOfTask(as_badc_error(error))
        return EndOfTask()

    def _channels(self, task: ChunkTask) -> tuple[AudioFile, ...]:
        """Returns the open file, for each channel; successive chunks of a recording share it."""
        wanted = task.audio, task.channel
        if self._opened != wanted:
            for audio in self._open:
                audio.close()
            self._open, self._opened = (), None
            self._open = open_channels(task.audio, task.channel, expected_samples=task.n_samples)
            self._opened = wanted
        if self._open[0].n_samples != task.n_samples:
            raise UnreadableRecording(
                f"has {self._open[0].n_samples} samples where its manifest counts "
                f"{task.n_samples}: it changed since it was cut",
                task.audio,
                "Cut it again: badc run DATASET, or badc chunk manifest FILE",
            )
        return self._open


def _files_of(task: ChunkTask, audio: AudioFile) -> Path | None:
    """Returns where a program's files about a channel are kept; of each channel in a folder."""
    if task.files is None or task.channel != EACH:
        return task.files
    return task.files / f"channel_{name_channel(audio.channel)}"


def as_badc_error(error: Exception) -> BadcError:
    """Returns an error as one that can be shown; it keeps an unforeseen one as its cause."""
    if isinstance(error, BadcError):
        return error
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        place = error.filename or tempfile.gettempdir()
        return StorageFull("no space left", place, "Free some space, or set inference.scratch")
    what = f"{type(error).__name__}: {error}"
    unforeseen = DetectorFailed(what, remedy="The telemetry log has the traceback")
    unforeseen.__cause__ = error
    return unforeseen
