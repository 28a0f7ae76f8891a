"""An attempt at a chunk, and its telemetry line; no other module writes the fields of a line.

The engine makes attempts; `log.py` stamps and appends lines; `summary.py` counts attempts;
`monitor.py` reads lines.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from badc_core.devices.inventory import Gpu
from badc_core.devices.metrics import GpuMetrics

TAIL_CHARACTERS = 500
"""How much of a program's output a line keeps, from its end."""

_DIGITS = 4

_AS_THEY_ARE = (
    *("chunk_id", "recording_id", "status", "worker", "attempt"),
    *("runtime_s", "audio_s", "detections", "error"),
)

AttemptStatus = Literal["start", "success", "failure"]


@dataclass(frozen=True)
class AttemptDetails:
    """How an attempt went.

    Attributes:
        runner: the detector's name.
        command: the exact program and arguments, if the detector starts one.
        returncode: exit code of that program; negative for a signal.
        stdout: its output; a line keeps the end.
        stderr: likewise.
        output: file that holds the result, relative to the dataset.
        backoff_s: wait before the next attempt.
        will_retry: whether there will be one.
        notes: messages of the detector.
        peak_rss_mib: the most memory that the worker used since it started.
        peak_vram_mib: the most GPU memory that the detector used, by its own count.
        gpu_metrics: of the GPU meanwhile; None on the CPU.
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
    """One attempt at one chunk, as it starts or has ended.

    Attributes:
        chunk_id: what is analysed.
        recording_id: the chunk's recording.
        status: `start`, `success` or `failure`.
        worker: label of the place, such as `gpu-0`.
        gpu: the one it may use; None for the CPU.
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


def attempt_in(line: dict[str, Any]) -> Attempt:
    """Returns the attempt in a telemetry line of this version of BADC; the inverse of `record`."""
    details = {name: value for name, value in line["details"].items() if name != "attempt"}
    metrics = details["gpu_metrics"]
    command = details["command"]
    index = line["gpu_index"]
    return Attempt(
        gpu=None if index is None else Gpu(index, line["gpu_uuid"], line["gpu_name"], 0),
        started_at=datetime.fromisoformat(line["timestamp"]),
        finished_at=datetime.fromisoformat(line["finished_at"]) if line["finished_at"] else None,
        details=AttemptDetails(
            **{
                **details,
                "command": None if command is None else tuple(command),
                "notes": tuple(details["notes"]),
                "gpu_metrics": None if metrics is None else GpuMetrics(**metrics),
            }
        ),
        **{name: line[name] for name in _AS_THEY_ARE},
    )


def _x_realtime(attempt: Attempt) -> float | None:
    """Returns seconds of sound analysed in a second; None if the attempt did not succeed."""
    if attempt.status != "success" or attempt.runtime_s <= 0:
        return None
    return round(attempt.audio_s / attempt.runtime_s, _DIGITS)


def _details(details: AttemptDetails, number: int) -> dict[str, Any]:
    fields: dict[str, Any] = _rounded(asdict(details))
    tails = {name: fields[name][-TAIL_CHARACTERS:] for name in ("stdout", "stderr")}
    # The original BADC's logs have the number of the attempt here.
    return {**fields, **tails, "attempt": number}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return round(value, _DIGITS) if isinstance(value, float) else value
