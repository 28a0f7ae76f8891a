"""Detection histories for occupancy models: a row for each station, a column for each day.

A day is 1 where the species was detected, 0 where somebody listened and it was not, and NA where
nobody listened: the recorder was off, nothing was recorded, or the analysis failed. How long
somebody listened is in `effort_s.csv`, in seconds.

Source: the shape is that of `unmarkedFrameOccu` of R's package unmarked.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib import resources
from pathlib import Path
from typing import TypeAlias

from badc_core.atomic import writing_text
from badc_core.csv_tables import write_rows
from badc_core.exports.file_parts import name_parts
from badc_core.exports.rows import RecordingResults, SourceLabel
from badc_core.exports.source import ExportSource

Station: TypeAlias = tuple[str, str]
"""Study area (or nothing) and name."""
Occasion: TypeAlias = tuple[Station, date]

_NOBODY_LISTENED = "NA"


@dataclass
class DetectionHistory:
    """When somebody listened at each station, and what was detected then.

    Attributes:
        effort_ms: how long somebody listened, for days on which somebody did.
        detected: label -> days on which it was detected.
        places: latitude and longitude of a station, where they are known.
    """

    effort_ms: dict[Occasion, int] = field(default_factory=lambda: defaultdict(int))
    detected: dict[str, set[Occasion]] = field(default_factory=lambda: defaultdict(set))
    places: dict[Station, tuple[float, float]] = field(default_factory=dict)
    stations: set[Station] = field(default_factory=set)

    def add(self, one: RecordingResults) -> None:
        """Adds a recording whose station and clock are known."""
        recording = one.recording
        station = recording.study_area or "", recording.location or ""
        self.stations.add(station)
        if recording.lat is not None and recording.lon is not None:
            self.places.setdefault(station, (recording.lat, recording.lon))
        for day, length_ms in recording.split_by_day(one.analysed).items():
            self.effort_ms[station, day] += length_ms
        for found in one.found:
            when = recording.local_time(found.start_ms)
            if when is not None:
                self.detected[found.label].add((station, when.date()))

    @property
    def days(self) -> list[date]:
        """Days on which somebody listened anywhere."""
        return sorted({day for _, day in self.effort_ms})

    def row(self, label: str, station: Station, days: Sequence[date]) -> Iterator[int | str]:
        """Yields what is known of a label at a station, day by day."""
        for day in days:
            if not self.effort_ms.get((station, day)):
                yield _NOBODY_LISTENED
            else:
                yield int((station, day) in self.detected[label])


def write_occupancy(source: ExportSource, folder: Path) -> None:
    """Writes the histories of all that was detected, the effort, and the stations."""
    history = DetectionHistory()
    unplaced = []
    for one in source.read():
        if one.recording.location and one.recording.start_local:
            history.add(one)
        else:
            unplaced.append(one.recording)
    source.note_left_out("the station or the clock is not known", unplaced)
    _write(history, source.labels, folder)


def _write(history: DetectionHistory, labels: Sequence[SourceLabel], folder: Path) -> None:
    stations = sorted(history.stations)
    names = _name_stations(stations)
    days = history.days
    header = ("site", *(day.isoformat() for day in days))
    parts = name_parts(one.label for one in labels)
    for one in labels:
        rows = ((names[at], *history.row(one.label, at, days)) for at in stations)
        _write_table(folder / f"y_{parts[one.label]}.csv", header, rows)
    effort = (
        (names[at], *(history.effort_ms.get((at, day), 0) / 1000 for day in days))
        for at in stations
    )
    _write_table(folder / "effort_s.csv", header, effort)
    places = ((names[at], *at, *history.places.get(at, (_NOBODY_LISTENED,) * 2)) for at in stations)
    _write_table(folder / "sites.csv", ("site", "study_area", "location", "lat", "lon"), places)
    species = (
        (one.label, one.label_name, one.scientific_name, f"y_{parts[one.label]}.csv")
        for one in labels
    )
    _write_table(folder / "species.csv", ("label", "name", "scientific_name", "file"), species)
    script = resources.files(__package__).joinpath("occupancy.R").read_text(encoding="utf-8")
    with writing_text(folder / "fit.R") as file:
        file.write(script)


def _write_table(path: Path, header: Sequence[str], rows: Iterator[Sequence[object]]) -> None:
    with writing_text(path) as file:
        write_rows(file, header, rows)


def _name_stations(stations: Sequence[Station]) -> Mapping[Station, str]:
    """Returns a name for each station: with its study area where another has the same."""
    seen: dict[str, int] = defaultdict(int)
    for _, location in stations:
        seen[location] += 1
    return {one: one[1] if seen[one[1]] == 1 else "/".join(filter(None, one)) for one in stations}
