"""The JSON a program of the detector `command` writes, read strictly.

An object with a list `detections`, or that list alone. Of each detection `timestamp_ms`, `end_ms`
(from the start of the file the program was given) and `confidence` must be there, and one of
`label_name`, `label` and `label_code`; `scientific_name` may be; other keys are left alone.
"""

import json
import math
from pathlib import Path
from typing import Any

from badc_core.chunks.plan import Chunk
from badc_core.detectors.chunk_files import FoundInFile
from badc_core.detectors.interface import Label
from badc_core.errors import DetectorFailed

_MOST_MS = 1e12
_ROUNDING_MS = 1.0


def read_output(path: Path, chunk: Chunk) -> list[FoundInFile]:
    """Returns what a program says it found in a chunk's file, in its order.

    Raises:
        DetectorFailed: no file, not JSON, a key missing or of the wrong kind, or a value outside
            its limits; says which.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise _unusable(chunk, "the program wrote no output file") from error
    except OSError as error:
        raise _unusable(chunk, f"the program's output cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise _unusable(chunk, f"the program's output is not JSON ({error})") from error
    except RecursionError as error:
        raise _unusable(chunk, "the program's output is nested too deeply") from error
    return [
        _read_one(_Fields(f"detections[{index}]", one, chunk), chunk)
        for index, one in enumerate(_detections(content, chunk))
    ]


class _Fields:
    """One detection's keys, each read with a complaint that names it."""

    def __init__(self, place: str, content: Any, chunk: Chunk) -> None:
        self._place = place
        self._chunk = chunk
        if not isinstance(content, dict):
            raise self.wrong("", f"is {_kind(content)}, not an object")
        self._content = content

    def number(self, key: str, limit: float) -> float:
        """Returns a number from 0 to a limit."""
        if key not in self._content:
            raise self.wrong(key, "is missing")
        value = self._content[key]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, f"is {_kind(value)}, not a number")
        if not 0 <= value <= limit:
            raise self.wrong(key, f"is {value}, not between 0 and {limit:g}")
        return float(value)

    def text(self, key: str) -> str:
        """Returns a text, empty where there is none."""
        value = self._content.get(key)
        if value is not None and not isinstance(value, str):
            raise self.wrong(key, f"is {_kind(value)}, not a text")
        return (value or "").strip()

    def wrong(self, key: str, what: str) -> DetectorFailed:
        """Returns the complaint about a key."""
        name = f"{self._place}.{key}" if key else self._place
        return _unusable(self._chunk, f"{name} in the program's output {what}")


def _read_one(fields: _Fields, chunk: Chunk) -> FoundInFile:
    end_of_file_ms = math.ceil(chunk.duration_s * 1000) + _ROUNDING_MS
    start_ms = fields.number("timestamp_ms", end_of_file_ms)
    # The last window may be padded, so what reaches past the end is cut off there.
    end_ms = fields.number("end_ms", _MOST_MS)
    if end_ms < start_ms:
        raise fields.wrong("end_ms", f"is {end_ms:g}, before timestamp_ms {start_ms:g}")
    label, code = fields.text("label"), fields.text("label_code")
    name = fields.text("label_name") or label or code
    if not name:
        raise fields.wrong("label", "is missing, as are label_name and label_code")
    return FoundInFile(
        start_ms / 1000,
        end_ms / 1000,
        Label(name, code, fields.text("scientific_name")),
        fields.number("confidence", 1),
    )


def _detections(content: Any, chunk: Chunk) -> list[Any]:
    """Returns the list of detections, which may be the whole output."""
    found = content
    if isinstance(content, dict):
        if content.get("status") == "error":
            raise _unusable(chunk, 'the program\'s output says "status": "error"')
        if "detections" not in content:
            raise _unusable(chunk, "detections is missing in the program's output")
        found = content["detections"]
    if not isinstance(found, list):
        raise _unusable(chunk, f"detections in the program's output is {_kind(found)}, not a list")
    return found


def _kind(value: Any) -> str:
    """Returns a value as JSON would show it, shortened."""
    shown = json.dumps(value)
    limit = 40
    return shown if len(shown) <= limit else f"{shown[:limit]}..."


def _unusable(chunk: Chunk, what: str) -> DetectorFailed:
    return DetectorFailed(what, chunk.chunk_id, "Correct the program of detector.command")
