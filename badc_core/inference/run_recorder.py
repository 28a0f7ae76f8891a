"""Recording one run of the engine: telemetry log, summary, progress.

What the records look like is in `telemetry/attempts.py` and `telemetry/summary.py`.
"""

import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from badc_core.chunks.requests import ChunkRequest
from badc_core.engine.protocol import ChunkResult
from badc_core.errors import BadcError, OutputUnwritable, StorageFull
from badc_core.telemetry.attempts import Attempt, attempt_in, record
from badc_core.telemetry.log import TelemetryLog
from badc_core.telemetry.progress import watcher
from badc_core.telemetry.summary import Summary

_log = logging.getLogger(__name__)
_WORST_SHOWN = 5


class RunRecorder:
    """The records of a run; a context manager that completes them however the run ends.

    Args:
        telemetry: gets a line for every beginning and every end of an attempt.
        summary: gets the same, added up.
        analysed: called with the seconds of sound that are done with, as the progress bar is.
    """

    def __init__(
        self,
        telemetry: TelemetryLog,
        summary: Summary | None = None,
        analysed: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._telemetry = telemetry
        self._analysed = analysed
        self._is_unwritable = False
        if summary is None:
            summary = Summary(telemetry.path)
            summary.merge(Summary.load(telemetry.path))
        self._summary = summary

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._summary.write()
        except BadcError as trouble:
            # Never in place of what really ended the run.
            if error is None and isinstance(trouble, StorageFull):
                raise
            _log.warning("the summary could not be written: %s", trouble)
        self._warn_of_the_worst()

    def attempted(self, attempt: Attempt) -> None:
        """Records the beginning or the end of an attempt.

        A log that may not be written costs the measurements, not the work; a full disk costs both.
        """
        self._summary.add(attempt)
        self._append(record(attempt))

    def relayed(self, line: dict[str, Any]) -> None:
        """Records an attempt that was made on another machine, as `attempted` does.

        Args:
            line: its telemetry line, which keeps its own time.
        """
        self._summary.add(attempt_in(line))
        self._append(line)

    def _append(self, line: dict[str, Any]) -> None:
        try:
            self._telemetry.append(**line)
            self._summary.maybe_write(time.monotonic())
        except OutputUnwritable as error:
            if not self._is_unwritable:
                _log.warning("going on without telemetry: %s", error)
            self._is_unwritable = True

    def ended(self, result: ChunkResult, output: str) -> None:
        """Records that a chunk is done with, successfully or not."""
        chunk = result.chunk
        if result.is_resumed:
            names = chunk.chunk_id, chunk.recording_id, result.worker
            self._summary.resumed(*names, result.attempt, output)
        watcher().analysed(chunk.duration_s)
        self._analysed(chunk.duration_s)

    def found(self, request: ChunkRequest, worker: str, output: str) -> None:
        """Records that a chunk's file holds its result already."""
        names = request.chunk_id, request.recording_id, worker
        self._summary.resumed(*names, output=output)
        watcher().analysed(request.duration_s)

    def _warn_of_the_worst(self) -> None:
        worst = self._summary.worst(_WORST_SHOWN)
        if worst.hotspots:
            _log.warning("chunks that gave trouble:\n%s", worst)
