"""What became of the chunks of each recording of a manifest, and the notes that say so.

In a dataset a note is left as each recording ends (`datasets/done_notes.py`).
"""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from badc_core.chunks.requests import ChunkRequest
from badc_core.datasets.done_notes import DetectionNote, describe_command, leave_note, mention
from badc_core.detectors.interface import DetectorIdentity
from badc_core.detectors.stub import NAME as STUB
from badc_core.errors import BadcError, ContentMissing, RecordingBusy
from badc_core.inference.chunk_sink import ChunkCounts
from badc_core.inference.run_spec import RunSpec
from badc_core.units import counted


class RecordingCounts:
    """The counts of a run, by recording."""

    def __init__(
        self,
        spec: RunSpec,
        detector: DetectorIdentity,
        config_hash: str,
        requests: Mapping[str, Sequence[ChunkRequest]],
    ) -> None:
        self._spec = spec
        self._detector = detector
        self._config_hash = config_hash
        self._requests = requests
        self._counts = {one: ChunkCounts() for one in requests}
        self._begun_s: dict[str, float] = {}

    def total(self) -> ChunkCounts:
        """Returns the counts of all recordings together."""
        return ChunkCounts.total(self._counts.values())

    def begin(self, recording_id: str) -> ChunkCounts:
        """Returns the counts of a recording, to be added to as work on it goes on."""
        self._begun_s[recording_id] = time.monotonic()
        return self._counts[recording_id]

    def end(self, recording_id: str, error: BadcError | None) -> None:
        """Enters that a recording has ended.

        All chunks of one that another run is at work on, or whose content could not be fetched,
        count as failed.

        Args:
            recording_id: which.
            error: why it failed as a whole; None if it did not.
        """
        counts = self._counts[recording_id]
        if isinstance(error, RecordingBusy | ContentMissing):
            counts.failed += [(one.chunk_id, str(error)) for one in self._requests[recording_id]]
        if isinstance(error, RecordingBusy):
            return  # that run will say what becomes of it
        if error is not None:
            self._leave_note(recording_id, str(error))
        elif counts.n_written or counts.failed:
            is_tolerated = self._spec.tolerates(len(counts.failed), self._n_chunks(recording_id))
            self._leave_note(recording_id, "" if is_tolerated else self._explain(recording_id))

    def abandon(self) -> None:
        """Enters that the run ends before recordings that have begun: failed is what has failed."""
        for recording_id in list(self._begun_s):
            if self._counts[recording_id].failed:
                self._leave_note(recording_id, f"not finished: {self._explain(recording_id)}")

    def _explain(self, recording_id: str) -> str:
        failed = self._counts[recording_id].failed
        chunks = counted(self._n_chunks(recording_id), "chunk")
        chunk_id, why = failed[0]
        first = why if chunk_id in why else f"{chunk_id}: {why}"
        return f"{len(failed)} of {chunks} failed. {first}"

    def _n_chunks(self, recording_id: str) -> int:
        return len(self._requests[recording_id])

    def _leave_note(self, recording_id: str, error: str) -> None:
        spec, detector, counts = self._spec, self._detector, self._counts[recording_id]
        if spec.dataset is None:
            return
        root, now, now_s = spec.dataset.root, datetime.now(UTC), time.monotonic()
        wall_s = now_s - self._begun_s.pop(recording_id, now_s)
        note = DetectionNote(
            recording_id=recording_id,
            started_at=now - timedelta(seconds=wall_s),
            finished_at=now,
            error=error,
            folder=mention(root, spec.output.recording(recording_id)),
            manifest=", ".join(mention(root, one) for one in spec.manifests),
            chunks=self._n_chunks(recording_id),
            failed=len(counts.failed),
            skipped=counts.n_skipped,
            detections=counts.n_detections,
            audio_s=counts.audio_s,
            detector_s=counts.detector_s,
            wall_s=wall_s,
            detector=detector.name,
            detector_version=detector.version,
            model_sha256=detector.model_sha256,
            config_hash=self._config_hash,
            telemetry=mention(root, spec.telemetry_log),
            is_stub=detector.name == STUB,
            **describe_command(),
        )
        leave_note(root, note)
