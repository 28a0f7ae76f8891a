"""The detections that may be drawn for review, read from a dataset's results with SQL.

Which are drawn is decided in `sampling.py`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from badc_core.corpus.snapshot import Snapshot
from badc_core.errors import ConfigInvalid
from badc_core.intervals import Interval
from badc_core.recordings.clock import clock_after
from badc_core.reviews.sampling import Candidates

_LABELS = """
    SELECT label, any_value(label_name) AS label_name,
        any_value(scientific_name) AS scientific_name, count(*) AS n
    FROM real_detections
    WHERE len(?::VARCHAR[]) = 0 OR list_contains(?::VARCHAR[], location)
    GROUP BY label ORDER BY label
"""
_CANDIDATES = """
    SELECT detection_id, recording_id, absolute_time_ms, absolute_end_ms, confidence,
        dense_rank() OVER (ORDER BY recording_id) AS recording,
        CASE WHEN recording_start_local IS NOT NULL THEN dense_rank() OVER (
            ORDER BY location, (recording_start_local + to_milliseconds(absolute_time_ms))::DATE
        ) ELSE -1 END AS day,
        coalesce(hour(recording_start_local + to_milliseconds(absolute_time_ms)), -1) AS hour
    FROM real_detections
    WHERE label = ? AND (len(?::VARCHAR[]) = 0 OR list_contains(?::VARCHAR[], location))
    ORDER BY detection_id
"""
_ROWS = """
    SELECT d.*, r.start_local, r.start_utc, r.timezone
    FROM real_detections d JOIN recordings r USING (recording_id)
    WHERE detection_id IN (SELECT unnest(?::VARCHAR[]))
"""
_STATIONS = "SELECT DISTINCT location FROM recordings WHERE location IS NOT NULL"
_DETECTORS = "SELECT DISTINCT runner, model_version FROM real_detections"

Spans = Mapping[tuple[str, str], Sequence[Interval]]
"""Recording and label -> intervals in milliseconds that were judged."""


@dataclass(frozen=True)
class Choice:
    """Which detections may be drawn; empty: all.

    Attributes:
        species: labels, common or scientific names, in any case.
        stations: as `location` has them.
    """

    species: tuple[str, ...] = ()
    stations: tuple[str, ...] = ()


def read_detectors(snapshot: Snapshot) -> set[tuple[str, str]]:
    """Returns runner and version of each detector whose detections there are."""
    rows = snapshot.read(_DETECTORS).to_pylist()
    return {(one["runner"], one["model_version"]) for one in rows}


def read_labels(snapshot: Snapshot, choice: Choice) -> list[str]:
    """Returns the labels that may be drawn, in order.

    Raises:
        ConfigInvalid: a species of which there is no detection, or a station without recordings.
    """
    _require_known("station", choice.stations, snapshot.read(_STATIONS)["location"].to_pylist())
    rows = snapshot.read(_LABELS, list(choice.stations), list(choice.stations)).to_pylist()
    names = {one["label"]: _names(one) for one in rows}
    if not choice.species:
        return list(names)
    known = {name.lower(): label for label, some in names.items() for name in some}
    _require_known("species", choice.species, [one for some in names.values() for one in some])
    wanted = {known[one.lower()] for one in choice.species}
    return [one for one in names if one in wanted]


def read_candidates(
    snapshot: Snapshot, label: str, choice: Choice, judged: Spans
) -> tuple[list[str], Candidates]:
    """Returns the detections of a label that nobody has judged yet.

    One that overlaps with a judged interval of the same label and recording counts as judged: what
    a detection is called depends on how neighbours are joined.

    Returns:
        Their detection_ids, and what they are drawn by.
    """
    stations = list(choice.stations)
    table = snapshot.read(_CANDIDATES, label, stations, stations)
    kept = table.filter(pa.array(list(_is_new(table, label, judged)), pa.bool_()))
    columns = {
        name: kept[name].to_numpy().astype(np.int64)
        for name in ("absolute_time_ms", "recording", "day", "hour")
    }
    scores: npt.NDArray[np.float64] = kept["confidence"].to_numpy()
    return kept["detection_id"].to_pylist(), Candidates(
        scores, columns["absolute_time_ms"], columns["recording"], columns["day"], columns["hour"]
    )


def read_detections_of(
    snapshot: Snapshot, detection_ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Returns detection_id -> its columns, with `local_time`, as clocks at the station show it."""
    rows = snapshot.read(_ROWS, list(detection_ids)).to_pylist()
    return {one["detection_id"]: {**one, "local_time": _local_time(one)} for one in rows}


def _is_new(table: pa.Table, label: str, judged: Spans) -> Iterator[bool]:
    recordings = table["recording_id"].to_pylist()
    starts, ends = table["absolute_time_ms"].to_pylist(), table["absolute_end_ms"].to_pylist()
    for recording, start_ms, end_ms in zip(recordings, starts, ends, strict=True):
        spans = judged.get((recording, label), ())
        yield not any(start < end_ms and start_ms < end for start, end in spans)


def _local_time(row: Mapping[str, Any]) -> str | None:
    if row["start_local"] is None:
        return None
    elapsed = timedelta(milliseconds=row["absolute_time_ms"])
    clock = clock_after(row["start_local"], row["start_utc"], row["timezone"], elapsed)
    return clock.isoformat(timespec="seconds")


def _names(row: Mapping[str, Any]) -> list[str]:
    return [row[key] for key in ("label", "label_name", "scientific_name") if row[key]]


def _require_known(what: str, wanted: Iterable[str], known: Iterable[str]) -> None:
    """Raises ConfigInvalid for the first name that is not known, in any case for species."""
    known = sorted({*known})
    folded = {one.lower() for one in known}
    for one in wanted:
        is_known = one in known if what == "station" else one.lower() in folded
        if not is_known:
            close = get_close_matches(one, known) or known[:5]
            nothing = "no recording is from this station" if what == "station" else "not detected"
            raise ConfigInvalid(nothing, one, f"There are: {', '.join(close) or 'none'}")
