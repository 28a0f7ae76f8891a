"""Feeding chunks of many recordings to workers, and collecting their results.

Workers are never idle at a recording's end: the queue runs across recordings, and each worker has
one chunk in work and the next being read. What becomes of a chunk that failed, and of a worker
that died or hangs, is decided here by `retries.py`'s rules. Results are written in
`inference/recording_run.py`.
"""

import logging
import math
import queue
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self

from badc_core.detectors.interface import DetectorIdentity
from badc_core.devices.metrics import GpuMetrics
from badc_core.devices.places import Place
from badc_core.devices.sampler import Sampler
from badc_core.engine import protocol
from badc_core.engine.endings import Ending, beginning
from badc_core.engine.pool import Assignment, Message, WorkerProcess, scratch_folder
from badc_core.engine.protocol import ChunkResult, ChunkTask
from badc_core.engine.retries import Retries
from badc_core.engine.slots import WorkerSlot
from badc_core.errors import BadcError, DetectorFailed, DetectorTimeout
from badc_core.settings import Settings
from badc_core.telemetry.attempts import Attempt

_log = logging.getLogger(__name__)
_IN_FLIGHT_PER_WORKER = 3
_LONGEST_WAIT_S = 3600.0
_LOADS_PER_PLACE = 3
_EXIT_GRACE_S = 1.0


class Engine:
    """A pool of workers for one detector; use as a context manager, which ends them.

    Args:
        settings: the detector, and what to do when something fails.
        identity: the detector that these settings meant when the run began.
        places: where workers run, one each.
        observe: called with every attempt when it begins and when it ends.
    """

    def __init__(
        self,
        settings: Settings,
        identity: DetectorIdentity,
        places: tuple[Place, ...],
        observe: Callable[[Attempt], None] = lambda _: None,
    ) -> None:
        self._detector = settings.detector
        self._identity = identity
        self._rules = settings.inference
        self._observe = observe
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._slots = [WorkerSlot(place) for place in places]
        self._retries = Retries(self._rules.max_retries, self._rules.backoff_s)
        self._sampler = Sampler([place.gpu for place in places if place.gpu is not None])
        self._open = ExitStack()
        self._scratch: Path

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            self._scratch = opening.enter_context(scratch_folder(self._rules.scratch))
            opening.enter_context(self._sampler)
            opening.callback(self._close_workers)
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def workers(self) -> list[WorkerProcess]:
        """The workers there are now."""
        return [slot.worker for slot in self._slots if slot.worker is not None]

    def run(self, tasks: Iterable[ChunkTask]) -> Iterator[ChunkResult]:
        """Yields a result for every task, as they come.

        Args:
            tasks: drawn only as workers need them, so they may be many.

        Raises:
            DetectorMissing, ConfigInvalid: no worker can load the detector, or it changed since.
            DetectorFailed: workers die before they are ready, wherever they are started.
        """
        waiting = iter(tasks)
        self._fill(waiting)
        while self._retries or any(worker.assigned for worker in self.workers):
            result = self._next_result()
            self._fill(waiting)
            if result is not None:
                yield result

    def _fill(self, waiting: Iterator[ChunkTask]) -> None:
        """Gives every worker a chunk before any gets a second; starts workers as needed."""
        for depth in range(1, _IN_FLIGHT_PER_WORKER + 1):
            for slot in self._slots:
                if not slot.has_room(depth):
                    continue
                assignment = self._retries.take(allow_suspect=depth == 1)
                if assignment is None:
                    if self._retries.is_suspect_ready:
                        break
                    task = None if self._retries.is_full else next(waiting, None)
                    if task is None:
                        return
                    assignment = Assignment(task)
                self._give(slot, assignment)

    def _give(self, slot: WorkerSlot, assignment: Assignment) -> None:
        worker = slot.worker
        if worker is None:
            worker = WorkerProcess(slot.place, self._detector, self._scratch, self._inbox)
            slot.worker = worker
        worker.send(assignment)
        if worker.is_ready and len(worker.assigned) == 1:
            self._begin(worker)

    def _begin(self, worker: WorkerProcess) -> None:
        """Records that a worker starts on its oldest chunk."""
        worker.begin()
        self._observe(beginning(worker, worker.assigned[0], self._detector.name))

    def _next_result(self) -> ChunkResult | None:
        try:
            message = self._inbox.get(timeout=self._patience_s())
        except queue.Empty:
            for worker in self.workers:
                self._end_if_overdue(worker)
            return None
        slot = next((slot for slot in self._slots if slot.worker is message.worker), None)
        return None if slot is None else self._handle_message(slot, message)

    def _patience_s(self) -> float:
        """Returns how long to wait before something may have to be done."""
        moments = [
            worker.since + self._limit_s(worker)
            for worker in self.workers
            if (worker.assigned or not worker.is_ready) and not worker.overdue
        ]
        if self._retries.next_due is not None:
            moments.append(self._retries.next_due)
        wait_s = min(moments, default=math.inf) - time.monotonic()
        return max(0.0, min(wait_s, _LONGEST_WAIT_S))

    def _limit_s(self, worker: WorkerProcess) -> float:
        """Returns how long a worker may take for what it is doing."""
        if not worker.is_ready:
            return self._rules.load_timeout_s
        audio_s = worker.assigned[0].task.chunk.duration_s
        return max(self._rules.timeout_s, self._rules.timeout_per_audio_s * audio_s)

    def _end_if_overdue(self, worker: WorkerProcess) -> None:
        """Ends a worker that takes too long; its listener then says that it has ended."""
        if worker.overdue or not (worker.assigned or not worker.is_ready):
            return
        limit_s = self._limit_s(worker)
        if time.monotonic() >= worker.since + limit_s:
            worker.overdue = f"no answer within {limit_s:g} s"
            worker.overdue_task = worker.assigned[0].task if worker.is_ready else None
            worker.kill()

    def _handle_message(self, slot: WorkerSlot, message: Message) -> ChunkResult | None:
        """Returns the chunk's result, if the message ends its last attempt."""
        worker, content = message.worker, message.content
        if content is None:
            return self._handle_worker_exit(slot, worker)
        if content["kind"] == "hello":
            self._identity.require_same(DetectorIdentity.from_json(content["detector"]))
            worker.is_ready = True
            slot.n_failed_loads = 0
            _log.info("worker %s is ready after %.1f s", worker.label, content["ready_s"])
            if worker.assigned:
                self._begin(worker)
            return None
        if content["kind"] == "refused":
            self._handle_refusal(slot, worker, protocol.error_from_json(content["error"]))
            return None
        error = None
        if content["kind"] == "error":
            error = protocol.error_from_json(content["error"])
        trace = content.get("traceback", "").strip()
        ending = Ending(error, content["runtime_s"], content, stderr=trace)
        return self._conclude(worker, worker.assigned.popleft(), ending)

    def _handle_refusal(self, slot: WorkerSlot, worker: WorkerProcess, error: BadcError) -> None:
        """Tries again what may pass, such as a lack of memory; other refusals hold everywhere."""
        if not error.retryable:
            raise error
        self._handle_load_failure(slot, worker, error)

    def _handle_worker_exit(self, slot: WorkerSlot, worker: WorkerProcess) -> ChunkResult | None:
        """Removes a dead worker; a chunk that it had alone counts as the cause."""
        code = worker.end(_EXIT_GRACE_S)
        tail = worker.stderr_tail()
        cause = worker.overdue or f"worker {worker.label} ended with exit code {code}"
        if not worker.is_ready:
            error = DetectorFailed(
                f"{cause} before it was ready: {tail or 'no message'}",
                self._detector.name,
                "Check the detector with a short recording: badc run DATASET --limit 1",
            )
            self._handle_load_failure(slot, worker, error)
            return None
        _log.warning("%s; starting another. %s", cause, tail)
        slot.worker = None
        worker.close()
        if not worker.assigned:
            return None
        oldest, *others = (replace(one, is_suspect=True) for one in worker.assigned)
        worker.assigned.clear()
        kind = DetectorTimeout if worker.overdue else DetectorFailed
        error = kind(cause, oldest.task.chunk.chunk_id, tail.rpartition("\n")[2])
        ending = Ending(error, time.monotonic() - worker.since, {}, code, tail)
        answered_late = worker.overdue and worker.overdue_task is not oldest.task
        if not others and not answered_late:
            return self._conclude(worker, oldest, ending)
        # Which of them did it is not known: each gets a worker to itself, and nothing is counted.
        self._report(worker, oldest, ending, backoff_s=0.0)
        self._retries.again(replace(oldest, attempt=oldest.attempt + 1))
        for one in others:
            self._retries.again(one)
        return None

    def _handle_load_failure(
        self, slot: WorkerSlot, worker: WorkerProcess, error: BadcError
    ) -> None:
        """Lets another worker start at a place, or closes it; raises if no place is left."""
        self._take_chunks_back(slot, worker)
        slot.n_failed_loads += 1
        if slot.n_failed_loads < _LOADS_PER_PLACE:
            _log.warning("worker %s did not get ready, starting another: %s", worker.label, error)
            return
        slot.is_closed = True
        if all(one.is_closed for one in self._slots):
            raise error
        _log.warning(
            "no worker can be started on %s, going on without it: %s", slot.place.label, error
        )

    def _take_chunks_back(self, slot: WorkerSlot, worker: WorkerProcess) -> None:
        for assignment in worker.assigned:
            self._retries.again(assignment)
        worker.assigned.clear()
        slot.worker = None
        worker.close()

    def _conclude(
        self, worker: WorkerProcess, done: Assignment, ending: Ending
    ) -> ChunkResult | None:
        """Ends an attempt; returns the result unless the chunk is tried again."""
        backoff_s = None
        if ending.error is not None and ending.error.retryable:
            backoff_s = self._retries.after_failure(done)
        ending = self._report(worker, done, ending, backoff_s)
        if worker.assigned:
            self._begin(worker)
        return ending.result(worker, done) if backoff_s is None else None

    def _report(
        self, worker: WorkerProcess, done: Assignment, ending: Ending, backoff_s: float | None
    ) -> Ending:
        """Passes on how an attempt ended; returns it with what the GPU did meanwhile."""
        ending = replace(ending, gpu=self._gpu_metrics(worker))
        self._observe(ending.attempt(worker, done, self._detector.name, backoff_s))
        return ending

    def _gpu_metrics(self, worker: WorkerProcess) -> GpuMetrics | None:
        gpu = worker.place.gpu
        if gpu is None:
            return None
        return self._sampler.between(gpu, {worker.pid}, worker.since, time.monotonic())

    def _close_workers(self) -> None:
        for slot in self._slots:
            if slot.worker is not None:
                slot.worker.close()
                slot.worker = None
