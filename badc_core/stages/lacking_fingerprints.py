"""Writes down what outputs were made from of which nobody did.

Such as those that BADC made before it wrote such files. What is written is in
`fingerprint_files.py`.
"""

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from badc_core.annexed_files import lacks_content
from badc_core.atomic import write_text
from badc_core.datasets.dataset import Dataset
from badc_core.datasets.work_folder import prepare_work_file
from badc_core.errors import DatasetInvalid
from badc_core.stages.fingerprint_files import (
    describe_output,
    list_stored,
    read_stored,
    store_outputs,
)
from badc_core.stages.stage import STAGES
from badc_core.stages.work import Work


@dataclass(frozen=True)
class _LookedAt:
    """Which files of fingerprints were looked at before.

    Attributes:
        until_ns: those put in place before that, in ns since 1970.
        lacking: recordings whose files lacked something all the same.
    """

    until_ns: int = 0
    lacking: tuple[str, ...] = ()


_LOOKED_AT = TypeAdapter(_LookedAt)


def store_where_lacking(dataset: Dataset, current: Mapping[str, Mapping[str, str]]) -> None:
    """Writes what outputs were made from into files of fingerprints that do not say it.

    An output is left out while a run is at work on it, or the content of any of its files is
    elsewhere: which bytes that has cannot be known here. A file is read again only after it
    changed, or if it lacked something.

    Args:
        dataset: whose recordings.
        current: stage -> recording_id -> fingerprint of outputs made by the code of now.

    Raises:
        StorageFull, OutputUnwritable: a file cannot be written.
    """
    changed_ns, before = list_stored(dataset), _read_looked_at(dataset)
    again = set(before.lacking)
    lacking: list[str] = []
    for one in dict.fromkeys((*changed_ns, *(one for made in current.values() for one in made))):
        if one in again or changed_ns.get(one, before.until_ns) >= before.until_ns:
            made_from = {stage: made[one] for stage, made in current.items() if one in made}
            if not _complete(dataset, one, made_from):
                lacking.append(one)
    # A clock that was ahead would hide what changes until that time.
    until_ns = min(max(changed_ns.values(), default=0), time.time_ns())
    now = _LookedAt(until_ns, tuple(lacking))
    if now != before:
        path = prepare_work_file(dataset.work_folder, _path(dataset))
        write_text(path, json.dumps(asdict(now), indent=1, ensure_ascii=False) + "\n")


def _complete(dataset: Dataset, recording_id: str, made_from: Mapping[str, str]) -> bool:
    """Writes down what a recording's file does not say; returns whether it then says all."""
    path = dataset.fingerprints(recording_id)
    try:
        stored = read_stored(path, recording_id)
    except DatasetInvalid:
        return False  # it is due, and so made again
    lacking = [
        name
        for name, stage in STAGES.items()
        if name not in stored and any(map(os.path.lexists, stage.outputs(dataset, recording_id)))
    ]
    work = Work(dataset.work_folder)
    try:
        outputs = {
            name: describe_output(dataset, name, recording_id, made_from[name])
            for name in lacking
            if name in made_from
            and not work.is_dirty(name, recording_id)
            and not any(map(lacks_content, STAGES[name].files(dataset, recording_id)))
        }
    except FileNotFoundError:
        return False  # a run is replacing it, and will write down what it is made from
    if outputs:
        # What a run stores meanwhile is about newer outputs.
        store_outputs(dataset, path, recording_id, outputs, replaces=False)
    return len(outputs) == len(lacking)


def _read_looked_at(dataset: Dataset) -> _LookedAt:
    with suppress(FileNotFoundError, ValidationError):
        return _LOOKED_AT.validate_json(_path(dataset).read_bytes())
    return _LookedAt()


def _path(dataset: Dataset) -> Path:
    return dataset.work_folder / "fingerprints_looked_at.json"
