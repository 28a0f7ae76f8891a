"""The recordings' own files that a corpus is made from, and how they were when it was made.

How they were is in the work folder: it is known on this machine only, and without it the corpus is
made again of all files.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from badc_core.atomic import replacing
from badc_core.columns import write_parquet
from badc_core.datasets.dataset import Dataset
from badc_core.datasets.work_folder import prepare_work_file

_SEEN = pa.schema(
    [
        ("recording_id", pa.string()),
        ("folder", pa.string()),
        ("digest", pa.dictionary(pa.int32(), pa.string())),
        ("state", pa.string()),
    ]
)


@dataclass(frozen=True)
class SeenRecording:
    """A recording in a corpus.

    Attributes:
        folder: of its part, below that of a table.
        digest: of the part's rows with the recording in them.
        state: of its files when they were read.
    """

    folder: str
    digest: str
    state: str


@dataclass
class FoundFiles:
    """What there is of recordings.

    Attributes:
        states: recording_id -> sizes and times of its files, which change if a file does.
        absent: recording_id -> the first stage without its file.
    """

    states: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def made_from(dataset: Dataset, recording_id: str) -> dict[str, Path]:
    """Returns name -> file of a recording that the corpus is made from."""
    return {
        "recording": dataset.recording(recording_id),
        "detections": dataset.detections(recording_id),
        "effort": dataset.effort(recording_id),
    }


def look_at_files(dataset: Dataset, recording_ids: Iterable[str]) -> FoundFiles:
    """Returns what there is of recordings, without reading anything."""
    found = FoundFiles()
    # Of three for each of 100,000 recordings, Path objects would cost more than looking at them.
    places = [
        (stage, f"{path.parent}/", path.name.removeprefix("x"))
        for stage, path in made_from(dataset, "x").items()
    ]
    for recording_id in recording_ids:
        states = []
        for stage, folder, ending in places:
            path = f"{folder}{recording_id}{ending}"
            try:
                status = os.stat(path)  # noqa: PTH116
                states.append(f"{status.st_size}.{status.st_mtime_ns}")
            except OSError:
                if not os.path.lexists(path):
                    found.absent[recording_id] = name_absent(dataset, recording_id, stage)
                    break
                states.append("?")  # its reader will say why
        else:
            found.states[recording_id] = " ".join(states)
    return found


def first_absent(dataset: Dataset, recording_id: str) -> str:
    """Returns the first stage without its file; empty if no file is missing."""
    return look_at_files(dataset, [recording_id]).absent.get(recording_id, "")


def name_absent(dataset: Dataset, recording_id: str, stage: str) -> str:
    """Returns the stage to name where the file of one is missing: what lacks its own input."""
    if stage == "detections" and not os.path.lexists(dataset.manifest(recording_id)):
        return "chunk_manifest"
    return stage


def read_seen(dataset: Dataset) -> dict[str, SeenRecording]:
    """Returns the recordings that the corpus was made from; none where that is not known."""
    try:
        table = pq.read_table(_path(dataset))
        columns = [table[name].cast(pa.string()).to_pylist() for name in _SEEN.names]
    except (OSError, pa.ArrowException, KeyError):
        return {}
    return {one: SeenRecording(*rest) for one, *rest in zip(*columns, strict=True)}


def write_seen(dataset: Dataset, seen: Mapping[str, SeenRecording]) -> None:
    """Writes down what a corpus was made from.

    Raises:
        StorageFull, OutputUnwritable: the file cannot be written.
    """
    rows = [(one, its.folder, its.digest, its.state) for one, its in seen.items()]
    columns = list(zip(*rows, strict=True)) or [()] * len(_SEEN)
    texts = [pa.array(one, pa.string()) for one in columns]
    arrays = [one.cast(field.type) for one, field in zip(texts, _SEEN, strict=True)]
    path = _path(dataset)
    prepare_work_file(dataset.work_folder, path)
    with replacing(path) as aside:
        write_parquet(pa.Table.from_arrays(arrays, schema=_SEEN), aside)


def _path(dataset: Dataset) -> Path:
    return dataset.work_folder / "corpus.parquet"
