"""What this machine remembers of the exports it wrote, so that the next one costs what is new.

It is a file in the folder of work in progress, and may be lost: then everything is written aside
again, and compared. It counts only as long as the export's `provenance.json` is the one it is
about.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeAlias

from pydantic import TypeAdapter, ValidationError

from badc_core.atomic import write_text
from badc_core.datasets.dataset import Dataset
from badc_core.datasets.work_folder import prepare_work_file
from badc_core.errors import OutputUnwritable, StorageFull
from badc_core.hashing import sha256_bytes

Stamp: TypeAlias = tuple[int, int]
"""Size in bytes, and time of the last change in ns since 1970."""

Tally: TypeAlias = tuple[int, int]
"""Detections, and milliseconds analysed."""


@dataclass(frozen=True)
class Remembered:
    """What is remembered of an export.

    Attributes:
        provenance: SHA-256 of its `provenance.json`.
        common: digest of what decides all its files.
        recordings: recording_id -> digest of what decides its file, and its tally.
        stamps: name of a file -> its stamp right after it was written.
    """

    provenance: str = ""
    common: str = ""
    recordings: Mapping[str, tuple[str, Tally]] = field(default_factory=dict)
    stamps: Mapping[str, Stamp] = field(default_factory=dict)


_FILE = TypeAdapter(Remembered)


def memory_path(dataset: Dataset, place: Path) -> Path:
    """Returns the path of what is remembered of the export in a folder."""
    return dataset.work_folder / "exports" / f"{sha256_bytes(str(place).encode())[:16]}.json"


def read_remembered(path: Path, provenance: str) -> Remembered:
    """Returns what is remembered of the export with this `provenance.json`; maybe nothing."""
    with suppress(OSError, ValidationError):
        found = _FILE.validate_json(path.read_bytes())
        if found.provenance == provenance:
            return found
    return Remembered()


def remember(dataset: Dataset, path: Path, now: Remembered) -> None:
    """Writes down what is to be remembered, where the dataset may be written to."""
    with suppress(OutputUnwritable, StorageFull):
        prepare_work_file(dataset.work_folder, path)
        write_text(path, json.dumps(asdict(now)), can_be_made_again=True)


def stamp_of(path: Path) -> Stamp:
    """Returns the stamp of a file."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def stamp_if_there(path: Path) -> Stamp | None:
    """Returns the stamp of a file; None where there is none, or its content is elsewhere."""
    with suppress(FileNotFoundError):
        return stamp_of(path)
    return None
