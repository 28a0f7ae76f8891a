"""What earlier runs have found in a manifest's chunks, and whether that counts for this one.

A result counts if it is of the same sound, place, date, model and settings: from the journal, or
from the chunk's JSON file. Nothing is written here; running what is left is in `manifest_run.py`.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from badc_core.chunks.requests import ChunkRequest
from badc_core.detectors.interface import DetectorIdentity
from badc_core.engine.protocol import ChunkResult
from badc_core.errors import DetectionsInvalid
from badc_core.inference.chunk_output import ChunkOutput, read_chunk_json
from badc_core.inference.journal import Journal
from badc_core.manifest_runs.manifest_tasks import ManifestTask
from badc_core.manifest_runs.run_spec import RunSpec
from badc_core.stages.fingerprints import CODE_VERSIONS, Fingerprints
from badc_core.telemetry.counts import Job
from badc_core.telemetry.summary import Summary


@dataclass(frozen=True)
class PreviousResult:
    """A chunk, and what is there of it.

    Attributes:
        one: the chunk.
        key: what a journal knows it by under these settings.
        result: from the journal, or from its file; None where it must be analysed.
        job: what became of it according to the summary to resume from, if it succeeded.
    """

    one: ManifestTask
    key: str
    result: ChunkResult | ChunkOutput | None
    job: Job | None


class PreviousResults:
    """The results that are there before a run.

    Args:
        order: says where they are and which count.
        config_hash: of the settings, model and code that decide what is found.
        previous: the summary to resume from.
    """

    def __init__(self, order: RunSpec, config_hash: str, previous: Summary | None) -> None:
        self._order = order
        self._config_hash = config_hash
        self._jobs = {} if previous is None else previous.jobs()

    def of(self, recording_id: str, tasks: Sequence[ManifestTask]) -> Iterator[PreviousResult]:
        """Yields each chunk of a recording with what is there of it, in order."""
        keys = [one.key(self._config_hash) for one in tasks]
        by_key = {key: one.task for key, one in zip(keys, tasks, strict=True)}
        journal = Journal(self._order.output.journal(recording_id))
        known = journal.known(by_key) if self._order.resume else {}
        for key, one in zip(keys, tasks, strict=True):
            job = self._job(one.request)
            if key in known:
                yield PreviousResult(one, key, replace(known[key], task=one.task), job)
            else:
                yield PreviousResult(
                    one, key, self._in_file(one.request, key, job is not None), job
                )

    def stored(self, request: ChunkRequest) -> ChunkOutput | None:
        """Returns a chunk's file if it holds a result, under whatever settings."""
        path = self._order.output.chunk_json(request.recording_id, request.chunk_id)
        try:
            found = read_chunk_json(path)
        except DetectionsInvalid:
            return None
        return None if found.status == "error" else found

    def _in_file(self, request: ChunkRequest, key: str, was_done: bool) -> ChunkOutput | None:
        """Returns a chunk's file if it is known to hold what this run would find.

        It is where the file says so, the journal being gone: a dataset's assets remove it once a
        recording is finished. It may also be where a summary to resume from calls the chunk done.
        """
        if not (self._order.resume or was_done):
            return None
        found = self.stored(request)
        if found is None or found.origin.config_hash not in {"", self._config_hash}:
            return None
        is_same = self._order.resume and found.origin.key == key
        return found if is_same or was_done else None

    def _job(self, request: ChunkRequest) -> Job | None:
        job = self._jobs.get(request.chunk_id)
        if job is None or job.status != "success":
            return None
        return job if job.recording_id == request.recording_id else None


def hash_config(order: RunSpec, detector: DetectorIdentity) -> str:
    """Returns what binds results to settings: in a dataset the same as its assets use."""
    if order.dataset is not None:
        return Fingerprints(order.dataset).settings_hash("detections")
    found = [order.settings.detector.fingerprint_inputs(), detector.fingerprint_inputs()]
    content = [CODE_VERSIONS["detections"], *found]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
