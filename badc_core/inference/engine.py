"""Feeding chunks of many recordings to workers, and hearing their results.

Workers are never idle at a recording's end: the queue runs across recordings, and each worker has
one chunk in work and the next being read. A worker that dies is replaced; each of its chunks then
has a worker to itself, so that none is blamed for another, and one that workers die on three
times is reported as failed. Writing results is in `detect.py`.
"""

import logging
import queue
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from badc_core.devices.cores import usable_cores
from badc_core.errors import BadcError, DetectorFailed
from badc_core.inference import protocol
from badc_core.inference.pool import Assignment, Heard, WorkerProcess
from badc_core.inference.protocol import ChunkResult, ChunkTask
from badc_core.settings import Settings

_log = logging.getLogger(__name__)
_IN_FLIGHT_PER_WORKER = 2
_ATTEMPTS = 3
_EXIT_GRACE_S = 1.0


class Engine:
    """A pool of workers for one detector; use as a context manager, which ends them.

    Args:
        settings: the detector and how many workers.
    """

    def __init__(self, settings: Settings) -> None:
        self._detector = settings.detector
        self._n_workers = settings.inference.workers or usable_cores()
        self._inbox: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        self._workers: list[WorkerProcess] = []
        self._retries: deque[Assignment] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for worker in self._workers:
            worker.close()
        self._workers.clear()

    def run(self, tasks: Iterable[ChunkTask]) -> Iterator[ChunkResult]:
        """Yields a result for every task, as they come.

        Args:
            tasks: drawn only as workers need them, so they may be many.

        Raises:
            DetectorMissing, ConfigInvalid: no worker can load the detector.
            DetectorFailed: workers die before they are ready.
        """
        waiting = iter(tasks)
        self._fill(waiting)
        while any(worker.assigned for worker in self._workers):
            heard = self._inbox.get()
            if heard.worker not in self._workers:
                continue
            result = self._understand(heard)
            self._fill(waiting)
            if result is not None:
                yield result

    def _fill(self, waiting: Iterator[ChunkTask]) -> None:
        """Gives every worker a chunk before any gets a second; starts workers as needed."""
        for depth in range(1, _IN_FLIGHT_PER_WORKER + 1):
            for index in range(self._n_workers):
                if not self._has_room(index, depth):
                    continue
                assignment = self._next(waiting, depth)
                if assignment is None:
                    return
                self._worker(index).send(assignment)

    def _has_room(self, index: int, depth: int) -> bool:
        """Tells whether a worker may have a `depth`th chunk: a suspect gets no company."""
        if index == len(self._workers):
            return True
        assigned = self._workers[index].assigned
        return len(assigned) < depth and not any(one.is_suspect for one in assigned)

    def _next(self, waiting: Iterator[ChunkTask], depth: int) -> Assignment | None:
        """Returns what comes next: suspects first, for which workers must run empty."""
        if self._retries:
            return self._retries.popleft() if depth == 1 else None
        task = next(waiting, None)
        return None if task is None else Assignment(task)

    def _worker(self, index: int) -> WorkerProcess:
        if index == len(self._workers):
            self._workers.append(WorkerProcess(f"cpu-{index}", self._detector, self._inbox))
        return self._workers[index]

    def _understand(self, heard: Heard) -> ChunkResult | None:
        worker, content = heard.worker, heard.content
        if content is None:
            return self._replace(worker)
        if content["kind"] == "hello":
            worker.is_ready = True
            _log.info("worker %s is ready after %.1f s", worker.label, content["ready_s"])
            return None
        if content["kind"] == "refused":
            raise protocol.error_from_json(content["error"])
        return _result(worker, worker.assigned.popleft(), content)

    def _replace(self, worker: WorkerProcess) -> ChunkResult | None:
        """Puts a new worker in a dead one's place; its oldest chunk is taken for the cause."""
        cause = f"worker {worker.label} ended with exit code {worker.end(_EXIT_GRACE_S)}"
        tail = worker.stderr_tail()
        worker.close()
        if not worker.is_ready:
            raise DetectorFailed(
                f"{cause} before it was ready: {tail or 'no message'}",
                self._detector.name,
                "Check the detector with a short recording: badc run DATASET --limit 1",
            )
        _log.warning("%s; starting another. %s", cause, tail)
        index = self._workers.index(worker)
        self._workers[index] = WorkerProcess(worker.label, self._detector, self._inbox)
        if not worker.assigned:
            return None
        culprit = worker.assigned.popleft()
        self._retries.extend(replace(one, is_suspect=True) for one in worker.assigned)
        if culprit.attempt < _ATTEMPTS:
            again = replace(culprit, attempt=culprit.attempt + 1, is_suspect=True)
            self._retries.append(again)
            return None
        error = DetectorFailed(cause, culprit.task.chunk.chunk_id, tail)
        return ChunkResult(culprit.task.chunk, (), error, 0.0, worker.label, culprit.attempt)


def _result(worker: WorkerProcess, done: Assignment, content: dict[str, Any]) -> ChunkResult:
    error: BadcError | None = None
    if content["kind"] == "error":
        error = protocol.error_from_json(content["error"])
    return ChunkResult(
        done.task.chunk,
        protocol.detections_from_json(content.get("detections", [])),
        error,
        content["runtime_s"],
        worker.label,
        done.attempt,
        content["peak_rss_mib"],
    )
