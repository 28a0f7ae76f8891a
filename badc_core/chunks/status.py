"""How far the writing of a recording's chunk files has come: `.chunk_status.json` beside them.

For people and programs that look at the folder; the asset graph has its own memory. Writing the
chunks is in `writer.py`, comparing them with their manifest in `validate.py`.
"""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, get_args

from badc_core.atomic import write_text
from badc_core.errors import BadcError, ManifestMismatch, StorageFull

STATUS_FILE = ".chunk_status.json"

State: TypeAlias = Literal["in_progress", "completed", "failed"]


@dataclass(frozen=True)
class ChunkStatus:
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
        return replace(
            self,
            status="completed",
            updated_at=now,
            completed_at=now,
            manifest_rows=manifest_rows,
            duration_s=n_samples / sample_rate_hz,
            n_samples=n_samples,
            error=None,
        )

    def fail(self, error: str) -> Self:
        """Returns the status of chunks that cannot be used."""
        return replace(self, status="failed", updated_at=utc_now(), completed_at=None, error=error)

    def write(self, folder: Path) -> None:
        """Replaces the status of a folder.

        Raises:
            StorageFull: the disk or a quota is full.
        """
        content = dataclasses.asdict(self)
        if self.status != "failed":
            del content["error"]
        write_text(folder / STATUS_FILE, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_status(folder: Path) -> ChunkStatus | None:
    """Returns the status of a folder, whichever version of BADC wrote it; None without one.

    Raises:
        ManifestMismatch: the file is there and is no status.
    """
    path = folder / STATUS_FILE
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known = {one.name for one in dataclasses.fields(ChunkStatus)}
        status = ChunkStatus(**{name: content[name] for name in known & set(content)})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise _malformed(path, error) from error
    if status.status not in get_args(State):
        raise _malformed(path, ValueError(f"status is {status.status!r}"))
    return status


def name_status(folder: Path) -> str | None:
    """Returns the state of a folder; `malformed` if its file is no status, None without one."""
    try:
        status = read_status(folder)
    except ManifestMismatch:
        return "malformed"
    return None if status is None else status.status


def utc_now() -> str:
    """Returns the time in UTC as ISO 8601."""
    return datetime.now(UTC).isoformat()


@contextmanager
def noting_failure(begun: ChunkStatus, folder: Path) -> Iterator[None]:
    """Writes into the status why the block failed, before the error goes on."""
    try:
        yield
    except BaseException as error:
        text = str(error) if isinstance(error, BadcError) else f"{type(error).__name__}: {error}"
        with suppress(StorageFull, OSError):
            begun.fail(text.removesuffix(": ")).write(folder)
        raise


def _malformed(path: Path, error: Exception) -> ManifestMismatch:
    return ManifestMismatch(
        f"not a chunk status ({error})", path, "Run: badc chunk run FILE, which writes it anew"
    )
