"""Analysing the chunks of manifests, in a dataset or outside: what `badc infer run` does.

Chunks go through the same engine as a dataset's assets, with the same journals; a recording's
journal stays beside the JSON files of its chunks. What is to be done is put together in
`run_options.py`; a dataset's recordings are detected in `detect.py`.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from badc_core.dataset import Dataset
from badc_core.detections.filters import keep
from badc_core.detectors.registry import identify_detector
from badc_core.errors import DetectionsInvalid, ManifestMismatch
from badc_core.inference.accounts import Accounts
from badc_core.inference.chunk_guard import find_incomplete
from badc_core.inference.chunk_json import ChunkOrigin, write_chunk_json
from badc_core.inference.chunk_output import ChunkOutput, read_chunk_json
from badc_core.inference.engine import open_engine
from badc_core.inference.journal import Journal
from badc_core.inference.manifest_tasks import make_tasks
from badc_core.inference.protocol import ChunkResult, ChunkTask
from badc_core.inference.requests import ChunkRequest, read_requests
from badc_core.inference.run_order import RunMade, RunOrder, load_previous
from badc_core.provenance.fingerprints import CODE_VERSIONS, Fingerprints
from badc_core.recordings.recording import Recording, read_recording
from badc_core.telemetry.attempts import Attempt
from badc_core.telemetry.log import TelemetryLog
from badc_core.telemetry.progress import watcher
from badc_core.telemetry.summary import Summary, Worst, summary_path, workers_path

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
        ConfigInvalid, DetectorMissing: the detector cannot be run.
    """

    def __init__(self, order: RunOrder) -> None:
        self._order = order
        root = order.dataset.root if order.dataset else None
        self._requests = read_requests(order.manifests, root)
        self._warnings = self._check_chunk_files()
        self._recordings = {one: _described(order.dataset, one) for one in self._requests}
        self._identity = identify_detector(order.settings.detector)
        self._config_hash = self._hash_config()
        self._previous = load_previous(order.resume_summary)
        self._is_new_summary = not summary_path(order.telemetry_log).exists()
        self._summary = Summary.load(order.telemetry_log)
        if self._previous is not None and self._previous.log != order.telemetry_log:
            self._summary.merge(self._previous)
        self._counts = _Counts()
        self._failed: list[tuple[str, str]] = []
        self._out: dict[int, tuple[ChunkRequest, str]] = {}

    @property
    def audio_s(self) -> float:
        """Seconds of sound in all chunks."""
        return sum(one.duration_s for requests in self._requests.values() for one in requests)

    @property
    def n_chunks(self) -> int:
        """Chunks in the manifests."""
        return sum(map(len, self._requests.values()))

    @property
    def n_done(self) -> int:
        """Chunks that have their result by now."""
        return self._counts.n_skipped + self._counts.n_succeeded

    def run(self) -> RunMade:
        """Analyses what has no result yet; returns when everything has been tried.

        However it ends, journals and JSON files hold what was found, and the summary is written.

        Raises:
            DetectorFailed, DetectorMissing: no worker can be had.
            StorageFull: the disk or a quota is full.
        """
        order, started_s = self._order, time.monotonic()
        with TelemetryLog(order.telemetry_log) as log, Accounts(log, self._summary) as accounts:

            def observe(attempt: Attempt) -> None:
                accounts.attempted(self._with_output(attempt))

            with open_engine(order.settings, self._identity, observe) as engine:
                for result in engine.run(self._tasks(accounts)):
                    self._take(result)
                    accounts.ended(result)
        self._forget_empty_books()
        return self._conclude(time.monotonic() - started_s)

    def _check_chunk_files(self) -> list[str]:
        """Returns warnings of chunk files that are not complete; raises unless that is allowed."""
        incomplete = find_incomplete(self._requests, self._order.chunks_dir)
        if incomplete and not self._order.allow_partial_chunks:
            raise ManifestMismatch(
                "; ".join(incomplete),
                self._order.manifests[0],
                "Run: badc chunk run FILE, or give --allow-partial-chunks",
            )
        return incomplete

    def _hash_config(self) -> str:
        """Returns what binds results to settings: in a dataset the same as its assets use."""
        if self._order.dataset is not None:
            return Fingerprints(self._order.dataset).settings_hash("detections")
        content = [
            CODE_VERSIONS["detections"],
            self._order.settings.detector.deciding(),
            asdict(self._identity),
        ]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]

    def _tasks(self, accounts: Accounts) -> Iterator[ChunkTask]:
        """Yields what must be analysed, recording by recording; the rest is taken as it is."""
        for recording_id, requests in self._requests.items():
            tasks = make_tasks(requests, self._recordings[recording_id])
            keys = [one.key(self._config_hash) for one in tasks]
            by_key = {key: one.task for key, one in zip(keys, tasks, strict=True)}
            known = self._journal(recording_id).known(by_key) if self._order.resume else {}
            for key, one in zip(keys, tasks, strict=True):
                if key in known:
                    self._skip(one.request, key, replace(known[key], task=one.task), accounts)
                elif not self._skip_by_file(one.request, key):
                    self._out[id(one.task)] = (one.request, key)
                    yield one.task

    def _take(self, result: ChunkResult) -> None:
        """Keeps what came of a chunk."""
        request, key = self._out.pop(id(result.task))
        self._journal(request.recording_id).append(key, result)
        if result.error is None:
            self._write(request, key, result)
            self._counts.n_succeeded += 1
            return
        self._failed.append((request.chunk_id, str(result.error)))
        # News of a failure is not worth an earlier result, which tells its settings itself.
        if self._read(request) is not None:
            self._counts.n_kept += 1
        else:
            self._write(request, key, result)

    def _skip(
        self, request: ChunkRequest, key: str, result: ChunkResult, accounts: Accounts
    ) -> None:
        """Takes a result from the journal; its file may have been lost, or be of other settings."""
        path = self._write(request, key, result)
        self._counts.n_skipped += 1
        self._summary.resumed(
            request.chunk_id,
            request.recording_id,
            result.worker,
            result.attempt,
            self._mention(path),
        )
        accounts.ended(result)

    def _skip_by_file(self, request: ChunkRequest, key: str) -> bool:
        """Takes a result from its file, if that is known to be what this run would find.

        It is where the file says so, the journal being gone: a dataset's assets remove it once a
        recording is finished. It may also be where a summary to resume from calls the chunk done.
        """
        job = self._previous.jobs().get(request.chunk_id) if self._previous else None
        was_done = (
            job is not None and job.status == "success" and job.recording_id == request.recording_id
        )
        found = self._existing(request)
        is_same = self._order.resume and found is not None and found.origin.key == key
        if found is None or not (is_same or was_done):
            self._counts.n_redone += was_done
            return False
        self._counts.n_skipped += 1
        self._counts.n_detections += len(found.detections)
        self._summary.resumed(
            request.chunk_id,
            request.recording_id,
            job.worker if job is not None else "",
            output=self._mention(found.path),
        )
        watcher().analysed(request.duration_s)
        return True

    def _existing(self, request: ChunkRequest) -> ChunkOutput | None:
        """Returns a chunk's file if it holds a result under these settings, as far as it says."""
        found = self._read(request)
        is_ours = found is not None and found.origin.config_hash in {"", self._config_hash}
        return found if is_ours else None

    def _read(self, request: ChunkRequest) -> ChunkOutput | None:
        """Returns a chunk's file if it holds a result, under whatever settings."""
        path = self._order.output.chunk_json(request.recording_id, request.chunk_id)
        try:
            found = read_chunk_json(path)
        except DetectionsInvalid:
            return None
        return None if found.status == "error" else found

    def _write(self, request: ChunkRequest, key: str, result: ChunkResult) -> Path:
        kept = replace(result, detections=keep(result.detections, self._order.settings.detector))
        self._counts.n_detections += len(kept.detections)
        dataset = self._order.dataset
        origin = ChunkOrigin(
            chunk_id=request.chunk_id,
            recording_id=request.recording_id,
            source_path=request.source_path,
            start_ms=request.start_ms,
            end_ms=request.end_ms,
            overlap_ms=request.overlap_ms,
            sha256=request.sha256,
            notes=request.notes,
            dataset_root=dataset.root.name if dataset else "",
            config_hash=self._config_hash,
            key=key,
        )
        return write_chunk_json(self._order.output, kept, self._identity, origin)

    def _with_output(self, attempt: Attempt) -> Attempt:
        """Returns an attempt that says where its result goes."""
        if attempt.status != "success":
            return attempt
        path = self._order.output.chunk_json(attempt.recording_id, attempt.chunk_id)
        details = replace(attempt.details, output=self._mention(path))
        return replace(attempt, details=details)

    def _mention(self, path: Path) -> str:
        """Returns a path as telemetry names it: relative to the dataset where it is in there."""
        dataset = self._order.dataset
        if dataset is not None and path.is_relative_to(dataset.root):
            return path.relative_to(dataset.root).as_posix()
        return path.as_posix()

    def _journal(self, recording_id: str) -> Journal:
        return Journal(self._order.output.journal(recording_id))

    def _forget_empty_books(self) -> None:
        """Removes the summary of a run that had nothing to do: there is no log beside it."""
        log = self._order.telemetry_log
        has_begun = self._counts.n_skipped < self.n_chunks or log.exists()
        if self._is_new_summary and self._previous is None and not has_begun:
            for path in (summary_path(log), workers_path(log)):
                path.unlink(missing_ok=True)

    def _retried(self) -> Worst:
        """Returns the worst of the chunks that failed before they succeeded."""
        failed = {chunk_id for chunk_id, _ in self._failed}
        troubled = self._summary.worst(self.n_chunks).hotspots
        retried = tuple(one for one in troubled if one.chunk_id not in failed)
        return Worst(retried[:_RETRIED_SHOWN], len(retried[_RETRIED_SHOWN:]))

    def _conclude(self, wall_s: float) -> RunMade:
        chunks = {one.chunk_id for requests in self._requests.values() for one in requests}
        previous = self._previous.jobs() if self._previous else {}
        tolerated = self._order.settings.inference.max_failed_fraction * len(chunks)
        return RunMade(
            n_chunks=len(chunks),
            n_skipped=self._counts.n_skipped,
            n_detections=self._counts.n_detections,
            failed=tuple(self._failed),
            n_kept=self._counts.n_kept,
            retried=self._retried(),
            is_failure=len(self._failed) > tolerated,
            n_orphans=len(previous.keys() - chunks),
            n_redone=self._counts.n_redone,
            totals=self._summary.totals(),
            wall_s=wall_s,
            workers=self._summary.workers(),
            warnings=tuple(self._warnings),
        )


def _described(dataset: Dataset | None, recording_id: str) -> Recording | None:
    """Returns what a dataset knows of a recording."""
    if dataset is None or not dataset.recording(recording_id).exists():
        return None
    return read_recording(dataset.recording(recording_id))
