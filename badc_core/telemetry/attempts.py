"""What is written down of an attempt at a chunk: the one place that knows the fields of a line.

The engine makes attempts; `log.py` stamps and appends lines; `summary.py` counts attempts;
`monitor.py` shows lines.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from badc_core.devices.inventory import Gpu
from badc_core.devices.metrics import GpuMetrics

TAIL_CHARACTERS = 500
"""How much of a program's output a line keeps, from its end."""

_DIGITS = 4

AttemptStatus = Literal["start", "success", "failure"]


@dataclass(frozen=True)
class AttemptDetails:
    """How an attempt went.

    Attributes:
        runner: the detector's name.
        command: the exact program and arguments, where the detector starts one.
        returncode: how that program ended; negative for the signal that ended it.
        stdout: what it wrote; a line keeps the end.
        stderr: likewise.
        output: file that holds the result, relative to the dataset.
        backoff_s: wait before the next attempt.
        will_retry: whether there will be one.
        notes: what the detector has to tell.
        peak_rss_mib: most memory held by the worker since it started.
        peak_vram_mib: most GPU memory held by the detector, in its own count.
        gpu_metrics: what the GPU did meanwhile; None on the CPU.
    """

    runner: str
    command: tuple[str, ...] | None = None
    returncode: int | None = None
    stdout: str = ""
    stderr: str = ""
    output: str | None = None
    backoff_s: float | None = None
    will_retry: bool = False
    notes: tuple[str, ...] = ()
    peak_rss_mib: float = 0.0
    peak_vram_mib: float | None = None
    gpu_metrics: GpuMetrics | None = None


@dataclass(frozen=True)
class Attempt:
    """One try at one chunk, as it begins (`start`) or has ended.

    Attributes:
        chunk_id: what is analysed.
        recording_id: whose slice that is.
        status: `start`, `success` or `failure`.
        worker: label of the place, such as `gpu-0`.
        gpu: what it may use; None for the CPU.
        attempt: 1 for the first.
        started_at: UTC.
        finished_at: UTC; None at the start.
        runtime_s: from start to finish; 0 at the start.
        audio_s: length of the chunk.
        detections: how many were found.
        error: why it failed; None otherwise.
        details: everything else.
    """

    chunk_id: str
    recording_id: str
    status: AttemptStatus
    worker: str
    gpu: Gpu | None
    attempt: int
    started_at: datetime
    finished_at: datetime | None
    runtime_s: float
    audio_s: float
    detections: int
    error: str | None
    details: AttemptDetails


def record(attempt: Attempt) -> dict[str, Any]:
    """Returns an attempt as the content of a telemetry line."""
    gpu = attempt.gpu
    return {
        "chunk_id": attempt.chunk_id,
        "recording_id": attempt.recording_id,
        "status": attempt.status,
        "worker": attempt.worker,
        "gpu_index": gpu.index if gpu else None,
        "gpu_name": gpu.name if gpu else None,
        "gpu_uuid": gpu.uuid if gpu else None,
        "attempt": attempt.attempt,
        "finished_at": attempt.finished_at.isoformat() if attempt.finished_at else None,
        "runtime_s": round(attempt.runtime_s, _DIGITS),
        "audio_s": round(attempt.audio_s, _DIGITS),
        "x_realtime": _x_realtime(attempt),
        "detections": attempt.detections,
        "error": attempt.error,
        "details": _details(attempt.details, attempt.attempt),
    }


def _x_realtime(attempt: Attempt) -> float | None:
    """Returns seconds of sound done in a second; None for what is not done."""
    if attempt.status != "success" or attempt.runtime_s <= 0:
        return None
    return round(attempt.audio_s / attempt.runtime_s, _DIGITS)


def _details(details: AttemptDetails, number: int) -> dict[str, Any]:
    return {
        "runner": details.runner,
        "command": None if details.command is None else list(details.command),
        "returncode": details.returncode,
        "stdout": details.stdout[-TAIL_CHARACTERS:],
        "stderr": details.stderr[-TAIL_CHARACTERS:],
        "output": details.output,
        # Again, for readers of the original BADC's logs, who look for it here.
        "attempt": number,
        "backoff_s": details.backoff_s,
        "will_retry": details.will_retry,
        "notes": list(details.notes),
        "peak_rss_mib": round(details.peak_rss_mib, _DIGITS),
        "peak_vram_mib": _rounded(details.peak_vram_mib),
        "gpu_metrics": _gpu_metrics(details.gpu_metrics),
    }


def _gpu_metrics(metrics: GpuMetrics | None) -> dict[str, Any] | None:
    return None if metrics is None else {key: _rounded(it) for key, it in asdict(metrics).items()}


def _rounded(value: Any) -> Any:
    return round(value, _DIGITS) if isinstance(value, float) else value
