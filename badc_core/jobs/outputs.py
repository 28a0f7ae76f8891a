"""What a manifest says of the files that a stage read and wrote.

An output has its size and SHA-256, so that a later run can tell whether it still is what the stage
wrote. An input, which may be a whole archive of recordings, has size and time of its last change.
Hundreds of outputs are rows of a table beside the manifest, which is an output itself.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from badc_core.atomic import replacing
from badc_core.csv_tables import TableInvalid, as_written, write_rows
from badc_core.file_names import absolute
from badc_core.hashing import digest_json, sha256_file, sha256_unchanged
from badc_core.secret_values import Secrets

_COLUMNS = ("path", "size_bytes", "sha256")


@dataclass(frozen=True)
class FileState:
    """A file at one moment.

    Attributes:
        exists: it is there; folders too.
        size_bytes: 0 if it is not there, or is a folder.
        modified_at: UTC; None if it is not there.
        version: changes when the file does.
    """

    exists: bool
    size_bytes: int
    modified_at: str | None
    version: tuple[int, int] | None

    @classmethod
    def read(cls, path: Path) -> "FileState":
        """Returns the state of a file; one that may not be seen is not there."""
        try:
            status = path.stat()
        except (OSError, ValueError):  # a name with a NUL
            return cls(exists=False, size_bytes=0, modified_at=None, version=None)
        is_file = path.is_file()
        modified_at = datetime.fromtimestamp(status.st_mtime, UTC).isoformat()
        version = (status.st_size, status.st_mtime_ns) if is_file else None
        return cls(True, status.st_size if is_file else 0, modified_at, version)


class StageOutput:
    """A file that a stage wrote.

    Args:
        path: the file, or a folder, which has a checksum only if the caller knows it.
        description: for people.
        sha256: of the file as it is now, if the caller knows it.
        details: more to say of it.
    """

    def __init__(
        self,
        path: Path,
        description: str,
        sha256: str | None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self._path = absolute(Path(path))
        self._description = description
        self._details = details or {}
        self._state = FileState.read(self._path)
        self._sha256 = sha256 or _hash(self._path, self._state)

    def renew(self) -> None:
        """Reads the file again if it has changed."""
        state = FileState.read(self._path)
        if state != self._state:
            self._state, self._sha256 = state, _hash(self._path, state)

    @property
    def exists(self) -> bool:
        """Whether the file is there."""
        return self._state.exists

    def describe(self, secrets: Secrets) -> dict[str, Any]:
        """Returns what the manifest says of it."""
        return {
            "path": secrets.mask_path(str(self._path)),
            "exists": self._state.exists,
            "size_bytes": self._state.size_bytes,
            "sha256": self._sha256,
            "description": secrets.mask_text(self._description),
            **self._details,
        }


def describe_input(
    key: str, path: Path, description: str, sha256: str | None, secrets: Secrets
) -> dict[str, Any]:
    """Returns what a manifest says of a file that a stage read."""
    state = FileState.read(Path(path))
    return {
        "key": secrets.mask_text(key),
        "path": secrets.mask_path(str(absolute(Path(path)))),
        "exists": state.exists,
        "size_bytes": state.size_bytes,
        "modified_at": state.modified_at,
        "sha256": sha256,
        "description": secrets.mask_text(description),
    }


def write_table(
    table: Path, paths: Iterable[Path], known: Mapping[Path, str], secrets: Secrets
) -> dict[str, int]:
    """Writes a table with a row for each output; returns their number and size.

    Raises:
        StorageFull, OutputUnwritable: it cannot be written.
    """
    states = [(path, FileState.read(path)) for path in paths]
    rows = [
        (
            secrets.mask_path(str(absolute(path))),
            state.size_bytes if state.exists else "",
            known.get(path) or _hash(path, state) or "",
        )
        for path, state in states
    ]
    with (
        replacing(table) as aside,
        aside.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        write_rows(file, _COLUMNS, rows)
    return {"n_files": len(rows), "total_bytes": sum(state.size_bytes for _, state in states)}


def read_table(table: Path) -> Iterator[dict[str, Any]]:
    """Yields each output of a table as a manifest would have it.

    Raises:
        TableInvalid: it is not such a table.
    """
    try:
        with table.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = csv.reader(file, strict=True)
            if tuple(next(rows, ())) != _COLUMNS:
                raise TableInvalid("it is not a table of outputs")
            for path, size_bytes, sha256 in map(as_written, rows):
                exists = size_bytes != ""
                size = int(size_bytes or 0)
                yield {"path": path, "exists": exists, "size_bytes": size, "sha256": sha256}
    except (OSError, ValueError, csv.Error) as error:
        raise TableInvalid(f"it cannot be read ({error})") from error


def explain_difference(path: Path, written: Mapping[str, Any], *, in_full: bool) -> str:
    """Returns why a file is not what a stage wrote; empty if it is.

    Args:
        path: where it is now.
        written: what the manifest says of it.
        in_full: also compare its checksum.
    """
    state = FileState.read(path)
    if not state.exists:
        return f"{path} is gone" if written.get("exists") else f"{path} was never written"
    if state.version is not None and state.size_bytes != written.get("size_bytes"):
        return f"{path} has another size"
    sha256 = written.get("sha256")
    if in_full and sha256:
        with suppress(OSError):
            found = hash_folder(path) or sha256_file(path)
            return "" if found == sha256 else f"{path} has another content"
        return f"{path} cannot be read"
    return ""


def hash_file(path: Path) -> str | None:
    """Returns the SHA-256 of a file, read once while it stays as it is; None for a folder.

    It is also None for what cannot be read.
    """
    return _hash(path, FileState.read(path))


def hash_folder(path: Path) -> str | None:
    """Returns a digest of the names and contents of all files in a folder.

    It is None for a file, and if one in the folder cannot be read.
    """
    if not path.is_dir():
        return None
    with suppress(OSError):
        files = sorted(one for one in path.rglob("*") if one.is_file())
        return digest_json([[str(one.relative_to(path)), sha256_file(one)] for one in files])
    return None


def _hash(path: Path, state: FileState) -> str | None:
    """Returns the SHA-256 of a file; None for a folder and what cannot be read."""
    if state.version is None:
        return None
    with suppress(OSError):
        return sha256_unchanged(path)
    return None
