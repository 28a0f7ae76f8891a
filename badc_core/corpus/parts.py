"""The parts of a corpus, and `parts.json`, the list of them and their files.

A part has the results of the recordings that one station began in one month. Its files are named by
their content and never change; where they go is `CorpusPaths.table`. Whoever reads one list of them
sees one moment, however often the corpus is renewed meanwhile. Writing them is in
`part_writing.py`.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from badc_core.annexed_files import lacks_content
from badc_core.atomic import write_text
from badc_core.datasets.corpus_paths import CorpusPaths
from badc_core.errors import DatasetInvalid
from badc_core.hashing import sha256_bytes
from badc_core.validation import explain_invalid

SCHEMA_VERSION = 2

ROWS = ("detections", "chunks")
"""Tables of which a part has the rows themselves."""

SUMMARIES = {
    "counts_by_recording": "recording_id, label, label_name",
    "counts_by_station": "location, label, label_name",
    "totals_by_recording": "recording_id",
    "counts_by_minute": "location, minute",
    "counts_by_hour": "location, local_date, local_hour, label, label_name",
    "detectors_by_recording": "ALL",
    "chunks_by_recording": "recording_id",
    "left_out_by_recording": "recording_id, label_name",
    "recorded_by_day": "location, local_date",
    "effort_by_hour": "location, local_date, local_hour",
    "effort_by_sunrise": "location, minutes_from_sunrise, without_sunrise",
    "counts_by_sunrise": "location, minutes_from_sunrise, without_sunrise, label, label_name",
}
"""Views of which a part has the content, so that nothing is counted again, and their order.

Those that count what others counted come after them.
"""

_ABSENT = "__none__"
_UNKNOWN_MONTH = "unknown"
_LONGEST_NAME = 150
_KEPT_S = 3600
"""How long files that are no longer listed stay, for those who still read them."""

_REMEDY = "Delete it: the next badc run writes the corpus again"


@dataclass(frozen=True)
class PartKey:
    """What the recordings of a part have in common.

    Attributes:
        study_area: None where there is none, likewise
        location: the station.
        month: in which they begin by local time, `2024-05`, or `unknown`.
    """

    study_area: str | None
    location: str | None
    month: str

    @classmethod
    def of(cls, study_area: str | None, location: str | None, start: datetime | None) -> "PartKey":
        """Returns the part that a recording belongs to."""
        return cls(study_area, location, f"{start:%Y-%m}" if start else _UNKNOWN_MONTH)

    @property
    def folder(self) -> str:
        """Its folder below that of a table, as Hive and Arrow name such folders."""
        area, station = _encode(self.study_area), _encode(self.location)
        return f"study_area={area}/location={station}/month={self.month}"


@dataclass(frozen=True)
class PartFile:
    """A file of a part.

    Attributes:
        path: below the folder of the corpus.
    """

    path: str
    rows: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class BrokenRule:
    """What breaks a rule of `rules.py`: how many things, and the first few."""

    violations: int
    examples: list[str]


@dataclass(frozen=True)
class CorpusPart:
    """A part as it was written.

    Attributes:
        files: table or summary -> its file.
        broken: rule -> what breaks it.
    """

    study_area: str | None
    location: str | None
    month: str
    recordings: int
    files: dict[str, PartFile]
    broken: dict[str, BrokenRule] = field(default_factory=dict)

    @property
    def key(self) -> PartKey:
        """What its recordings have in common."""
        return PartKey(self.study_area, self.location, self.month)

    @property
    def digest(self) -> str:
        """A name for exactly these rows."""
        return "-".join(self.files[one].sha256 for one in ROWS)


@dataclass(frozen=True)
class PartList:
    """The content of `parts.json`.

    Attributes:
        schema: version of this format.
        code: version of what writes parts.
    """

    schema: int
    code: str
    parts: list[CorpusPart]

    def paths(self) -> dict[str, list[str]]:
        """Returns table or summary -> its files."""
        return {name: [one.files[name].path for one in self.parts] for name in (*ROWS, *SUMMARIES)}


_LIST = TypeAdapter(PartList)


def write_part_list(path: Path, listed: PartList) -> None:
    """Writes `parts.json`."""
    write_text(path, _LIST.dump_json(listed, indent=1).decode() + "\n")


def read_part_list(path: Path) -> PartList:
    """Returns the content of `parts.json`.

    Raises:
        DatasetInvalid: it is not there, damaged, or of another version.
    """
    try:
        found = _LIST.validate_json(path.read_bytes())
    except OSError as error:
        raise DatasetInvalid(f"cannot be read ({error.strerror})", path, _REMEDY) from error
    except ValidationError as error:
        raise DatasetInvalid(explain_invalid(error), path, _REMEDY) from error
    if found.schema != SCHEMA_VERSION:
        what = f"it is of schema {found.schema}, expected {SCHEMA_VERSION}"
        raise DatasetInvalid(what, path, _REMEDY)
    return found


def explain_lost_file(corpus: CorpusPaths, part: CorpusPart) -> str:
    """Returns which file of a part is missing or cut off; empty if none is.

    A file whose content is elsewhere is neither.
    """
    unlike = find_unlike_files(corpus, part)
    return next((why for path, why in unlike.items() if not lacks_content(path)), "")


def find_unlike_files(corpus: CorpusPaths, part: CorpusPart) -> dict[Path, str]:
    """Returns the files of a part that are not as long as they were written, and what is wrong."""
    unlike = {}
    for one in part.files.values():
        try:
            n_bytes = os.stat(f"{corpus.folder}/{one.path}").st_size  # noqa: PTH116
        except OSError:
            unlike[corpus.folder / one.path] = f"{one.path} is missing"
            continue
        if n_bytes != one.size_bytes:
            why = f"{one.path} is damaged ({n_bytes} bytes, {one.size_bytes} were written)"
            unlike[corpus.folder / one.path] = why
    return unlike


def retire_files(old: Iterable[str], now: PartList, corpus: CorpusPaths) -> None:
    """Removes files that have not been listed for an hour, and what killed writers left.

    Args:
        old: those that were listed until now, below the folder of the corpus.
        now: the list that holds.
        corpus: whose files.
    """
    listed = files_by_path(now).keys()
    for one in {*old} - listed:
        with suppress(OSError):
            os.utime(corpus.folder / one, follow_symlinks=False)  # not of an annexed content
    here = {f"{corpus.folder}/{one}" for one in listed}
    oldest = time.time() - _KEPT_S
    for folder in corpus.part_folders:
        for path in [Path(one) for one in _list_below(folder) if one not in here]:
            with suppress(OSError):
                is_old = path.suffix == ".part" or path.lstat().st_mtime < oldest
                if is_old and "." in path.name:
                    path.unlink()
                    _remove_empty(path.parent, folder)


def _list_below(folder: Path) -> Iterator[str]:
    """Yields everything below a folder but folders; links are not followed."""
    left = [str(folder)]
    while left:
        with suppress(OSError), os.scandir(left.pop()) as entries:
            for one in entries:
                if one.is_dir(follow_symlinks=False):
                    left.append(one.path)
                else:
                    yield one.path


def _remove_empty(folder: Path, top: Path) -> None:
    """Removes empty folders, upwards."""
    while folder != top:
        folder.rmdir()
        folder = folder.parent


def _encode(name: str | None) -> str:
    """Returns a name that every file system takes."""
    if name is None:
        return _ABSENT
    encoded = quote(name, safe="")
    if len(encoded) <= _LONGEST_NAME and name != _ABSENT:
        return encoded
    return f"{encoded[:_LONGEST_NAME]}-{sha256_bytes(name.encode())[:8]}"


def files_by_path(listed: PartList) -> Mapping[str, PartFile]:
    """Returns path below the folder of the corpus -> file."""
    return {file.path: file for part in listed.parts for file in part.files.values()}
