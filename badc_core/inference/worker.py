"""A worker: one detector, kept in memory, fed chunks through standard input.

Started by `pool.py` as `python -m badc_core.inference.worker`; speaks `protocol.py`. One thread
reads and resamples ahead while the main thread runs the model.
"""

import json
import os
import queue
import resource
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, TextIO

from badc_core.audio.reader import AudioFile
from badc_core.detectors.interface import Detection, Detector, WindowBatch
from badc_core.detectors.registry import load_detector
from badc_core.errors import BadcError, DetectorFailed, UnreadableRecording
from badc_core.inference import protocol
from badc_core.inference.protocol import ChunkTask
from badc_core.settings import DetectorSettings

_BATCHES_AHEAD = 2


@dataclass(frozen=True)
class _Opened:
    """Marks the beginning of a task in the stream from the reading thread."""

    task: ChunkTask
    started: float


@dataclass(frozen=True)
class _Finished:
    """Marks the end of a task, with the error that cut its reading short."""

    error: BadcError | None = None


_Part = _Opened | WindowBatch | _Finished | None


class ReadAhead:
    """Turns task lines into window batches, in a thread, a bounded number ahead."""

    def __init__(self, lines: TextIO, detector: Detector) -> None:
        self._lines = lines
        self._detector = detector
        self._open: AudioFile | None = None
        self._parts: queue.Queue[_Part] = queue.Queue(_BATCHES_AHEAD)
        threading.Thread(target=self._run, name="read-ahead", daemon=True).start()

    def __iter__(self) -> Iterator[_Opened | WindowBatch | _Finished]:
        while (part := self._parts.get()) is not None:
            yield part

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
            for batch in self._detector.batches(self._audio(task), task.chunk):
                self._parts.put(batch)
        except BadcError as error:
            return _Finished(error)
        except Exception as error:  # noqa: BLE001  (the top of a thread: must answer for the task)
            return _Finished(_unexpected(error))
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
                "the file changed",
                task.audio,
                "Run: badc run DATASET, which describes it again",
            )
        return self._open


class Worker:
    """Answers every task, in order."""

    def __init__(self, detector: Detector, replies: TextIO) -> None:
        self._detector = detector
        self._replies = replies

    def run(self, lines: TextIO) -> None:
        """Works until the input ends."""
        started, answered = 0.0, 0.0
        detections: list[Detection] = []
        error: BadcError | None = None
        for part in ReadAhead(lines, self._detector):
            if isinstance(part, _Opened):
                # Reading ahead of the chunk before does not count: that time was that chunk's.
                started, detections, error = max(part.started, answered), [], None
            elif isinstance(part, WindowBatch):
                if error is None:
                    error = self._detect(part, detections)
            else:
                answered = time.monotonic()
                self._answer(detections, error or part.error, answered - started)

    def _detect(self, batch: WindowBatch, detections: list[Detection]) -> BadcError | None:
        try:
            detections.extend(self._detector.detect(batch))
        except BadcError as error:
            return error
        except Exception as error:  # noqa: BLE001  (a detector's bug costs its chunk, not the worker)
            return _unexpected(error)
        return None

    def _answer(
        self, detections: list[Detection], error: BadcError | None, runtime_s: float
    ) -> None:
        measures = {"runtime_s": runtime_s, "peak_rss_mib": peak_rss_mib()}
        if error is None:
            rows = protocol.detections_to_json(detections)
            self.send(protocol.encode("result", detections=rows, **measures))
        else:
            self.send(protocol.encode("error", error=protocol.error_to_json(error), **measures))

    def send(self, line: str) -> None:
        """Writes one line at once."""
        self._replies.write(line)
        self._replies.flush()


def peak_rss_mib() -> float:
    """Returns the largest resident size this process ever had, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _unexpected(error: Exception) -> DetectorFailed:
    traceback.print_exception(error)
    return DetectorFailed(f"{type(error).__name__}: {error}", remedy="See the worker's log")


def _private_replies() -> TextIO:
    """Returns a stream on the real standard output, which libraries can then no longer reach."""
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return private


def main() -> int:
    """Runs a worker on standard input and output."""
    replies = _private_replies()
    setup: dict[str, Any] = json.loads(sys.stdin.readline())
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
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)
