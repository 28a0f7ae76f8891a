"""Job ids, `YYYYMMDD-NNN`, and claiming them.

An id belongs to whoever creates its marker, an empty file in a hidden folder of the day. Markers
stay when a job is archived or deleted, so an id never means two jobs. Which folders a job has is
decided in `folders.py`.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import date
from functools import partial
from pathlib import Path

from badc_core.atomic import naming_storage_trouble
from badc_core.jobs.folders import day_folder, make_folders
from badc_core.shared_folders import making_in

_ID = re.compile(r"(?P<day>\d{8})-(?P<number>\d{3,})")
_MARKERS, _ENDING = ".job_ids", ".claimed"
_ENV_PREFIX = ".env.job_"


def claim_job_id(day: date, output_root: Path, log_root: Path, config_dir: Path) -> str:
    """Returns the day's next id, which no other process of this output root gets.

    It is one more than the largest that is in use: by a job of any user, by logs or configuration
    left of one, or claimed. Folders of others that cannot be read are passed over; their ids were
    claimed too.

    Raises:
        StorageFull, OutputUnwritable: no marker can be written.
    """
    markers = day_folder(output_root, day) / _MARKERS
    make_folders(output_root, markers)
    in_use = _names(markers)
    in_use += [name for root in (output_root, log_root) for name in _job_names(root, day)]
    in_use += [name.removeprefix(_ENV_PREFIX) for name in _names(config_dir)]
    number = max(_numbers(in_use, day), default=0) + 1
    while not _is_claimed(markers / f"{_write_id(day, number)}{_ENDING}"):
        number += 1
    return _write_id(day, number)


def _write_id(day: date, number: int) -> str:
    return f"{day:%Y%m%d}-{number:03d}"


def _is_claimed(marker: Path) -> bool:
    """Claims an id; returns False if another process has it."""
    with naming_storage_trouble(marker):
        try:
            claim = partial(os.open, marker, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            os.close(making_in(marker.parent, claim))
        except FileExistsError:
            return False
    return True


def _numbers(names: Iterable[str], day: date) -> Iterator[int]:
    for name in names:
        found = _ID.fullmatch(name.removesuffix(_ENDING))
        if found and found["day"] == f"{day:%Y%m%d}":
            yield int(found["number"])


def _job_names(root: Path, day: date) -> list[str]:
    """Returns what is in the folders of all users of a day."""
    folder = day_folder(root, day)
    return [name for user in _names(folder) for name in _names(folder / user)]


def _names(folder: Path) -> list[str]:
    """Returns what is in a folder; nothing if it is missing, no folder, or may not be read."""
    with suppress(OSError):
        return os.listdir(folder)  # noqa: PTH208
    return []
