"""The lines that pass between the engine and a worker: one JSON object each.

Engine to worker: one `setup`, then `chunk`s; end of input means stop. Worker to engine: one
`hello` or `refused`, then a `result` or an `error` for every chunk, in order. A worker may be any
program that speaks these lines.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from badc_core import errors
from badc_core.audio.channel import MEAN, Channel
from badc_core.chunks.plan import Chunk
from badc_core.detectors.interface import (
    NO_CONTEXT,
    Detection,
    DetectorReport,
    Label,
    RecordingContext,
)
from badc_core.devices.metrics import GpuMetrics
from badc_core.errors import BadcError, DetectorFailed
from badc_core.intervals import Interval

PROTOCOL = 3


@dataclass(frozen=True)
class ChunkTask:
    """A chunk to analyse.

    Attributes:
        audio: the file it lies in: a recording's, or a chunk's own.
        n_samples: the length the file must have; anything else means it changed.
        chunk: which part.
        recording_context: where and when it was recorded, as far as known.
        files: folder that keeps what a detector's program writes about the chunk; None for none.
        channel: which channel of the file is analysed.
    """

    audio: Path
    n_samples: int
    chunk: Chunk
    recording_context: RecordingContext = NO_CONTEXT
    files: Path | None = None
    channel: Channel = MEAN


@dataclass(frozen=True)
class ChunkResult:
    """What came of a chunk.

    Attributes:
        task: which chunk.
        detections: by start, then label.
        error: why there are none; None for success.
        runtime_s: from its first sample read to its last window scored.
        worker: label of the worker, such as `cpu-0`.
        attempt: 1 for the first.
        peak_rss_mib: the worker's so far.
        gpu: what its GPU did meanwhile; None without one.
        is_resumed: from an earlier run, so that nothing ran.
        floor: detections below this score are left out.
        not_analysed: digital silence that the model cannot score, in samples as detections are.
    """

    task: ChunkTask
    detections: tuple[Detection, ...]
    error: BadcError | None
    runtime_s: float
    worker: str
    attempt: int = 1
    peak_rss_mib: float = 0.0
    gpu: GpuMetrics | None = None
    is_resumed: bool = False
    floor: float = 0.0
    not_analysed: tuple[Interval, ...] = ()

    @property
    def chunk(self) -> Chunk:
        """The chunk."""
        return self.task.chunk

    @property
    def status(self) -> str:
        """`ok`, `no_detections` or `error`."""
        if self.error is not None:
            return "error"
        return "ok" if self.detections else "no_detections"


def encode(kind: str, **content: Any) -> str:
    """Returns one line."""
    return json.dumps({"kind": kind, **content}, separators=(",", ":")) + "\n"


def task_to_json(task: ChunkTask) -> dict[str, Any]:
    """Returns a task as the content of a `chunk` line."""
    return {
        "audio": str(task.audio),
        "n_samples": task.n_samples,
        "chunk": task.chunk.to_json(),
        "recording_context": asdict(task.recording_context),
        "files": None if task.files is None else str(task.files),
        "channel": task.channel,
    }


def task_from_json(content: dict[str, Any]) -> ChunkTask:
    """Returns the task in a `chunk` line."""
    return ChunkTask(
        Path(content["audio"]),
        content["n_samples"],
        Chunk.from_json(content["chunk"]),
        RecordingContext(**content["recording_context"]),
        Path(content["files"]) if content["files"] else None,
        content["channel"],
    )


def detections_to_json(detections: Iterable[Detection]) -> list[list[Any]]:
    """Returns detections as rows.

    A row is start, end, confidence, name, code, scientific name, and, where somebody asked,
    whether it is expected and how often it occurs.
    """
    return [_detection_to_json(one) for one in detections]


def detections_from_json(rows: list[list[Any]]) -> tuple[Detection, ...]:
    """Returns the detections in the rows of a `result` line; raises ValueError for other rows."""
    return tuple(_detection_from_json(row) for row in rows)


def intervals_from_json(rows: list[list[int]]) -> tuple[Interval, ...]:
    """Returns the intervals in the rows of a `result` line; raises ValueError for other rows."""
    return tuple((start, end) for start, end in rows)


def error_to_json(error: BadcError) -> dict[str, str]:
    """Returns an error by its class and its three sentences."""
    return {
        "class": type(error).__name__,
        "what": error.what,
        "where": error.where,
        "remedy": error.remedy,
    }


def error_from_json(content: dict[str, str]) -> BadcError:
    """Returns the error in an `error` or `refused` line; an unknown class is a detector's."""
    found = getattr(errors, content["class"], DetectorFailed)
    return cast("BadcError", found(content["what"], content["where"], content["remedy"]))


def report_from_json(content: dict[str, Any] | None) -> DetectorReport | None:
    """Returns a detector's report on its work, if there is one."""
    if content is None:
        return None
    command = content["command"]
    lists = {"command": None if command is None else tuple(command)}
    return DetectorReport(**{**content, **lists, "notes": tuple(content["notes"])})


def _detection_to_json(one: Detection) -> list[Any]:
    row = [
        one.start_sample,
        one.end_sample,
        one.confidence,
        one.label.name,
        one.label.code,
        one.label.scientific_name,
    ]
    if one.is_expected is not None or one.occurrence is not None:
        row += [one.is_expected, one.occurrence]
    return row


def _detection_from_json(row: list[Any]) -> Detection:
    start, end, confidence, name, code, scientific_name, *expectation = row
    return Detection(start, end, Label(name, code, scientific_name), confidence, *expectation)
