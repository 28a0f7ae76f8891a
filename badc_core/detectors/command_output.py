"""The JSON a program of the detector `command` writes, read strictly.

An object with a list `detections`, or that list alone. Of each detection `timestamp_ms`, `end_ms`
(from the start of the file the program was given) and `confidence` must be there, and one of
`label_name`, `label` and `label_code`; `scientific_name` may be; other keys are left alone.
"""

import math
from pathlib import Path
from typing import Annotated, Self

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from badc_core.chunks.plan import Chunk
from badc_core.detectors.chunk_files import FoundInFile
from badc_core.detectors.interface import Label
from badc_core.errors import DetectorFailed
from badc_core.validation import explain_invalid

_MOST_MS = 1e12
_ROUNDING_MS = 1.0


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False, str_strip_whitespace=True)


class _Detection(_Strict):
    timestamp_ms: Annotated[float, Field(ge=0)]
    # The last window may be padded, so what reaches past the file's end is cut off there.
    end_ms: Annotated[float, Field(ge=0, le=_MOST_MS)]
    confidence: Annotated[float, Field(ge=0, le=1)]
    label_name: str | None = None
    label: str | None = None
    label_code: str | None = None
    scientific_name: str | None = None

    @property
    def name(self) -> str:
        return self.label_name or self.label or self.label_code or ""

    @model_validator(mode="after")
    def _require_sense(self) -> Self:
        if self.end_ms < self.timestamp_ms:
            raise ValueError(f"end_ms {self.end_ms:g} is before timestamp_ms {self.timestamp_ms:g}")
        if not self.name:
            raise ValueError("label is missing, as are label_name and label_code")
        return self


class _Output(_Strict):
    detections: list[_Detection]


def read_output(path: Path, chunk: Chunk) -> list[FoundInFile]:
    """Returns what a program found in a chunk's file, in its order.

    Raises:
        DetectorFailed: no file, not JSON, a key missing or of the wrong kind, or a value outside
            its limits; says which.
    """
    try:
        content = pydantic_core.from_json(path.read_bytes())
    except FileNotFoundError as error:
        raise _unusable(chunk, "the program wrote no output file") from error
    except OSError as error:
        raise _unusable(chunk, f"the program's output cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise _unusable(chunk, f"the program's output is not JSON ({error})") from error
    if isinstance(content, dict) and content.get("status") == "error":
        raise _unusable(chunk, 'the program\'s output says "status": "error"')
    try:
        output = _Output.model_validate(
            content if isinstance(content, dict) else {"detections": content}
        )
    except ValidationError as error:
        raise _unusable(chunk, f"the program's output: {explain_invalid(error)}") from error
    latest_ms = math.ceil(chunk.duration_s * 1000) + _ROUNDING_MS
    for index, one in enumerate(output.detections):
        if one.timestamp_ms > latest_ms:
            what = f"detections[{index}].timestamp_ms is after the end of its file"
            raise _unusable(chunk, f"the program's output: {what}, {one.timestamp_ms:g}")
    return [
        FoundInFile(
            one.timestamp_ms / 1000,
            one.end_ms / 1000,
            Label(one.name, one.label_code or "", one.scientific_name or ""),
            one.confidence,
        )
        for one in output.detections
    ]


def _unusable(chunk: Chunk, what: str) -> DetectorFailed:
    return DetectorFailed(what, chunk.chunk_id, "Correct the program of detector.command")
