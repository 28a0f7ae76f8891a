"""How far the writing of a recording's chunk files has come: `.chunk_status.json` beside them.

For people and programs that look at the folder; the asset graph has its own memory. Writing the
chunks is in `writer.py`, comparing them with their manifest in `validate.py`.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

from badc_core.annexed_files import require_fetched
from badc_core.atomic import write_text
from badc_core.errors import BadcError, ContentMissing, ManifestMismatch, StorageFull
from badc_core.validation import explain_invalid

STATUS_FILE = ".chunk_status.json"

State: TypeAlias = Literal["in_progress", "completed", "failed"]


class ChunkStatus(BaseModel):
    """The state of a folder of chunk files.

    Attributes:
        audio_path, chunk_output_dir, manifest_path: relative to the dataset, or absolute.
        chunk_duration, overlap: seconds, as asked for.
        status: `in_progress` of a process that is gone means the same as `failed`.
        updated_at, started_at, completed_at: UTC, ISO 8601.
        manifest_rows: chunks in the manifest, once it is written.
        duration_s: length of the recording.
        error: why it failed.
        min_chunk: a shorter tail was merged into the chunk before, seconds.
        n_samples: length of the recording per channel.
        fingerprint: of the recording's file, so that a changed one is noticed.
    """

    model_config = ConfigDict(frozen=True)

    recording_id: str
    audio_path: str
    chunk_output_dir: str
    manifest_path: str
    chunk_duration: float
    overlap: float
    updated_at: str
    status: State
    started_at: str | None = None
    completed_at: str | None = None
    manifest_rows: int | None = None
    duration_s: float | None = None
    error: str | None = None
    min_chunk: float | None = None
    n_samples: int | None = None
    fingerprint: str | None = None

    def complete(self, manifest_rows: int, n_samples: int, sample_rate_hz: int) -> Self:
        """Returns the status of chunks and manifest that are all written."""
        now = utc_now()
        return self.model_copy(
            update={
                "status": "completed",
                "updated_at": now,
                "completed_at": now,
                "manifest_rows": manifest_rows,
                "duration_s": n_samples / sample_rate_hz,
                "n_samples": n_samples,
                "error": None,
            }
        )

    def fail(self, error: str) -> Self:
        """Returns the status of chunks that cannot be used."""
        changed = {"status": "failed", "updated_at": utc_now(), "completed_at": None}
        return self.model_copy(update={**changed, "error": error})

    def write(self, folder: Path) -> None:
        """Replaces the status of a folder.

        Raises:
            StorageFull: the disk or a quota is full.
        """
        content = self.model_dump(exclude=set() if self.status == "failed" else {"error"})
        write_text(folder / STATUS_FILE, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_status(folder: Path) -> ChunkStatus | None:
    """Returns the status of a folder, whichever version of BADC wrote it; None without one.

    Raises:
        ManifestMismatch: the file is there but is not a status.
        ContentMissing: it is annexed, and its content is not here.
    """
    path = folder / STATUS_FILE
    require_fetched(path)
    try:
        return ChunkStatus.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        what = f"not a chunk status ({explain_invalid(error)})"
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
    raise ManifestMismatch(what, path, "Run: badc chunk run FILE, which writes it again")


def name_status(folder: Path) -> str | None:
    """Returns the state of a folder; `malformed` if its file is not a status, None without one.

    `not here` where its file is annexed, and its content elsewhere.
    """
    try:
        status = read_status(folder)
    except ManifestMismatch:
        return "malformed"
    except ContentMissing:
        return "not here"
    return None if status is None else status.status


def utc_now() -> str:
    """Returns the time in UTC as ISO 8601."""
    return datetime.now(UTC).isoformat()


@contextmanager
def record_failure(begun: ChunkStatus, folder: Path) -> Iterator[None]:
    """Writes into the status why the block failed, and raises the error again."""
    try:
        yield
    except BaseException as error:
        text = str(error) if isinstance(error, BadcError) else f"{type(error).__name__}: {error}"
        with suppress(StorageFull, OSError):
            begun.fail(text.removesuffix(": ")).write(folder)
        raise
