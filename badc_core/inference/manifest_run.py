"""Analysing the chunks of one manifest, in a dataset or outside: what `badc infer run` does.

Each recording of it is a `RecordingRun` whose sink writes JSON files of chunks. Such runs, one or
many, are carried out in `manifest_runs.py`.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from badc_core.chunks.requests import ChunkRequest, read_requests
from badc_core.detectors.registry import identify_detector
from badc_core.errors import BadcError, ContentMissing, RecordingBusy
from badc_core.inference.chunk_guard import check_chunk_files
from badc_core.inference.chunk_sink import ChunkFiles, ChunkSink
from badc_core.inference.config_hashes import file_hash
from badc_core.inference.exclusive_log import exclusive_log
from badc_core.inference.manifest_contents import (
    fetching_for,
    needed_by_rows,
    require_descriptions,
    results_of,
)
from badc_core.inference.manifest_tasks import make_tasks
from badc_core.inference.raw_result import known_in_raw_result
from badc_core.inference.recording_counts import RecordingCounts
from badc_core.inference.recording_run import (
    Keys,
    Known,
    Opened,
    PlannedChunk,
    RecordingRun,
    find_known,
)
from badc_core.inference.run_recorder import RunRecorder
from badc_core.inference.run_spec import RunResult, RunSpec, load_previous
from badc_core.inference.select import Selection
from badc_core.outcomes import Outcome
from badc_core.provenance.annex import fetch
from badc_core.provenance.fetching import Fetcher, Needed, require_fetched_all
from badc_core.provenance.tracking import write_tracking_rules
from badc_core.telemetry.log import TelemetryLog, require_telemetry
from badc_core.telemetry.summary import Summary, Worst, summary_path, workers_path

_log = logging.getLogger(__name__)
_RETRIED_SHOWN = 5


class ManifestRun:
    """A run that is ready to start: everything that could be wrong with its input is checked.

    Args:
        spec: the run.
        contents: fetches what its recordings need, along with those of other runs; by default it
            has one of its own.

    Raises:
        ContentMissing: a manifest, or a table about it, is annexed and could not be fetched.
        ManifestMismatch: a manifest cannot be used, or chunk files are not complete.
        DatasetInvalid: a recording's description or the summary to resume from is malformed.
        ConfigInvalid: the detector cannot be run, or the telemetry log is another kind of file.
        DetectorMissing: the detector cannot be run.
    """

    def __init__(self, spec: RunSpec, contents: Fetcher | None = None) -> None:
        tables = *spec.manifests, spec.resume_summary, summary_path(spec.telemetry_log)
        require_fetched_all(one for one in tables if one is not None)
        require_telemetry(spec.telemetry_log)
        settings = spec.settings.detector
        self._spec = spec
        self._contents = contents
        self._requests = read_requests(spec.manifests, spec.dataset.root if spec.dataset else None)
        require_descriptions(spec, self._requests)
        self._warnings = check_chunk_files(self._requests, spec)
        self._recordings = {one: spec.described(one) for one in self._requests}
        self._detector = identify_detector(settings)
        config_hash = file_hash(settings, self._detector)
        self._keys = Keys.of(settings, self._detector)
        self._previous = load_previous(spec.resume_summary)
        jobs = self._previous.jobs() if self._previous else {}
        self._files = ChunkFiles(spec, self._detector, config_hash, Selection(settings), jobs)
        self._summary = Summary(spec.telemetry_log)
        self._log = TelemetryLog(spec.telemetry_log)
        self._recorder = RunRecorder(self._log, self._summary)
        self._counts = RecordingCounts(spec, self._detector, config_hash, self._requests)
        self._busy: dict[str, RecordingBusy] = {}
        self._left = set(self._requests)
        self._open = ExitStack()
        self._is_new_summary = False
        self._started_s = time.monotonic()

    @property
    def name(self) -> str:
        """Its first manifest."""
        return str(self._spec.manifests[0])

    @property
    def spec(self) -> RunSpec:
        """What is to be run."""
        return self._spec

    @property
    def recording_ids(self) -> tuple[str, ...]:
        """The recordings that the manifests have chunks of."""
        return tuple(self._requests)

    @property
    def audio_s(self) -> float:
        """Seconds of sound in all chunks."""
        return sum(one.duration_s for one in self._rows())

    @property
    def sources(self) -> tuple[Path, ...]:
        """Files with the sound, or folders of chunk files; absolute, sorted."""
        return tuple(
            sorted({one.audio.parent if one.is_file else one.audio for one in self._rows()})
        )

    @property
    def n_chunks(self) -> int:
        """Chunks in the manifests."""
        return sum(map(len, self._requests.values()))

    @property
    def n_done(self) -> int:
        """Chunks that have their result by now."""
        counts = self._counts.total()
        return counts.n_skipped + counts.n_succeeded

    @property
    def is_done(self) -> bool:
        """Whether all recordings have ended."""
        return not self._left

    def needs(self) -> list[Needed]:
        """Returns which files its recordings need."""
        return [needed_by_rows(self._spec, *one) for one in self._requests.items()]

    def count_left(self) -> int:
        """Returns how many chunks have no file with their result yet; nothing is written.

        Not all of them need the model: a journal may have what it gave.
        """
        rows = self._requests.items()
        fetch(path for one, some in rows for path in results_of(self._spec, one, some))
        return sum(
            self._files.find(row, chunk) is None
            for recording_id, rows in self._requests.items()
            for row, chunk in zip(rows, self._plan(recording_id), strict=True)
        )

    def recordings(self) -> Iterator[RecordingRun[None]]:
        """Yields the recordings, after opening the log and the summary.

        Raises:
            RecordingBusy: another run writes the log of its own that this one has.
            DatasetInvalid: the log's summary is malformed.
        """
        spec = self._spec
        if spec.dataset is not None and spec.output.folder.is_relative_to(spec.dataset.root):
            write_tracking_rules(spec.dataset.root)
        if spec.owns_log:
            self._open.enter_context(exclusive_log(spec.telemetry_log, self.recording_ids[0]))
        self._is_new_summary = not summary_path(spec.telemetry_log).exists()
        self._summary.merge(Summary.load(spec.telemetry_log))
        if self._previous is not None and self._previous.log != spec.telemetry_log:
            self._summary.merge(self._previous)
        self._started_s = time.monotonic()
        self._open.enter_context(self._log)
        self._open.enter_context(self._recorder)
        contents = self._contents
        if contents is None:
            contents = self._open.enter_context(fetching_for(spec, self.needs()))
        for one in self._requests:
            source = partial(self._open_recording, one)
            yield RecordingRun(
                one,
                spec.work(one),
                self._recorder,
                source,
                writes_stage=False,
                content=contents.using(one),
            )

    def add(self, outcome: Outcome[None]) -> None:
        """Records that a recording has ended.

        A recording that another run is at work on is left to that; its chunks count as failed, as
        do those of one whose content could not be fetched.

        Raises:
            BadcError: why the recording, and so the run, failed as a whole.
        """
        recording_id, error = outcome.recording_id, outcome.error
        self._left.discard(recording_id)
        self._counts.end(recording_id, error)
        if isinstance(error, RecordingBusy):
            self._busy[recording_id] = error
        elif error is not None and not isinstance(error, ContentMissing):
            raise error

    def finish(self) -> RunResult:
        """Closes log and summary, and returns what the run came to.

        Raises:
            StorageFull: the disk or a quota is full.
            RecordingBusy: another run is at work on the one recording of a run with its own log.
        """
        self._open.close()
        self._remove_empty_summary()
        if self._spec.owns_log and self._busy:
            raise next(iter(self._busy.values()))
        return self._conclude(time.monotonic() - self._started_s)

    def abandon(self) -> None:
        """Closes log and summary of a run that is not done, as far as the disk lets it."""
        self._counts.abandon()
        try:
            self._open.close()
        except BadcError as trouble:
            _log.warning("the summary could not be written: %s", trouble)

    def _rows(self) -> Iterator[ChunkRequest]:
        return (one for rows in self._requests.values() for one in rows)

    def _plan(self, recording_id: str) -> list[PlannedChunk]:
        """Returns a recording's chunks."""
        rows, recording = self._requests[recording_id], self._recordings[recording_id]
        channel = self._spec.settings.recordings.channel
        tasks = make_tasks(rows, recording, self._spec.files, channel)
        return [self._keys.plan(one.task, one.sound) for one in tasks]

    def _known(self, recording_id: str, chunks: Sequence[PlannedChunk]) -> Known:
        """Returns the results of the model that earlier runs have left."""
        spec = self._spec
        if not spec.resume:
            return {}
        floor = spec.settings.detector.lowest_score
        journal = spec.work(recording_id).journal(recording_id)
        raw: Known = {}
        if spec.dataset is not None:
            path = spec.dataset.raw_detections(recording_id)
            raw = known_in_raw_result(path, recording_id, floor)
        return {**raw, **find_known(chunks, journal, floor)}

    def _open_recording(self, recording_id: str) -> Opened[None]:
        chunks = self._plan(recording_id)
        known = self._known(recording_id, chunks)
        rows = self._requests[recording_id]
        counts = self._counts.begin(recording_id)
        sink = ChunkSink(self._files, rows, counts, self._recorder)
        return Opened(chunks, known, sink)

    def _remove_empty_summary(self) -> None:
        """Removes the summary of a run that had nothing to do: there is no log beside it."""
        log = self._spec.telemetry_log
        n_busy = sum(len(self._requests[one]) for one in self._busy)
        has_begun = self._counts.total().n_skipped + n_busy < self.n_chunks or log.exists()
        if self._is_new_summary and self._previous is None and not has_begun:
            for path in (summary_path(log), workers_path(log)):
                path.unlink(missing_ok=True)

    def _retried(self) -> Worst:
        """Returns the worst of the chunks that failed before they succeeded."""
        failed = {chunk_id for chunk_id, _ in self._counts.total().failed}
        troubled = self._summary.worst(self.n_chunks).hotspots
        retried = tuple(one for one in troubled if one.chunk_id not in failed)
        return Worst(retried[:_RETRIED_SHOWN], len(retried[_RETRIED_SHOWN:]))

    def _conclude(self, wall_s: float) -> RunResult:
        chunks = {one.chunk_id for one in self._rows()}
        counts = self._counts.total()
        is_tolerated = self._spec.tolerates(len(counts.failed), len(chunks))
        return RunResult(
            n_chunks=len(chunks),
            n_skipped=counts.n_skipped,
            n_detections=counts.n_detections,
            failed=tuple(counts.failed),
            n_kept=counts.n_kept,
            retried=self._retried(),
            busy=tuple(self._busy.values()),
            is_failure=bool(self._busy) or not is_tolerated,
            n_orphans=len(self._files.jobs.keys() - chunks),
            n_redone=counts.n_redone,
            audio_s=counts.audio_s,
            wall_s=wall_s,
            workers=self._summary.workers(),
            warnings=tuple(self._warnings),
        )
