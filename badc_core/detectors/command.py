"""A detector of your own: any program called with `--input CHUNK.wav --output OUT.json`.

It writes a JSON object with a list `detections`, or that list alone. Of each detection
`timestamp_ms`, `end_ms` (from the start of the file the program was given) and `confidence` must be
there, and one of `label_name`, `label` and `label_code`; `scientific_name` may be; other keys are
left alone. How programs are run is in `programs.py`.
"""

import math
import shlex
import shutil
from pathlib import Path
from typing import Annotated, Self

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from badc_core.chunks.plan import Chunk
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.chunk_files import ChunkFile, FoundInFile, place_detections
from badc_core.detectors.interface import Detection, DetectorIdentity, Label
from badc_core.detectors.programs import (
    ProgramPerChunk,
    describe_exit,
    run_program,
)
from badc_core.errors import ConfigInvalid, DetectorFailed, DetectorMissing
from badc_core.hashing import sha256_text, sha256_unchanged
from badc_core.validation import explain_invalid

USES_GPU = True
USES_PLACE = False

_VERSION_LENGTH = 12
_MOST_MS = 1e12
_ROUNDING_MS = 1.0
_REMEDY = "Set detector.command in badc.toml, or --runner-cmd, to a program that can be run"


class Command(ProgramPerChunk):
    """The program, started once for every chunk."""

    def __init__(self, settings: DetectorSettings) -> None:
        """Reads the command; raises ConfigInvalid or DetectorMissing."""
        super().__init__()
        self.identity = identify(settings)
        self._command = _words(settings)
        self._min_score = settings.min_score

    def _run(self, batch: ChunkFile) -> list[Detection]:
        output = batch.output / f"{batch.chunk.chunk_id}.json"
        ended = run_program([*self._command, "--input", str(batch.path), "--output", str(output)])
        self._report = ended.report()
        if ended.returncode != 0:
            raise ended.failure(
                f"{self._command[0]} ended with {describe_exit(ended.returncode)}",
                batch.chunk.chunk_id,
                "Run it by hand on a WAV file to see why",
            )
        found = read_output(output, batch.chunk)
        return place_detections(
            batch.chunk, (one for one in found if one.confidence >= self._min_score)
        )


def identify(settings: DetectorSettings) -> DetectorIdentity:
    """Returns the program's identity, which changes with its command line and its files.

    Its files are the program itself and whatever file its arguments name, such as the script an
    interpreter runs or a model.

    Raises:
        ConfigInvalid: there is no command, or it is not well quoted.
        DetectorMissing: there is no such program.
    """
    words = _words(settings)
    found = shutil.which(words[0])
    if found is None:
        raise DetectorMissing("there is no such program", words[0], _REMEDY)
    files = [found, *filter(_is_file, words[1:])]
    try:
        parts = [*words, *(sha256_unchanged(Path(file)) for file in files)]
    except OSError as error:
        raise DetectorMissing(
            f"cannot be read ({error.strerror})", str(error.filename), _REMEDY
        ) from error
    digest = sha256_text("\0".join(parts))
    return DetectorIdentity("command", digest[:_VERSION_LENGTH], None, "", 0.0, uses_gpu=USES_GPU)


load = Command
"""What the entry point calls."""


def _is_file(word: str) -> bool:
    """Returns whether an argument names a file; it may also be too long to name any."""
    try:
        return Path(word).is_file()
    except (OSError, ValueError):
        return False


def _words(settings: DetectorSettings) -> list[str]:
    """Returns the command line as words, split as a shell would."""
    try:
        words = shlex.split(settings.command)
    except ValueError as error:
        raise ConfigInvalid(
            f"{settings.command!r} is not well quoted ({error})", "detector.command", _REMEDY
        ) from error
    if not words:
        raise ConfigInvalid("the detector `command` has no command", "detector.command", _REMEDY)
    return words


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
