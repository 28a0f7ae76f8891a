"""The recordings' own files that a corpus is made from, and how they were when it was made.

How they were is in the work folder: it is known on this machine only, and without it the corpus is
made again of all files.
"""

import os
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from badc_core.atomic import replacing
from badc_core.columns import write_parquet
from badc_core.datasets.dataset import Dataset
from badc_core.datasets.work_folder import prepare_work_file

SEEN = pa.schema(
    [
        ("recording_id", pa.string()),
        ("folder", pa.string()),
        ("digest", pa.dictionary(pa.int32(), pa.string())),
        ("state", pa.string()),
    ]
)
"""The table of the recordings in a corpus.

It has the folder of each one's part, the digest of the part's rows with the recording in them, and
the state of the recording's files when they were read.
"""

_STATES = pa.schema([SEEN.field("recording_id"), SEEN.field("state")])
_UNKNOWN = -1
_LATEST_NS = 2**63 - 1


@dataclass
class FoundFiles:
    """What there is of recordings.

    Attributes:
        states: table of `recording_id` and `state`: sizes and times of its files, which change if
            a file does.
        absent: recording_id -> the first stage without its file.
    """

    states: pa.Table
    absent: dict[str, str]


def made_from(dataset: Dataset, recording_id: str) -> dict[str, Path]:
    """Returns name -> file of a recording that the corpus is made from."""
    return {
        "recording": dataset.recording(recording_id),
        "detections": dataset.detections(recording_id),
        "effort": dataset.effort(recording_id),
    }


def look_at_files(dataset: Dataset, recording_ids: Iterable[str]) -> FoundFiles:
    """Returns what there is of recordings, without reading anything."""
    # Of three for each of 100,000 recordings, Path objects would cost more than looking at them.
    places = [
        (stage, f"{path.parent}/", path.name.removeprefix("x"))
        for stage, path in made_from(dataset, "x").items()
    ]
    ids: list[str] = []
    figures = array("q")
    absent: dict[str, str] = {}
    for recording_id in recording_ids:
        own: list[int] = []
        for stage, folder, ending in places:
            path = f"{folder}{recording_id}{ending}"
            try:
                status = os.stat(path)  # noqa: PTH116
                own += (status.st_size, min(status.st_mtime_ns, _LATEST_NS))
            except OSError:
                if not os.path.lexists(path):
                    absent[recording_id] = name_absent(dataset, recording_id, stage)
                    break
                own += (_UNKNOWN, _UNKNOWN)  # its reader will say why
        else:
            ids.append(recording_id)
            figures.extend(own)
    states = _name_states(np.frombuffer(figures, np.int64).reshape(-1, len(places), 2))
    return FoundFiles(pa.table([pa.array(ids, pa.string()), states], _STATES.names), absent)


def _name_states(figures: np.ndarray) -> pa.Array:
    """Returns recordings' states, of sizes and times of their files."""
    files = []
    for sizes, times in figures.transpose(1, 2, 0):
        texts = (pa.array(one).cast(pa.string()) for one in (sizes, times))
        named = pc.binary_join_element_wise(*texts, ".")
        files.append(pc.if_else(pa.array(sizes == _UNKNOWN), "?", named))
    return pc.binary_join_element_wise(*files, " ")


def name_absent(dataset: Dataset, recording_id: str, stage: str) -> str:
    """Returns the stage to name where the file of one is missing: what lacks its own input."""
    if stage == "detections" and not os.path.lexists(dataset.manifest(recording_id)):
        return "chunk_manifest"
    return stage


def read_seen(dataset: Dataset) -> pa.Table:
    """Returns the recordings that the corpus was made from; none where that is not known."""
    try:
        return pq.read_table(_path(dataset)).select(SEEN.names).cast(SEEN)
    except (OSError, pa.ArrowException, KeyError, ValueError):
        return SEEN.empty_table()


def write_seen(dataset: Dataset, seen: pa.Table) -> None:
    """Writes down what a corpus was made from, by `SEEN`.

    Raises:
        StorageFull, OutputUnwritable: the file cannot be written.
    """
    path = _path(dataset)
    prepare_work_file(dataset.work_folder, path)
    with replacing(path) as aside:
        write_parquet(seen, aside)


def _path(dataset: Dataset) -> Path:
    return dataset.work_folder / "corpus.parquet"
