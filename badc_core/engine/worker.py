"""A worker: one detector, kept in memory, fed chunks through standard input.

Started by `pool.py` as `python -P -m badc_core.engine.worker PARENT`, so that modules in the folder
where somebody typed a command are none of its own; speaks `protocol.py`. One thread reads and
resamples ahead while the main thread runs the model (`batching.py`).
"""

import json
import os
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.chunk_files import ChunkFile, forget_output
from badc_core.detectors.interface import Batch, Detector, DetectorReport, WindowAnswer, WindowBatch
from badc_core.detectors.registry import load_detector
from badc_core.engine import protocol
from badc_core.engine.batching import Batching, detect_in_halves
from badc_core.engine.findings import NO_SCORES, ChunkFindings, find_windows
from badc_core.engine.protocol import ChunkTask
from badc_core.engine.reading import EndOfTask, ReadAhead, StartOfTask, as_badc_error
from badc_core.errors import BadcError, OutOfMemory
from badc_core.intervals import length_of

_PARENT_CHECK_S = 1.0


@dataclass
class _TaskState:
    """A task some of whose windows may still wait for company."""

    task: ChunkTask
    started: float
    findings: ChunkFindings
    error: BadcError | None = None
    n_waiting: int = 0
    is_read: bool = False
    is_whole: bool = False
    """Analysed as a whole already, in parts, so that batches still to come add nothing."""
    is_file: bool = False
    """Given to the detector as a file, so that what its program writes is kept, if it is whole."""
    notes: list[str] = field(default_factory=list)
    report: DetectorReport | None = None


class Worker:
    """Answers every task, in order."""

    def __init__(self, detector: Detector, replies: TextIO) -> None:
        self._detector = detector
        self._replies = replies
        self._batching: Batching[_TaskState] = Batching(detector)
        self._in_work: deque[_TaskState] = deque()
        self._answered = 0.0

    def run(self, lines: TextIO) -> None:
        """Works until the input ends."""
        ahead = ReadAhead(lines, self._detector)
        for part in ahead:
            self._handle_part(part)
            is_starved = ahead.is_starved
            if self._batching.is_full or is_starved:
                self._detect(everything=is_starved)
            self._answer_what_is_done()
        self._detect(everything=True)
        self._answer_what_is_done()

    def _handle_part(self, part: StartOfTask | Batch | EndOfTask) -> None:
        if isinstance(part, StartOfTask):
            findings = ChunkFindings(part.task.channel)
            self._in_work.append(_TaskState(part.task, part.started, findings))
            return
        newest = self._in_work[-1]
        if isinstance(part, EndOfTask):
            newest.is_read = True
            newest.error = newest.error or part.error
        elif newest.error is None:
            newest.n_waiting += len(part)
            newest.is_file = isinstance(part, ChunkFile)
            self._batching.add(newest, part)

    def _detect(self, *, everything: bool) -> None:
        """Runs the model on what waits; a failure costs the chunk concerned."""
        for owners, batch in self._batching.take(everything=everything):
            self._detect_for(owners, batch)

    def _detect_for(self, owners: list[tuple[_TaskState, int]], batch: Batch) -> None:
        try:
            found, notes = self._detect_and_report(owners, batch)
        except Exception as error:  # noqa: BLE001  (a detector's bug costs its chunk only)
            if len(owners) > 1 and isinstance(batch, WindowBatch):
                self._detect_apart(owners, batch)
            else:
                self._detect_otherwise(*owners[0], error)
            return
        start = 0
        for owner, n_windows in owners:
            owner.n_waiting -= n_windows
            owner.notes += notes
            own = slice(start, start + n_windows)
            if not owner.is_whole:
                owner.findings.add(found[own], find_windows(batch, owner.task.chunk)[own])
            start += n_windows

    def _detect_and_report(
        self, owners: list[tuple[_TaskState, int]], batch: Batch
    ) -> tuple[list[WindowAnswer], list[str]]:
        """Returns what the model finds; its report goes to the chunks concerned, come what may."""
        try:
            return self._batching.detect(batch)
        finally:
            report = self._detector.report()
            for owner, _ in owners:
                owner.report = report

    def _detect_apart(self, owners: list[tuple[_TaskState, int]], batch: WindowBatch) -> None:
        """Tries each chunk's windows by themselves, so that none pays for another."""
        start = 0
        for owner, n_windows in owners:
            self._detect_for([(owner, n_windows)], batch.part(start, start + n_windows))
            start += n_windows

    def _detect_otherwise(self, owner: _TaskState, n_windows: int, error: Exception) -> None:
        """Tries a chunk that did not fit as shorter ones; other failures are the chunk's."""
        owner.n_waiting -= n_windows
        if owner.is_whole:
            return
        if isinstance(error, OutOfMemory) and not self._batching.joins_windows:
            try:
                owner.findings, n_parts = detect_in_halves(self._detector, owner.task)
                owner.report = self._detector.report()
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
            if done.error is None and done.task.files is not None:
                is_kept = done.is_file and not done.is_whole
                done.notes += forget_output(done.task.files, is_kept=is_kept)
            self._answer(done, runtime_s)

    def _answer(self, done: _TaskState, runtime_s: float) -> None:
        if gaps := done.findings.not_analysed:
            silent_s = length_of(gaps) / done.task.chunk.sample_rate_hz
            done.notes.append(f"{silent_s:.1f} s of digital silence {NO_SCORES}")
        measures = {
            "runtime_s": runtime_s,
            "peak_rss_mib": peak_rss_mib() + _peak_rss_mib_of_programs(done.report),
            "notes": done.notes,
            "report": None if done.report is None else asdict(done.report),
        }
        if done.error is None:
            rows = protocol.detections_to_json(done.findings.detections)
            self.send(protocol.encode("result", detections=rows, not_analysed=gaps, **measures))
        else:
            content = protocol.error_to_json(done.error)
            cause = done.error.__cause__
            # With the answer, since what is on standard error may be another chunk's.
            trace = "".join(traceback.format_exception(cause)) if cause is not None else ""
            self.send(protocol.encode("error", error=content, traceback=trace, **measures))

    def send(self, line: str) -> None:
        """Writes one line at once."""
        self._replies.write(line)
        self._replies.flush()


def peak_rss_mib() -> float:
    """Returns the largest resident size this process ever had, in MiB.

    Linux's `ru_maxrss` is never below that of the process which started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / (1 << 10)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _peak_rss_mib_of_programs(report: DetectorReport | None) -> float:
    return (report.peak_rss_mib if report is not None else None) or 0.0


def _private_tasks() -> TextIO:
    """Returns a stream from the real standard input; to detectors that is at its end from now on.

    A detector that reads standard input, or whose program does, would swallow tasks.
    """
    private = os.fdopen(os.dup(0), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return private


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
    tasks, replies = _private_tasks(), _private_replies()
    _end_with(int(sys.argv[1]))
    # Inherited blocked where badc itself runs in the background; programs started here want it.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
    setup: dict[str, Any] = json.loads(tasks.readline())
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
    worker.run(tasks)
    detector.close()
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)
