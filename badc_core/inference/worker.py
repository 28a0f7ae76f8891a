"""A worker: one detector, kept in memory, fed chunks through standard input.

Started by `pool.py` as `python -m badc_core.inference.worker PARENT`; speaks `protocol.py`. One
thread reads and resamples ahead while the main thread runs the model (`batching.py`).
"""

import errno
import json
import os
import queue
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, TextIO

from badc_core.audio.reader import AudioFile
from badc_core.detectors.interface import Batch, Detection, Detector, WindowBatch
from badc_core.detectors.registry import load_detector
from badc_core.errors import (
    BadcError,
    DetectorFailed,
    OutOfMemory,
    StorageFull,
    UnreadableRecording,
)
from badc_core.inference import protocol
from badc_core.inference.batching import Batching, detect_in_halves
from badc_core.inference.protocol import ChunkTask
from badc_core.settings import DetectorSettings

_BATCHES_AHEAD = 2
_WINDOWS_PER_BATCH = 12
_PARENT_CHECK_S = 1.0


@dataclass(frozen=True)
class _Opened:
    """Marks the beginning of a task in the stream from the reading thread."""

    task: ChunkTask
    started: float


@dataclass(frozen=True)
class _Finished:
    """Marks the end of a task, with the error that cut its reading short."""

    error: BadcError | None = None


_Part = _Opened | Batch | _Finished | None


class ReadAhead:
    """Turns task lines into window batches, in a thread, a bounded number ahead."""

    def __init__(self, lines: TextIO, detector: Detector) -> None:
        self._lines = lines
        self._detector = detector
        self._open: AudioFile | None = None
        n_ahead = _BATCHES_AHEAD + detector.batch_windows // _WINDOWS_PER_BATCH
        self._parts: queue.Queue[_Part] = queue.Queue(n_ahead)
        threading.Thread(target=self._run, name="read-ahead", daemon=True).start()

    def __iter__(self) -> Iterator[_Opened | Batch | _Finished]:
        while (part := self._parts.get()) is not None:
            yield part

    @property
    def is_empty(self) -> bool:
        """Whether nothing is ready, so that whoever waits for more may wait long."""
        return self._parts.empty()

    def _run(self) -> None:
        try:
            for line in self._lines:
                task = protocol.task_from_json(json.loads(line))
                self._parts.put(_Opened(task, time.monotonic()))
                self._parts.put(self._read(task))
        finally:  # also where a line is no task: a worker nobody feeds must end
            self._parts.put(None)

    def _read(self, task: ChunkTask) -> _Finished:
        try:
            audio = self._audio(task)
            for batch in self._detector.batches(audio, task.chunk, task.occasion):
                self._parts.put(batch)
        except Exception as error:  # noqa: BLE001  (the top of a thread: must answer for the task)
            return _Finished(as_badc_error(error))
        return _Finished()

    def _audio(self, task: ChunkTask) -> AudioFile:
        """Returns the open file; successive chunks of a recording share it."""
        if self._open is None or self._open.path != task.audio:
            if self._open is not None:
                self._open.close()
                self._open = None
            self._open = AudioFile(task.audio)
        if self._open.n_samples != task.n_samples:
            raise UnreadableRecording(
                f"has {self._open.n_samples} samples where its manifest counts {task.n_samples}: "
                "it changed since it was cut",
                task.audio,
                "Cut it again: badc run DATASET, or badc chunk manifest FILE",
            )
        return self._open


@dataclass
class _InWork:
    """A task some of whose windows may still wait for company."""

    task: ChunkTask
    started: float
    detections: list[Detection] = field(default_factory=list)
    error: BadcError | None = None
    n_waiting: int = 0
    is_read: bool = False
    is_whole: bool = False
    """Analysed as a whole already, in parts, so that batches still to come add nothing."""
    notes: list[str] = field(default_factory=list)


class Worker:
    """Answers every task, in order."""

    def __init__(self, detector: Detector, replies: TextIO) -> None:
        self._detector = detector
        self._replies = replies
        self._batching: Batching[_InWork] = Batching(detector)
        self._in_work: deque[_InWork] = deque()
        self._answered = 0.0

    def run(self, lines: TextIO) -> None:
        """Works until the input ends."""
        ahead = ReadAhead(lines, self._detector)
        for part in ahead:
            self._take(part)
            is_starved = ahead.is_empty
            if self._batching.is_full or is_starved:
                self._detect(everything=is_starved)
            self._answer_what_is_done()
        self._detect(everything=True)
        self._answer_what_is_done()

    def _take(self, part: _Opened | Batch | _Finished) -> None:
        if isinstance(part, _Opened):
            self._in_work.append(_InWork(part.task, part.started))
            return
        newest = self._in_work[-1]
        if isinstance(part, _Finished):
            newest.is_read = True
            newest.error = newest.error or part.error
        elif newest.error is None:
            newest.n_waiting += len(part)
            self._batching.add(newest, part)

    def _detect(self, *, everything: bool) -> None:
        """Runs the model on what waits; a failure costs the chunk concerned."""
        for owners, batch in self._batching.take(everything=everything):
            self._detect_for(owners, batch)

    def _detect_for(self, owners: list[tuple[_InWork, int]], batch: Batch) -> None:
        try:
            found, notes = self._batching.detect(batch)
        except Exception as error:  # noqa: BLE001  (a detector's bug costs its chunk only)
            if len(owners) > 1 and isinstance(batch, WindowBatch):
                self._detect_apart(owners, batch)
            else:
                self._detect_otherwise(*owners[0], error)
            return
        for owner, n_windows in owners:
            owner.n_waiting -= n_windows
            owner.notes += notes
            for window in () if owner.is_whole else found[:n_windows]:
                owner.detections.extend(window)
            del found[:n_windows]

    def _detect_apart(self, owners: list[tuple[_InWork, int]], batch: WindowBatch) -> None:
        """Tries each chunk's windows by themselves, so that none pays for another."""
        start = 0
        for owner, n_windows in owners:
            self._detect_for([(owner, n_windows)], batch.part(start, start + n_windows))
            start += n_windows

    def _detect_otherwise(self, owner: _InWork, n_windows: int, error: Exception) -> None:
        """Tries a chunk that did not fit as shorter ones; other failures are the chunk's."""
        owner.n_waiting -= n_windows
        if owner.is_whole:
            return
        if isinstance(error, OutOfMemory) and not self._batching.joins_windows:
            try:
                owner.detections, n_parts = detect_in_halves(self._detector, owner.task)
                owner.is_whole = True
                owner.notes.append(f"out of memory: chunk analysed in {n_parts} parts")
            except Exception as worse:  # noqa: BLE001  (a detector's bug costs its chunk only)
                error = worse
            else:
                return
        owner.error = owner.error or as_badc_error(error)

    def _answer_what_is_done(self) -> None:
        while self._in_work and self._in_work[0].is_read and not self._in_work[0].n_waiting:
            done = self._in_work.popleft()
            now = time.monotonic()
            # Reading ahead of the chunk before does not count: that time was that chunk's.
            runtime_s = now - max(done.started, self._answered)
            self._answered = now
            self._answer(done, runtime_s)

    def _answer(self, done: _InWork, runtime_s: float) -> None:
        report = self._detector.report()
        measures = {
            "runtime_s": runtime_s,
            "peak_rss_mib": peak_rss_mib(),
            "notes": done.notes,
            "report": None if report is None else asdict(report),
        }
        if done.error is None:
            rows = protocol.detections_to_json(done.detections)
            self.send(protocol.encode("result", detections=rows, **measures))
        else:
            told = protocol.error_to_json(done.error)
            self.send(protocol.encode("error", error=told, **measures))

    def send(self, line: str) -> None:
        """Writes one line at once."""
        self._replies.write(line)
        self._replies.flush()


def peak_rss_mib() -> float:
    """Returns the largest resident size this process ever had, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def as_badc_error(error: Exception) -> BadcError:
    """Returns an error as one that can be shown; an unforeseen one is printed in full."""
    if isinstance(error, BadcError):
        return error
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        place = error.filename or tempfile.gettempdir()
        return StorageFull("no space left", place, "Free some space, or set inference.scratch")
    traceback.print_exception(error)
    what = f"{type(error).__name__}: {error}"
    return DetectorFailed(what, remedy="The telemetry log has the traceback")


def _private_replies() -> TextIO:
    """Returns a stream on the real standard output, which libraries can then no longer reach."""
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return private


def _end_with(parent: int) -> None:
    """Ends this process and all it started when its parent is gone, even in the middle of work."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PARENT_CHECK_S)
        os.killpg(0, signal.SIGKILL)

    if os.getpgid(0) == os.getpid():
        threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def main() -> int:
    """Runs a worker on standard input and output."""
    replies = _private_replies()
    _end_with(int(sys.argv[1]))
    setup: dict[str, Any] = json.loads(sys.stdin.readline())
    tempfile.tempdir = setup["scratch"]
    started = time.monotonic()
    try:
        detector = load_detector(DetectorSettings.model_validate(setup["detector"]))
    except BadcError as error:
        replies.write(protocol.encode("refused", error=protocol.error_to_json(error)))
        replies.flush()
        return 1
    worker = Worker(detector, replies)
    worker.send(
        protocol.encode(
            "hello",
            protocol=protocol.PROTOCOL,
            pid=os.getpid(),
            detector=asdict(detector.identity),
            ready_s=time.monotonic() - started,
        )
    )
    worker.run(sys.stdin)
    detector.close()
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)
