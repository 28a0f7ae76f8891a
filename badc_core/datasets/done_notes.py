"""Notes about recordings that commands have worked on by hand, for the asset graph to show.

`badc chunk` and `badc infer` need no Dagster home, and may run on a node that reaches none. So they
leave a note for each recording that they finished or failed, in `.badc/done` of the dataset;
`badc_dagster/done_notes.py` turns notes into events and removes them. Every note is a file of its
own: lines that several nodes add to one file over a network get lost.
"""

import logging
import os
import shlex
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from badc_core.accounts import user_name
from badc_core.atomic import write_text
from badc_core.datasets.work_folder import WORK_FOLDER, prepare_work_file
from badc_core.errors import BadcError, DatasetInvalid
from badc_core.jobs.environment import read_secrets
from badc_core.validation import explain_invalid

_log = logging.getLogger(__name__)
_ENDING, _CLAIMED = ".json", ".claimed"
_UNREGISTERED = "unregistered"
_warned_of: set[Path] = set()


class _DoneNote(BaseModel):
    """What all notes have.

    Attributes:
        recording_id: which recording.
        started_at, finished_at: UTC.
        command: as it was typed, behind a `cd` to the folder it was typed in.
        user, host: who typed it, and on which machine.
        slurm_job: that it ran in, such as `17_3`; empty for none.
        error: why the recording failed; empty if it did not.
        folder, manifest: paths relative to the dataset, or absolute.
    """

    model_config = ConfigDict(frozen=True)

    recording_id: str
    started_at: datetime
    finished_at: datetime
    command: str
    user: str
    host: str
    slurm_job: str
    error: str
    folder: str
    manifest: str


class ChunkNote(_DoneNote):
    """A recording's chunks were written as files.

    Attributes:
        chunks: of the recording; 0 where nobody came to know.
        written: by this command; the others were there.
        chunk_length_s, overlap_s: as asked for.
    """

    kind: Literal["chunk_files"] = "chunk_files"
    chunks: int
    written: int
    chunk_length_s: float
    overlap_s: float


class DetectionNote(_DoneNote):
    """A detector ran on a recording's chunks.

    Attributes:
        chunks: of the recording.
        failed: of these, without a result.
        skipped: of these, with a result from before.
        detections: kept, of all chunks.
        audio_s: sound analysed by this command.
        detector_s: that workers needed for it.
        wall_s: from the first chunk to the last; other recordings were in work too.
        detector: its name.
        detector_version: of its model or rule.
        model_sha256: of the model file; None for a detector without one.
        config_hash: of the settings, as files of chunks have it.
        telemetry: path of the log.
        is_stub: whether no model ran.
    """

    kind: Literal["chunk_detections"] = "chunk_detections"
    chunks: int
    failed: int
    skipped: int
    detections: int
    audio_s: float
    detector_s: float
    wall_s: float
    detector: str
    detector_version: str
    model_sha256: str | None
    config_hash: str
    telemetry: str
    is_stub: bool


DoneNote: TypeAlias = ChunkNote | DetectionNote
_NOTE: TypeAdapter[DoneNote] = TypeAdapter(Annotated[DoneNote, Field(discriminator="kind")])


def notes_folder(root: Path) -> Path:
    """Returns the folder of a dataset's notes.

    It is in the dataset wherever work in progress is: that may be a disk of the node alone.
    """
    return root / WORK_FOLDER / "done"


def describe_command() -> dict[str, Any]:
    """Returns what notes say of the command that runs: what was typed, who by, and where."""
    return {
        "command": _typed(sys.argv),
        "user": user_name(),
        "host": os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
        "slurm_job": _slurm_job(os.environ),
    }


def leave_note(root: Path, note: DoneNote) -> None:
    """Writes a note; if that is impossible, a warning says so, once, and the work goes on.

    Args:
        root: of the dataset.
        note: about one of its recordings.
    """
    folder = notes_folder(root)
    # Names are in the order of time.
    name = f"{note.finished_at:%Y%m%dT%H%M%S%f}-{os.urandom(4).hex()}{_ENDING}"
    try:
        path = prepare_work_file(folder.parent, folder / name)
        write_text(path, note.model_dump_json() + "\n")
    except (BadcError, OSError, ValueError) as error:
        if root not in _warned_of:
            _log.warning("what is done here will not show in the web interface: %s", error)
        _warned_of.add(root)


def list_notes(root: Path, *, with_unregistered: bool = True) -> list[Path]:
    """Returns the files of a dataset's notes, the oldest first.

    Args:
        root: of the dataset.
        with_unregistered: whether those are among them that were put aside, since the registry did
            not have their recordings.

    Raises:
        OSError: their folder cannot be read.
    """
    folder = notes_folder(root)
    folders = (folder, folder / _UNREGISTERED) if with_unregistered else (folder,)
    notes = [
        one / name
        for one in folders
        for name in _names(one)
        if name.endswith((_ENDING, _CLAIMED)) and not name.startswith(".")
    ]
    return sorted(notes, key=lambda note: note.name)


def claim_note(path: Path) -> Path:
    """Renames a note that is about to be shown: one that could not be removed would be for ever.

    Raises:
        OSError: this user may not.
    """
    return path.rename(path.with_suffix(_CLAIMED))


def put_aside_unregistered(path: Path) -> None:
    """Puts a note where only those look who look at all of them.

    Raises:
        OSError: this user may not.
    """
    folder = path.parent / _UNREGISTERED
    if path.parent.name != _UNREGISTERED:
        folder.mkdir(exist_ok=True)
        path.rename(folder / path.name)


def read_note(path: Path) -> DoneNote:
    """Returns a note.

    Raises:
        OSError: the file cannot be read.
        DatasetInvalid: it is no note.
    """
    try:
        return _NOTE.validate_json(path.read_bytes())
    except ValidationError as error:
        what = f"not a note of work by hand ({explain_invalid(error)})"
        raise DatasetInvalid(what, path) from error


def may_remove_notes(root: Path) -> bool:
    """Returns whether this user may remove the notes of a dataset, or rename them."""
    is_effective = os.access in os.supports_effective_ids
    return os.access(notes_folder(root), os.W_OK | os.X_OK, effective_ids=is_effective)


def mark_unreadable(path: Path) -> None:
    """Renames a file that is no note, so that nobody takes it for one again."""
    path.rename(path.with_name(f"{path.name}.unreadable"))


def mention(root: Path, path: Path) -> str:
    """Returns a path as notes name it: relative to the dataset where it is in there."""
    absolute = path.absolute()
    inside = absolute.relative_to(root) if absolute.is_relative_to(root) else absolute
    return _printable(inside.as_posix())


def now_utc() -> datetime:
    """Returns the time in UTC."""
    return datetime.now(UTC)


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []


def _typed(words: list[str]) -> str:
    if Path(words[0]).stem != "badc":
        return "Python (badc_core.api)"
    command = read_secrets().mask_command(["badc", *words[1:]])
    with suppress(OSError):  # the folder may be gone
        command = f"cd {shlex.quote(str(Path.cwd()))} && {command}"
    return _printable(command)


def _slurm_job(environment: Mapping[str, str]) -> str:
    array = environment.get("SLURM_ARRAY_JOB_ID")
    if array:
        return f"{array}_{environment.get('SLURM_ARRAY_TASK_ID', '')}"
    return environment.get("SLURM_JOB_ID", "")


def _printable(text: str) -> str:
    """Returns a text that JSON can have: names of files need not be UTF-8."""
    return os.fsencode(text).decode(errors="replace")
