"""What a stage's process said of itself, if it uses `StageManifest`: it goes into our record of it.

The process and its runner write the same file, one after the other.
"""

import os
import socket
from collections.abc import Collection
from pathlib import Path
from typing import Any

from badc_core.csv_tables import TableInvalid
from badc_core.errors import StageFailed
from badc_core.jobs import StageManifest
from badc_core.jobs.manifest_files import read_record
from badc_core.jobs.outputs import hash_folder, read_table


def read_own_record(folder: Path, stage: str) -> dict[str, Any]:
    """Returns the record that a stage's process wrote; empty if it wrote none.

    Args:
        folder: of the job.
        stage: its name; our record of it must have been written before its process began.
    """
    record = read_record(folder, stage)
    by = record.get("ran_by") or {}
    is_ours = by.get("pid") == os.getpid() and by.get("host") == socket.gethostname()
    return {} if is_ours else record


def adopt_record(own: dict[str, Any], record: StageManifest, but_not: Collection[str]) -> None:
    """Adds what a stage's process said of itself to our record of it.

    Args:
        own: its record.
        record: ours.
        but_not: metadata that is ours to say.

    Raises:
        StageFailed: a table of its outputs is damaged.
        StorageFull, OutputUnwritable: that table cannot be written.
    """
    for key, value in own.get("metadata", {}).items():
        if key not in but_not:
            record.add_metadata(key, value)
    for warning in own.get("warnings", []):
        record.add_warning(str(warning))
    for read in own.get("input_files", []):
        record.add_input(read["key"], Path(read["path"]), read["description"], read["sha256"])
    for key, written in own.get("outputs", {}).items():
        path, description = Path(written["path"]), written.get("description", "")
        if "n_files" in written:
            rows = _read_rows(path)
            record.add_output_table(key, rows, description, rows)
        else:
            record.add_output(key, path, description, written.get("sha256") or hash_folder(path))


def _read_rows(table: Path) -> dict[Path, str]:
    """Returns file -> SHA-256 of a table of outputs."""
    try:
        return {Path(row["path"]): row["sha256"] for row in read_table(table)}
    except TableInvalid as error:
        raise StageFailed(f"the table of its outputs is damaged: {error}", table) from error
