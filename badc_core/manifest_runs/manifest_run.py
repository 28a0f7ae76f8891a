"""Analysing the chunks of manifests, in a dataset or outside: what `badc infer run` does.

Chunks go through the same engine as a dataset's assets, with the same journals; a recording's
journal stays beside the JSON files of its chunks. What is to be done is put together in
`cli/run_options.py`, what is there already is in `previous_results.py`, and many manifests share an
engine in `run_together.py`; a dataset's recordings are detected in `inference/detect.py`.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from badc_core.chunks.requests import ChunkRequest, read_requests
from badc_core.detections.filters import keep
from badc_core.detectors.registry import identify_detector
from badc_core.engine.protocol import ChunkResult, ChunkTask
from badc_core.errors import BadcError, RecordingBusy
from badc_core.inference.chunk_json import write_chunk_json
from badc_core.inference.chunk_output import ChunkOutput
from badc_core.inference.holding import LockedRecordings
from badc_core.inference.journal import Journal
from badc_core.inference.run_recorder import RunRecorder
from badc_core.manifest_runs.chunk_guard import check_chunk_files
from badc_core.manifest_runs.manifest_tasks import make_tasks
from badc_core.manifest_runs.previous_results import PreviousResult, PreviousResults, hash_config
from badc_core.manifest_runs.run_spec import RunResult, RunSpec, load_previous
from badc_core.manifest_runs.run_together import run_together
from badc_core.telemetry.attempts import Attempt
from badc_core.telemetry.counts import Job
from badc_core.telemetry.log import TelemetryLog, require_telemetry
from badc_core.telemetry.progress import watcher
from badc_core.telemetry.summary import Summary, Worst, summary_path, workers_path

_log = logging.getLogger(__name__)
_RETRIED_SHOWN = 5


@dataclass
class _Counts:
    n_skipped: int = 0
    n_succeeded: int = 0
    n_kept: int = 0
    n_detections: int = 0
    n_redone: int = 0


class ManifestRun:
    """A run that is ready to start: everything that could be wrong with its input is checked.

    Args:
        order: what is to be run.

    Raises:
        ManifestMismatch: a manifest cannot be used, or chunk files are not complete.
        DatasetInvalid: a recording's description or the summary to resume from is malformed.
        ConfigInvalid: the detector cannot be run, or the telemetry log is another kind of file.
        DetectorMissing: the detector cannot be run.
    """

    def __init__(self, order: RunSpec) -> None:
        require_telemetry(order.telemetry_log)
        self._order = order
        root = order.dataset.root if order.dataset else None
        self._requests = read_requests(order.manifests, root)
        self._warnings = check_chunk_files(self._requests, order)
        self._recordings = {one: order.described(one) for one in self._requests}
        self._identity = identify_detector(order.settings.detector)
        self._config_hash = hash_config(order, self._identity)
        self._previous = load_previous(order.resume_summary)
        self._earlier = PreviousResults(order, self._config_hash, self._previous)
        self._is_new_summary = not summary_path(order.telemetry_log).exists()
        self._summary = Summary.load(order.telemetry_log)
        if self._previous is not None and self._previous.log != order.telemetry_log:
            self._summary.merge(self._previous)
        self._counts = _Counts()
        self._failed: list[tuple[str, str]] = []
        self._out: dict[int, tuple[ChunkRequest, str]] = {}
        self._held = LockedRecordings(order.output)
        self._busy: dict[str, RecordingBusy] = {}
        self._books = ExitStack()
        self._log = TelemetryLog(order.telemetry_log)
        self._accounts = RunRecorder(self._log, self._summary)
        self._started_s = 0.0

    @property
    def recording_ids(self) -> tuple[str, ...]:
        """Whose chunks are in the manifests."""
        return tuple(self._requests)

    @property
    def audio_s(self) -> float:
        """Seconds of sound in all chunks."""
        return sum(one.duration_s for requests in self._requests.values() for one in requests)

    @property
    def sources(self) -> tuple[Path, ...]:
        """Files with the sound, or folders of chunk files; absolute, sorted."""
        rows = (one for requests in self._requests.values() for one in requests)
        return tuple(sorted({one.audio.parent if one.is_file else one.audio for one in rows}))

    @property
    def n_chunks(self) -> int:
        """Chunks in the manifests."""
        return sum(map(len, self._requests.values()))

    @property
    def n_done(self) -> int:
        """Chunks that have their result by now."""
        return self._counts.n_skipped + self._counts.n_succeeded

    @property
    def n_out(self) -> int:
        """Chunks that were handed out and have no result yet."""
        return len(self._out)

    def count_left(self) -> int:
        """Returns how many chunks have no result yet; nothing is written."""
        return sum(
            earlier.result is None
            for recording_id in self._requests
            for earlier in self._look_up(recording_id)
        )

    def run(self) -> RunResult:
        """Analyses what has no result yet; returns when everything has been tried.

        However it ends, journals and JSON files hold what was found, and the summary is written.

        Raises:
            DetectorFailed, DetectorMissing: no worker can be had.
            StorageFull: the disk or a quota is full.
            OutputUnwritable: it may not be written where results belong.
        """
        named = (str(self._order.manifests[0]), lambda _: self)
        (outcome,) = run_together([named], self._order.settings, self._identity)
        return outcome.require()

    def tasks(self) -> Iterator[ChunkTask]:
        """Yields what must be analysed, recording by recording; the rest is taken as it is.

        A recording that another run is at work on is left to that; its chunks count as failed.
        """
        self._started_s = time.monotonic()
        for book in (self._held, self._log, self._accounts):
            self._books.enter_context(book)
        for recording_id in self._requests:
            try:
                self._held.begin(recording_id)
            except RecordingBusy as busy:
                self._leave(recording_id, busy)
                continue
            yield from self._tasks_of(recording_id)
            self._held.end_part(recording_id)

    def attempted(self, attempt: Attempt) -> None:
        """Takes note of the beginning or the end of an attempt."""
        self._accounts.attempted(self._with_output(attempt))

    def take(self, result: ChunkResult) -> None:
        """Keeps what came of a chunk."""
        request, key = self._out.pop(id(result.task))
        self._journal(request.recording_id).append(key, result)
        if result.error is None:
            self._write(request, key, result)
            self._counts.n_succeeded += 1
        else:
            self._failed.append((request.chunk_id, str(result.error)))
            # News of a failure is not worth an earlier result, which tells its settings itself.
            if self._earlier.stored(request) is not None:
                self._counts.n_kept += 1
            else:
                self._write(request, key, result)
        self._accounts.ended(result)
        self._held.end_part(request.recording_id)

    def finish(self) -> RunResult:
        """Closes the books, and returns what the run came to.

        Raises:
            StorageFull: the disk or a quota is full.
        """
        self._books.close()
        self._forget_empty_books()
        return self._conclude(time.monotonic() - self._started_s)

    def abandon(self) -> None:
        """Closes the books of a run that is not done, as far as the disk lets it."""
        try:
            self._books.close()
        except BadcError as trouble:
            _log.warning("the summary could not be written: %s", trouble)

    def _leave(self, recording_id: str, busy: RecordingBusy) -> None:
        self._busy[recording_id] = busy
        self._failed += [(one.chunk_id, str(busy)) for one in self._requests[recording_id]]

    def _tasks_of(self, recording_id: str) -> Iterator[ChunkTask]:
        for earlier in self._look_up(recording_id):
            request = earlier.one.request
            if isinstance(earlier.result, ChunkResult):
                self._skip(request, earlier.key, earlier.result)
            elif earlier.result is not None:
                self._skip_by_file(request, earlier.result, earlier.job)
            else:
                self._counts.n_redone += earlier.job is not None
                self._out[id(earlier.one.task)] = (request, earlier.key)
                self._held.add_part(recording_id)
                yield earlier.one.task

    def _look_up(self, recording_id: str) -> Iterator[PreviousResult]:
        requests, recording = self._requests[recording_id], self._recordings[recording_id]
        return self._earlier.of(recording_id, make_tasks(requests, recording, self._order.files))

    def _skip(self, request: ChunkRequest, key: str, result: ChunkResult) -> None:
        """Takes a result from the journal; its file may have been lost, or be of other settings."""
        path = self._write(request, key, result)
        self._counts.n_skipped += 1
        self._summary.resumed(
            request.chunk_id,
            request.recording_id,
            result.worker,
            result.attempt,
            self._order.mention(path),
        )
        self._accounts.ended(result)

    def _skip_by_file(self, request: ChunkRequest, found: ChunkOutput, job: Job | None) -> None:
        """Takes a result from its file."""
        self._counts.n_skipped += 1
        self._counts.n_detections += len(found.detections)
        self._summary.resumed(
            request.chunk_id,
            request.recording_id,
            job.worker if job is not None else "",
            output=self._order.mention(found.path),
        )
        watcher().analysed(request.duration_s)

    def _write(self, request: ChunkRequest, key: str, result: ChunkResult) -> Path:
        kept = replace(result, detections=keep(result.detections, self._order.settings.detector))
        self._counts.n_detections += len(kept.detections)
        origin = self._order.origin(request, self._config_hash, key)
        return write_chunk_json(self._order.output, kept, self._identity, origin)

    def _with_output(self, attempt: Attempt) -> Attempt:
        """Returns an attempt that says where its result goes."""
        if attempt.status != "success":
            return attempt
        path = self._order.output.chunk_json(attempt.recording_id, attempt.chunk_id)
        details = replace(attempt.details, output=self._order.mention(path))
        return replace(attempt, details=details)

    def _journal(self, recording_id: str) -> Journal:
        return Journal(self._order.output.journal(recording_id))

    def _forget_empty_books(self) -> None:
        """Removes the summary of a run that had nothing to do: there is no log beside it."""
        log = self._order.telemetry_log
        n_left = sum(len(self._requests[one]) for one in self._busy)
        has_begun = self._counts.n_skipped + n_left < self.n_chunks or log.exists()
        if self._is_new_summary and self._previous is None and not has_begun:
            for path in (summary_path(log), workers_path(log)):
                path.unlink(missing_ok=True)

    def _retried(self) -> Worst:
        """Returns the worst of the chunks that failed before they succeeded."""
        failed = {chunk_id for chunk_id, _ in self._failed}
        troubled = self._summary.worst(self.n_chunks).hotspots
        retried = tuple(one for one in troubled if one.chunk_id not in failed)
        return Worst(retried[:_RETRIED_SHOWN], len(retried[_RETRIED_SHOWN:]))

    def _conclude(self, wall_s: float) -> RunResult:
        chunks = {one.chunk_id for requests in self._requests.values() for one in requests}
        previous = self._previous.jobs() if self._previous else {}
        return RunResult(
            n_chunks=len(chunks),
            n_skipped=self._counts.n_skipped,
            n_detections=self._counts.n_detections,
            failed=tuple(self._failed),
            n_kept=self._counts.n_kept,
            retried=self._retried(),
            busy=tuple(self._busy.values()),
            is_failure=bool(self._busy)
            or not self._order.tolerates(len(self._failed), len(chunks)),
            n_orphans=len(previous.keys() - chunks),
            n_redone=self._counts.n_redone,
            totals=self._summary.totals(),
            wall_s=wall_s,
            workers=self._summary.workers(),
            warnings=tuple(self._warnings),
        )
