"""How paths are read: where and when each recording is said to be from, before anything is run."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from badc_core.datasets.dataset import Dataset
from badc_core.recordings.deployments import read_deployments
from badc_core.recordings.describe import read_place_and_time
from badc_core.recordings.findings import Findings
from badc_core.recordings.folders import (
    find_doubtful,
    find_numbered,
    is_card_slot,
    is_doubtful,
    is_short_name,
    original_of,
    read_place,
)
from badc_core.recordings.identity import below_root
from badc_core.recordings.naming import read_file_name

_MAX_NAMED = 5
_CHECK = "if not, correct recordings.templates"
_FIRST = ("study_area", "location", "start_local", "start_utc", "timezone", "utc_offset_min")


@dataclass(frozen=True)
class PathReading:
    """What one path says.

    Attributes:
        path: relative to the dataset.
        location: its station; None if neither folder nor name says it.
        source: path or filename, whichever gives the station.
        name: what the file name says.
    """

    path: str
    location: str | None
    source: str
    name: Findings

    @property
    def kind(self) -> str:
        """How it was read, in words, the same for all recordings of its kind."""
        stations = {"path": "station from the folder", "filename": "station from the file name"}
        station = "no station" if self.location is None else stations[self.source]
        if self.name.clock is None:
            return f"{station}, no start in the name"
        if self.name.utc_offset_min is None:
            return f"{station}, start from the name"
        return f"{station}, start and offset from UTC from the name"

    @property
    def example(self) -> str:
        """The path and what was read in it."""
        start = f", {self.name.clock}" if self.name.clock else ""
        return f"{self.path}: {self.location or 'nowhere'}{start}"


def read_paths(dataset: Dataset, paths: Iterable[str]) -> list[PathReading]:
    """Returns what the paths of recordings say.

    Raises:
        ConfigInvalid: a path template is wrong.
    """
    return [_read_path(dataset, path) for path in paths]


def explain_file(dataset: Dataset, path: str) -> list[str]:
    """Returns a line for each fact about a recording, with its source, and for each warning.

    Raises:
        ConfigInvalid: the deployments table or a path template is wrong.
    """
    said = read_place_and_time(dataset, path)
    names = sorted(said.values, key=lambda name: (name not in _FIRST, name))
    facts = [f"{name}  {said.values[name]}  ({said.sources.get(name, '')})" for name in names]
    return [path, *facts, *(f"warning  {one}" for one in said.warnings)]


def count_kinds(readings: Iterable[PathReading]) -> list[str]:
    """Returns a sentence per kind of path, the most frequent first."""
    kinds: dict[str, list[PathReading]] = defaultdict(list)
    for reading in readings:
        kinds[reading.kind].append(reading)
    frequent = sorted(kinds.items(), key=lambda item: -len(item[1]))
    return [f"{len(found)} x {kind}, such as {found[0].example}" for kind, found in frequent]


def doubt_stations(dataset: Dataset, readings: Iterable[PathReading]) -> list[str]:
    """Returns a warning for each doubt about the names of stations, and of files.

    Raises:
        ConfigInvalid: the table of deployments is wrong.
    """
    parents: dict[str, set[str]] = defaultdict(set)
    below: dict[str, dict[str, str]] = defaultdict(dict)
    numbered: dict[str, dict[str, str]] = defaultdict(dict)
    doubts: dict[str, list[str]] = defaultdict(list)
    for reading in readings:
        for warning in reading.name.warnings:
            doubts[warning].append(reading.path)
        if reading.location is not None:
            folders = PurePosixPath(unicodedata.normalize("NFC", reading.path)).parent.parts
            known = reading.location in folders
            above = folders[: folders.index(reading.location)] if known else ()
            parents[reading.location].add("/".join(above))
            below[reading.location] |= find_doubtful(reading.path, reading.location)
            numbered[reading.location] |= find_numbered(reading.path, reading.location)
    listed = set(read_deployments(dataset.deployments))
    return [
        *_doubt_names(sorted(parents), listed),
        *_doubt_folders(parents, below),
        *_doubt_numbered(numbered),
        *_compare_with_table(set(parents), listed),
        *_count_doubts(doubts),
    ]


def _count_doubts(doubts: dict[str, list[str]]) -> list[str]:
    """Returns the most frequent doubts about file names, with how many files have them."""
    frequent = sorted(doubts.items(), key=lambda item: -len(item[1]))[:_MAX_NAMED]
    return [f"{len(paths)} x {doubt} Such as {paths[0]}" for doubt, paths in frequent]


def _doubt_names(names: list[str], listed: set[str]) -> list[str]:
    """Returns a warning for each kind of name that few stations have."""
    digits = [name for name in names if name.isdigit()]
    slots = [name for name in names if is_card_slot(name)]
    made = [name for name in names if is_doubtful(name) and name not in {*digits, *listed}]
    copies = [name for name in names if original_of(name) and name not in {*made, *listed}]
    what = {
        "only digits": digits,
        "named like the slot of a card": slots,
        "named like a folder for a day, a take or a card": made,
        "named like a copied folder": copies,
    }
    check = f"is that the station's name? {_CHECK}"
    return [f"station {_few(found)}: {kind}, {check}" for kind, found in what.items() if found]


def _doubt_folders(parents: dict[str, set[str]], below: dict[str, dict[str, str]]) -> list[str]:
    """Returns warnings about stations in several folders, and folders that may be stations."""
    split = sorted(name for name, above in parents.items() if len(above) > 1)
    doubts = [f"station {_few(split)}: under several folders, is it one station? {_CHECK}"]
    for name, found in sorted(below.items()):
        said = set(found.values())
        # Frontier Labs' recorders write the same name behind each day.
        is_recorders = all(is_short_name(said) and one[0].isdigit() for one, said in found.items())
        if len(said) > 1 or (len(found) == 1 and not is_recorders):
            doubts.append(
                f"station {name}: its folders {_few(sorted(found))} are read as days or takes, "
                "are they stations? if so, correct recordings.templates"
            )
    return doubts if split else doubts[1:]


def _doubt_numbered(numbered: dict[str, dict[str, str]]) -> list[str]:
    """Returns a warning if stations have several folders that a number tells apart."""
    several: dict[str, list[str]] = {}
    for station, found in sorted(numbered.items()):
        words = Counter(found.values())
        if folders := sorted(folder for folder, word in found.items() if words[word] > 1):
            several[station] = folders
    if not several:
        return []
    folders = sorted({folder for found in several.values() for folder in found})
    what = "are read as days, takes or cards of theirs, are they stations? if so, correct"
    return [f"station {_few(list(several))}: {_few(folders)} {what} recordings.templates"]


def _compare_with_table(names: set[str], listed: set[str]) -> list[str]:
    unmatched, unlisted = sorted(listed - names), sorted(names - listed) if listed else []
    doubts = (
        (unmatched, "in the table of deployments, but no recording is from there; compare names"),
        (unlisted, "has recordings, but no row in the table of deployments; compare names"),
    )
    return [f"station {_few(found)}: {what}" for found, what in doubts if found]


def _read_path(dataset: Dataset, path: str) -> PathReading:
    settings = dataset.settings.recordings
    place = read_place(below_root(path, settings.roots), settings.templates) or {}
    name = read_file_name(PurePosixPath(path).name)
    if (location := place.get("location")) is not None:
        return PathReading(path, location, "path", name)
    named = name.fields.get("location")
    return PathReading(path, None if named is None else str(named), "filename", name)


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + more
