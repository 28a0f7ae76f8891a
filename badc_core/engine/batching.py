"""Giving a model as many windows at once as it likes, and fewer where its memory ends.

Windows of several chunks are joined where a detector asks for it. What is done with the detections
is the worker's business (`worker.py`).
"""

import sys
from collections.abc import Iterator
from typing import Generic, TypeVar

from badc_core.audio.channel_files import open_channels
from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import Chunk, halve_chunk
from badc_core.detectors.interface import Batch, Detector, WindowAnswer, WindowBatch
from badc_core.engine.findings import ChunkFindings, find_windows
from badc_core.engine.protocol import ChunkTask
from badc_core.errors import DetectorFailed, OutOfMemory
from badc_core.out_of_memory import is_out_of_memory

_SHORTEST_PART_S = 6.0

Owner = TypeVar("Owner")


class Batching(Generic[Owner]):
    """Batches of chunks in order, waiting to be given to a detector together."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._limit = detector.batch_windows
        self._fits = detector.batch_windows if self.joins_windows else sys.maxsize
        self._waiting: list[tuple[Owner, Batch]] = []

    @property
    def joins_windows(self) -> bool:
        """Whether windows of several batches may be joined."""
        return self._detector.batch_windows > 1

    @property
    def is_full(self) -> bool:
        """Whether waiting for more would only cost time."""
        return sum(len(batch) for _, batch in self._waiting) >= self._limit

    def add(self, owner: Owner, batch: Batch) -> None:
        """Puts a batch behind those that wait."""
        self._waiting.append((owner, batch))

    def take(self, *, everything: bool) -> Iterator[tuple[list[tuple[Owner, int]], Batch]]:
        """Yields what waited, joined where that is possible, with each owner's windows.

        Args:
            everything: whether a batch that is not full is given too, rather than kept back.
        """
        while self._waiting:
            n_windows, n_batches = self._next_group()
            is_all_there_is = n_batches == len(self._waiting)
            if n_windows < self._limit and is_all_there_is and not everything:
                return
            some, self._waiting = self._waiting[:n_batches], self._waiting[n_batches:]
            if (
                n_windows > self._limit
                and self.joins_windows
                and isinstance(some[-1][1], WindowBatch)
            ):
                some, rest = _cut_last(some, n_windows - self._limit)
                self._waiting.insert(0, rest)
            owners = [(owner, len(batch)) for owner, batch in some]
            windows = [batch for _, batch in some if isinstance(batch, WindowBatch)]
            yield owners, WindowBatch.join(windows) if windows else some[0][1]

    def detect(self, batch: Batch) -> tuple[list[WindowAnswer], list[str]]:
        """Returns the answer about each window, and notes on what had to be done for them.

        Raises:
            OutOfMemory: not even one window at a time fits.
        """
        notes: list[str] = []
        return self._detect(batch, notes), notes

    def _next_group(self) -> tuple[int, int]:
        """Returns how many windows, of how many batches, come next; the last may be too long."""
        first = self._waiting[0][1]
        n_windows = len(first)
        if not self.joins_windows or not isinstance(first, WindowBatch):
            return n_windows, 1
        for count, (_, batch) in enumerate(self._waiting[1:], start=1):
            fits = isinstance(batch, WindowBatch) and first.fits(batch)
            if n_windows >= self._limit or not fits:
                return n_windows, count
            n_windows += len(batch)
        return n_windows, len(self._waiting)

    def _detect(self, batch: Batch, notes: list[str]) -> list[WindowAnswer]:
        if isinstance(batch, WindowBatch) and len(batch) > self._fits:
            return self._detect_halves(batch, notes)
        try:
            return answer(self._detector, batch)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if not isinstance(batch, WindowBatch) or len(batch) == 1:
                raise as_out_of_memory(error) from error
            self._fits = max(1, len(batch) // 2)
            self._limit = min(self._limit, self._fits)
            notes.append(f"out of memory: batch of {len(batch)} windows halved")
        return self._detect_halves(batch, notes)

    def _detect_halves(self, batch: WindowBatch, notes: list[str]) -> list[WindowAnswer]:
        middle = len(batch) // 2
        first = self._detect(batch.part(0, middle), notes)
        return first + self._detect(batch.part(middle, len(batch)), notes)


def _cut_last(
    group: list[tuple[Owner, Batch]], n_windows: int
) -> tuple[list[tuple[Owner, Batch]], tuple[Owner, Batch]]:
    """Returns a group without its last windows, and those."""
    *others, (owner, last) = group
    if not isinstance(last, WindowBatch):
        raise TypeError("only windows can be cut")
    kept = len(last) - n_windows
    return [*others, (owner, last.part(0, kept))], (owner, last.part(kept, len(last)))


def answer(detector: Detector, batch: Batch) -> list[WindowAnswer]:
    """Returns the detector's answer about each window.

    Raises:
        DetectorFailed: the detector says nothing about some of them.
    """
    found = detector.detect(batch)
    if len(found) != len(batch):
        raise DetectorFailed(
            f"gave {len(found)} answers for {len(batch)} windows",
            detector.identity.name,
            "This is a defect of the detector: report it to its makers",
        )
    return list(found)


def detect_in_halves(detector: Detector, task: ChunkTask) -> tuple[ChunkFindings, int]:
    """Returns what is in a chunk that is too long for memory, and in how many parts.

    Args:
        detector: raised OutOfMemory on the whole chunk.
        task: the chunk; its file is opened anew.

    Raises:
        OutOfMemory: the shortest part worth trying does not fit either.
        UnreadableRecording: the audio cannot be decoded.
    """
    findings = ChunkFindings(task.channel)
    n_parts = 0
    for audio in open_channels(task.audio, task.channel, expected_samples=task.n_samples):
        with audio:
            n_parts += _detect_parts(detector, audio, task, findings)
    return findings, n_parts


def _detect_parts(
    detector: Detector, audio: AudioFile, task: ChunkTask, findings: ChunkFindings
) -> int:
    """Adds what is in a chunk, analysed in parts; returns in how many."""
    n_parts = 0
    waiting = list(reversed(_halves(task.chunk)))
    while waiting:
        part = waiting.pop()
        try:
            for batch in detector.batches(audio, part, task.recording_context):
                findings.add(answer(detector, batch), find_windows(batch, part))
            n_parts += 1
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            waiting += reversed(_halves(part))
    return n_parts


def as_out_of_memory(error: Exception) -> OutOfMemory:
    """Returns an error about a lack of memory as ours."""
    if isinstance(error, OutOfMemory):
        return error
    return OutOfMemory(
        f"{type(error).__name__}: {error}",
        remedy="Use fewer workers per GPU, shorter chunks or smaller batches",
    )


def _halves(chunk: Chunk) -> tuple[Chunk, Chunk]:
    if chunk.duration_s < 2 * _SHORTEST_PART_S:
        raise OutOfMemory(
            f"{chunk.duration_s:.1f} s of sound do not fit into memory",
            chunk.chunk_id,
            "Use fewer workers per GPU, or another device",
        )
    return halve_chunk(chunk)
