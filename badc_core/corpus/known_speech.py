"""Where people speak in recordings, as read when the corpus was last made.

Of 100,000 recordings, only files that have changed are read again. What was read is in the work
folder: it is known on this machine only.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from badc_core.atomic import replacing
from badc_core.columns import write_parquet
from badc_core.datasets.dataset import Dataset
from badc_core.datasets.work_folder import prepare_work_file
from badc_core.provenance.annex import fetch
from badc_core.speech.segments import SpeechSegment
from badc_core.speech.stored import Segments, muting_mark, read_speech

_SEGMENT = pa.struct(
    [("start_ms", pa.int64()), ("end_ms", pa.int64()), ("probability", pa.float64())]
)
_KNOWN = pa.schema(
    [("recording_id", pa.string()), ("state", pa.string()), ("segments", pa.list_(_SEGMENT))]
)

_Known = dict[str, tuple[str, Segments]]
"""recording_id -> state of its file when that was read, and its content."""


def read_changed_speech(dataset: Dataset, sums: Mapping[str, str]) -> dict[str, Segments | None]:
    """Returns where people speak in recordings, as `read_speech` does; fetches files.

    Args:
        dataset: the recordings'.
        sums: recording_id -> SHA-256 of its file.

    Raises:
        StorageFull, OutputUnwritable: what was read cannot be noted.
    """
    before, mark = _read(dataset), muting_mark()

    def look_at(one: str) -> str:
        return f"{mark} {sums[one]} {_look_at(dataset.speech(one))}"

    states = {one: look_at(one) for one in sums}
    due = [one for one in sums if one not in before or before[one][0] != states[one]]
    fetch(dataset.speech(one) for one in due)
    found: dict[str, Segments | None] = {one: its for one, (_, its) in before.items()}
    for one in due:
        states[one] = look_at(one)
        found[one] = read_speech(dataset, one, sums[one])
    found = {one: found[one] for one in sums}
    known = {one: (states[one], its) for one, its in found.items() if its is not None}
    if known != before:
        _write(dataset, known)
    return found


def _look_at(path: Path) -> str:
    """Returns size and time of a file, which change if it does; empty if it is not here."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return ""
    return f"{status.st_size}.{status.st_mtime_ns}"


def _read(dataset: Dataset) -> _Known:
    try:
        table = pq.read_table(_path(dataset)).cast(_KNOWN)
    except (OSError, pa.ArrowException, ValueError):
        return {}
    columns = (table[one].to_pylist() for one in _KNOWN.names)
    return {
        one: (state, tuple(SpeechSegment(**its) for its in segments))
        for one, state, segments in zip(*columns, strict=True)
    }


def _write(dataset: Dataset, known: _Known) -> None:
    rows = [
        {"recording_id": one, "state": state, "segments": [its._asdict() for its in segments]}
        for one, (state, segments) in known.items()
    ]
    path = _path(dataset)
    prepare_work_file(dataset.work_folder, path)
    with replacing(path) as aside:
        write_parquet(pa.Table.from_pylist(rows, schema=_KNOWN), aside)


def _path(dataset: Dataset) -> Path:
    return dataset.work_folder / "corpus_speech.parquet"
