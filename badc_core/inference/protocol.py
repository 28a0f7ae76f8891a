"""The lines that pass between the engine and a worker: one JSON object each.

Engine to worker: one `setup`, then `chunk`s; end of input means stop. Worker to engine: one
`hello` or `refused`, then a `result` or an `error` for every chunk, in order. A worker may be any
program that speaks these lines.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from badc_core import errors
from badc_core.chunks.plan import Chunk
from badc_core.detectors.interface import Detection, Label
from badc_core.errors import BadcError, DetectorFailed

PROTOCOL = 1


@dataclass(frozen=True)
class ChunkTask:
    """A chunk to analyse.

    Attributes:
        audio: the recording's file.
        n_samples: the length the recording must have; anything else means the file changed.
        chunk: which part.
    """

    audio: Path
    n_samples: int
    chunk: Chunk


@dataclass(frozen=True)
class ChunkResult:
    """What a worker says of a chunk.

    Attributes:
        chunk: which.
        detections: by start, then label.
        error: why there are none; None for success.
        runtime_s: from its first sample read to its last window scored.
        worker: label of the worker, such as `cpu-0`.
        attempt: 1 for the first.
        peak_rss_mib: the worker's so far.
    """

    chunk: Chunk
    detections: tuple[Detection, ...]
    error: BadcError | None
    runtime_s: float
    worker: str
    attempt: int = 1
    peak_rss_mib: float = 0.0

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
    return {"audio": str(task.audio), "n_samples": task.n_samples, "chunk": asdict(task.chunk)}


def task_from_json(content: dict[str, Any]) -> ChunkTask:
    """Returns the task in a `chunk` line."""
    return ChunkTask(Path(content["audio"]), content["n_samples"], Chunk(**content["chunk"]))


def detections_to_json(detections: list[Detection]) -> list[list[Any]]:
    """Returns detections as rows: start, end, confidence, name, code, scientific name."""
    return [
        [
            one.start_sample,
            one.end_sample,
            one.confidence,
            one.label.name,
            one.label.code,
            one.label.scientific_name,
        ]
        for one in detections
    ]


def detections_from_json(rows: list[list[Any]]) -> tuple[Detection, ...]:
    """Returns the detections in the rows of a `result` line."""
    return tuple(
        Detection(start, end, Label(name, code, scientific_name), confidence)
        for start, end, confidence, name, code, scientific_name in rows
    )


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
