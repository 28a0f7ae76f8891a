"""HawkEars 1: a checkout's `analyze.py`, run once for every chunk in an environment of its own.

Of its tables `HawkEars_labels.csv` is always there, `HawkEars_rarities.csv` only where species
turned up that are not reported at that place and date. Neither repeats the other's rows. HawkEars 2
is in `hawkears2.py`.
"""

import re
import shutil
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from badc_core.accounts import expand_home
from badc_core.chunks.plan import Chunk
from badc_core.csv_tables import TableInvalid, read_rows
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.chunk_files import ChunkFile, FoundInFile, place_detections
from badc_core.detectors.hawkears import LONGEST_WHOLE_S
from badc_core.detectors.interface import Detection, DetectorIdentity, Label, RecordingContext
from badc_core.detectors.programs import (
    CompletedProgram,
    ProgramPerChunk,
    describe_exit,
    run_program,
)
from badc_core.detectors.windows import require_partial_overlap
from badc_core.errors import ConfigInvalid, DetectorFailed, DetectorMissing
from badc_core.hashing import sha256_text, sha256_unchanged
from badc_core.validation import explain_invalid

USES_GPU = True
HEARS_AT_ONCE_S = LONGEST_WHOLE_S
LABELS_FILE = "HawkEars_labels.csv"
RARITIES_FILE = "HawkEars_rarities.csv"

WINDOW_S = 3.0
LICENCE = "MIT"
_VERSION_LENGTH = 8
_CHECKPOINTS = "data/ckpt/*.ckpt"
_REMEDY = (
    "Set detector.runtime in badc.toml to the folder of a HawkEars 1 checkout, one that holds "
    "analyze.py and data/ckpt"
)
_FAILED = re.compile(
    r"Traceback \(most recent call last\)|\b\w*(Error|Exception)\b|\bERROR\b"
    r"|ffmpeg error|[Cc]aught exception|No module named"
)
"""What its log says where a file or a thread failed; its exit code does not show it."""


class HawkEars1(ProgramPerChunk):
    """The checkout, its program started once for every chunk."""

    def __init__(self, settings: DetectorSettings) -> None:
        """Finds the checkout; raises ConfigInvalid or DetectorMissing."""
        super().__init__()
        self.identity = identify(settings)
        self._settings = settings
        self._runtime = _runtime(settings)
        self._python = _python(self._runtime)

    def _run(self, batch: ChunkFile) -> list[Detection]:
        output = batch.output
        place = build_place_arguments(self._settings, batch.recording_context)
        ended = run_program(self._command(batch.path, output, place), cwd=self._runtime)
        self._report = ended.report()
        _check_ended(ended, batch, output)
        found = read_tables(output, batch.chunk, has_place=bool(place))
        if not found and _FAILED.search(f"{ended.stdout}\n{ended.stderr}"):
            raise _failure(ended, batch, "HawkEars found nothing and its log reports an error")
        kept = (one for one in found if one.confidence >= round(self._settings.min_score, 3))
        return place_detections(batch.chunk, kept)

    def _command(self, chunk_file: Path, output: Path, place: list[str]) -> list[str]:
        """Returns the command line, in long flags: `-m` and `-r` changed meaning over time."""
        settings = self._settings
        overlap = ["--overlap", f"{settings.window_overlap_s:g}"] * bool(settings.window_overlap_s)
        return [
            self._python,
            str(self._runtime / "analyze.py"),
            *("--input", str(chunk_file.absolute())),
            *("--output", str(output.absolute())),
            *("--rtype", "csv", "--merge", "0"),
            *("--min_score", f"{settings.min_score:g}"),
            *overlap,
            *place,
            *settings.hawkears.arguments,
        ]


def build_place_arguments(
    settings: DetectorSettings, recording_context: RecordingContext
) -> list[str]:
    """Returns the flags for place and date; none where the place is unknown or not to be used.

    A recording's own place is used before the region in the settings.
    """
    if not settings.hawkears.use_occurrence:
        return []
    if recording_context.latitude is not None and recording_context.longitude is not None:
        where = [
            "--lat",
            f"{recording_context.latitude:.6f}",
            "--lon",
            f"{recording_context.longitude:.6f}",
        ]
    elif settings.hawkears.region:
        where = ["--region", settings.hawkears.region]
    else:
        return []
    when = ["--date", recording_context.date.replace("-", "")] if recording_context.date else []
    return [*where, *when]


def identify(settings: DetectorSettings) -> DetectorIdentity:
    """Returns the identity of the program and its networks.

    Only a run shows the real version, so the version here is a hash of analyze.py.

    Raises:
        ConfigInvalid: the runtime is a relative path, or windows would overlap entirely.
        DetectorMissing: no checkout there, or no networks or no python in it.
    """
    require_partial_overlap(settings.window_overlap_s, WINDOW_S, "HawkEars")
    runtime = _runtime(settings)
    _python(runtime)
    program = sha256_unchanged(runtime / "analyze.py")[:_VERSION_LENGTH]
    networks = "\n".join(
        f"{path.name} {path.stat().st_size} {sha256_unchanged(path)}"
        for path in _checkpoints(runtime)
    )
    return DetectorIdentity(
        "hawkears1",
        f"1.x ({program})",
        sha256_text(networks),
        LICENCE,
        WINDOW_S,
        uses_gpu=USES_GPU,
    )


load = HawkEars1
"""What the entry point calls."""


def _runtime(settings: DetectorSettings) -> Path:
    if not settings.runtime:
        raise DetectorMissing("detector.runtime is not set", "hawkears1", _REMEDY)
    runtime = expand_home(settings.runtime)
    if not runtime.is_absolute():
        raise ConfigInvalid(f"{settings.runtime!r} is a relative path", "detector.runtime", _REMEDY)
    if not (runtime / "analyze.py").is_file():
        raise DetectorMissing("there is no analyze.py in it", runtime, _REMEDY)
    return runtime


def _checkpoints(runtime: Path) -> list[Path]:
    found = sorted(runtime.glob(_CHECKPOINTS))
    if not found:
        raise DetectorMissing(f"there are no networks ({_CHECKPOINTS}) in it", runtime, _REMEDY)
    for path in found:
        if not path.is_file():
            raise DetectorMissing(
                "the network's content is not here", path, "Run: datalad get FILE, or download it"
            )
    return found


def _python(runtime: Path) -> str:
    """Returns the checkout's own interpreter, or else the one on the search path."""
    own = runtime / ".venv" / "bin" / "python"
    found = str(own) if own.is_file() else shutil.which("python3")
    if found is None:
        raise DetectorMissing(
            f"there is neither {own} nor a python3 on the search path",
            runtime,
            "Make an environment in .venv there with HawkEars' requirements",
        )
    return found


def _check_ended(ended: CompletedProgram, batch: ChunkFile, output: Path) -> None:
    """Raises if HawkEars failed; it ends with exit code 0 after most of its errors."""
    if ended.returncode != 0:
        raise _failure(ended, batch, f"HawkEars ended with {describe_exit(ended.returncode)}")
    if not (output / LABELS_FILE).is_file():
        raise _failure(ended, batch, f"HawkEars wrote no {LABELS_FILE}")


def _failure(ended: CompletedProgram, batch: ChunkFile, what: str) -> Exception:
    return ended.failure(
        what,
        batch.chunk.chunk_id,
        "Run analyze.py by hand on a WAV file; where it does not know the place, set "
        "detector.hawkears.use_occurrence = false",
    )


class _Row(BaseModel):
    """A detection; an end past the file's is a padded window's."""

    model_config = ConfigDict(allow_inf_nan=False)

    start_time: Annotated[float, Field(ge=0)]
    end_time: Annotated[float, Field(ge=0)]
    class_name: Annotated[str, Field(min_length=1)]
    class_code: str
    score: Annotated[float, Field(ge=0, le=1)]


def read_tables(folder: Path, chunk: Chunk, *, has_place: bool) -> list[FoundInFile]:
    """Returns the rows of both tables.

    Args:
        folder: where HawkEars wrote them.
        chunk: what it was given.
        has_place: whether it was given a place; then rows say whether they are expected there.

    Raises:
        DetectorFailed: a table has other columns, or a value outside its limits.
    """
    found = _read(folder / LABELS_FILE, chunk, is_expected=True if has_place else None)
    if (folder / RARITIES_FILE).is_file():
        found += _read(folder / RARITIES_FILE, chunk, is_expected=False)
    return found


def _read(path: Path, chunk: Chunk, *, is_expected: bool | None) -> list[FoundInFile]:
    found = []
    try:
        for line, cells in read_rows(path, ("filename", *_Row.model_fields)):
            try:
                row = _Row.model_validate(cells)
            except ValidationError as error:
                raise _unusable(path, chunk, f"line {line}: {explain_invalid(error)}") from error
            if row.start_time > chunk.duration_s or row.end_time < row.start_time:
                raise _unusable(path, chunk, f"line {line}: a detection outside the chunk")
            label = Label(row.class_name, row.class_code)
            found.append(FoundInFile(row.start_time, row.end_time, label, row.score, is_expected))
    except TableInvalid as error:
        raise _unusable(path, chunk, str(error)) from error
    return found


def _unusable(path: Path, chunk: Chunk, what: str) -> DetectorFailed:
    return DetectorFailed(
        f"{path.name}: {what}", chunk.chunk_id, "Is detector.runtime really HawkEars 1?"
    )
