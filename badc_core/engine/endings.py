"""How attempts at chunks begin and end, as telemetry describes them.

When that happens, and what follows, is decided in `engine.py`.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from badc_core.detectors.interface import DetectorReport
from badc_core.devices.metrics import GpuMetrics
from badc_core.engine import protocol
from badc_core.engine.pool import Assignment, WorkerProcess
from badc_core.engine.protocol import ChunkResult
from badc_core.errors import BadcError
from badc_core.telemetry.attempts import Attempt, AttemptDetails, AttemptStatus


@dataclass(frozen=True)
class Ending:
    """How one attempt ended.

    Attributes:
        error: None for success.
        runtime_s: as the worker says, or as seen from here if it died.
        content: what the worker said; empty if it died.
        returncode: of a dead worker.
        stderr: the end of what a dead worker wrote.
        gpu: what its GPU did meanwhile; None without one.
    """

    error: BadcError | None
    runtime_s: float
    content: dict[str, Any]
    returncode: int | None = None
    stderr: str = ""
    gpu: GpuMetrics | None = None

    def result(self, worker: WorkerProcess, done: Assignment) -> ChunkResult:
        """Returns it as what came of the chunk."""
        return ChunkResult(
            done.task,
            protocol.detections_from_json(self.content.get("detections", [])),
            self.error,
            self.runtime_s,
            worker.label,
            done.attempt,
            self.content.get("peak_rss_mib", 0.0),
            self._gpu_use(),
            floor=worker.floor,
            not_analysed=protocol.intervals_from_json(self.content.get("not_analysed", [])),
        )

    def _gpu_use(self) -> GpuMetrics | None:
        """Returns what the GPU did; its memory in the detector's count if the driver has none."""
        report = protocol.report_from_json(self.content.get("report")) or DetectorReport()
        if self.gpu is None or self.gpu.memory_used_mib is not None:
            return self.gpu
        return replace(self.gpu, memory_used_mib=report.peak_vram_mib)

    def attempt(
        self, worker: WorkerProcess, done: Assignment, runner: str, backoff_s: float | None
    ) -> Attempt:
        """Returns it as an attempt that has ended.

        Args:
            worker: who made it.
            done: at which chunk.
            runner: the detector's name.
            backoff_s: wait before the next one; None if there is none.
        """
        report = protocol.report_from_json(self.content.get("report")) or DetectorReport()
        details = AttemptDetails(
            runner=runner,
            command=report.command,
            returncode=self.returncode if report.returncode is None else report.returncode,
            stdout=report.stdout,
            stderr=report.stderr or self.stderr,
            backoff_s=backoff_s,
            will_retry=backoff_s is not None,
            notes=(*self.content.get("notes", ()), *report.notes),
            peak_rss_mib=self.content.get("peak_rss_mib", 0.0),
            peak_vram_mib=report.peak_vram_mib,
            gpu_metrics=self.gpu,
        )
        return replace(
            beginning(worker, done, runner, "failure" if self.error else "success"),
            finished_at=datetime.now(UTC),
            runtime_s=self.runtime_s,
            detections=len(self.content.get("detections", ())),
            error=str(self.error) if self.error else None,
            details=details,
        )


def beginning(
    worker: WorkerProcess,
    assignment: Assignment,
    runner: str,
    status: AttemptStatus = "start",
) -> Attempt:
    """Returns an attempt as it begins."""
    chunk = assignment.task.chunk
    return Attempt(
        chunk_id=chunk.chunk_id,
        recording_id=chunk.recording_id,
        status=status,
        worker=worker.label,
        gpu=worker.place.gpu,
        attempt=assignment.attempt,
        started_at=worker.since_utc,
        finished_at=None,
        runtime_s=0.0,
        audio_s=chunk.duration_s,
        detections=0,
        error=None,
        details=AttemptDetails(runner=runner),
    )
