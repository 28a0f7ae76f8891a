"""Times of contents that are here with another time than the table of recordings has.

The table keeps the time of whoever saw a content first. In a clone or a copy, and wherever a
content was fetched again, the same content has another; written into the table, which is shared, it
would be a difference between clones. So it is kept in the work folder, and lost without harm.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from badc_core.datasets.dataset import Dataset
from badc_core.datasets.work_folder import prepare_work_file
from badc_core.errors import DatasetInvalid
from badc_core.recordings.registered import RegisteredRecording, read_table, write_table


def read_seen_times(
    dataset: Dataset, known: Mapping[str, RegisteredRecording]
) -> dict[str, RegisteredRecording]:
    """Returns rows as they were last seen here, by path; only those that differ in their time.

    Args:
        dataset: that they are in.
        known: the rows of the table, by path.
    """
    rows: list[RegisteredRecording] = []
    with suppress(DatasetInvalid):  # a damaged file costs looking at the contents again
        rows = read_table(_path(dataset), None)
    return {row.path: row for row in rows if _is_same_content(known.get(row.path), row)}


def keep_times(
    dataset: Dataset,
    earlier: Mapping[str, RegisteredRecording],
    before: Mapping[str, RegisteredRecording],
    rows: dict[str, RegisteredRecording],
) -> None:
    """Puts rows of which only the time has changed back, and writes their times down.

    Args:
        dataset: that they are in.
        earlier: what `read_seen_times` returned.
        before: the rows of the table, by recording_id.
        rows: the same as they were seen now.
    """
    seen: dict[str, RegisteredRecording] = {}
    for recording_id, row in rows.items():
        known = before.get(recording_id)
        if known != row and known is not None and _is_same_content(known, row):
            rows[recording_id] = known
            seen[row.path] = row
    if seen != earlier:
        path = prepare_work_file(dataset.work_folder, _path(dataset))
        write_table(path, list(seen.values()))


def _path(dataset: Dataset) -> Path:
    return dataset.work_folder / "seen.csv"


def _is_same_content(known: RegisteredRecording | None, row: RegisteredRecording) -> bool:
    return (
        known is not None
        and row.fingerprint is not None
        and replace(row, modified_ns=known.modified_ns) == known
    )
