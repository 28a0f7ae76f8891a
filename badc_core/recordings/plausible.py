"""Whether what a source says can be true: one gate for all sources.

A recorder whose clock was never set says 1970 or 2000, one without a GPS fix says 0, 0 or `nan`.
What cannot be true is dropped with a warning, and the next source is asked.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from badc_core.recordings.findings import Findings

_FIRST_YEAR = 2000
_NEVER_SET = date(2000, 1, 1)
# Sound was recorded before, and is digitised; but in these years clocks begin that are not set.
_FIRST_TAPE_YEAR = 1900
_YEARS_OF_UNSET_CLOCKS = {1970, 1980}
# For a clock in any zone, and a computer whose own was a day behind.
_SLACK = timedelta(days=2)
_RANGES = {
    "latitude": (-90, 90),
    "longitude": (-180, 180),
    "elevation_m": (-500, 9000),
    "temperature_c": (-90, 100),
    "battery_v": (0, 100),
}
_POSITION = ("latitude", "longitude")
_NEAR_ZERO = 1e-6


def last_possible_start(path: Path) -> datetime:
    """Returns the latest start that a file can have: two days after it was last written.

    A file whose date of writing is impossible, as in some archives, may be as new as today.
    """
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC).replace(tzinfo=None)
    if written.year <= _FIRST_YEAR:
        written = datetime.now(UTC).replace(tzinfo=None)
    return written + _SLACK


def keep_plausible(
    found: Findings, latest: datetime, clock_offset_s: float | None = None
) -> Findings:
    """Returns findings without what cannot be true, with a warning for each.

    Args:
        found: of one source.
        latest: start that the file can have, without a zone.
        clock_offset_s: added to the clock before it is judged. A 0 that somebody wrote down says
            that the clock was right, so that years before 2000 count, as of a digitised tape.
    """
    fields, warnings = keep_plausible_fields(found.fields, found.source)
    clock = found.clock
    if clock is not None and not _is_possible(clock, latest, clock_offset_s):
        warnings.append(f"{found.source} says it starts at {clock}, {_doubt(clock)}")
        clock = None
    offset_min = None if clock is None else found.utc_offset_min
    return replace(
        found,
        clock=clock,
        utc_offset_min=offset_min,
        fields=fields,
        warnings=(*found.warnings, *warnings),
    )


def keep_plausible_fields(
    fields: Mapping[str, Any], source: str
) -> tuple[dict[str, Any], list[str]]:
    """Returns the fields that can be true, and a warning for each of the others."""
    wrong = {name for name in _RANGES if name in fields and not _in_range(name, fields[name])}
    if wrong.intersection(_POSITION) or _is_null_island(fields):
        wrong.update(name for name in _POSITION if name in fields)
    kept = {name: value for name, value in fields.items() if name not in wrong}
    told = [f"{name} {fields[name]:g}" for name in _RANGES if name in wrong]
    return kept, [f"{source} says {', '.join(told)}, which cannot be; ignored."] if told else []


def _in_range(name: str, value: float | None) -> bool:
    low, high = _RANGES[name]
    return value is None or (math.isfinite(value) and low <= value <= high)


def _is_null_island(fields: Mapping[str, Any]) -> bool:
    position = [fields.get(name) for name in _POSITION]
    return all(value is not None and abs(value) < _NEAR_ZERO for value in position)


def _is_possible(clock: datetime, latest: datetime, clock_offset_s: float | None) -> bool:
    try:
        shown = clock + timedelta(seconds=clock_offset_s or 0)
    except OverflowError:
        return False
    is_old = clock_offset_s == 0 and _may_be_a_tape(shown)
    is_new = shown.year >= _FIRST_YEAR and shown.date() != _NEVER_SET
    return (is_old or is_new) and shown <= latest


def _may_be_a_tape(clock: datetime) -> bool:
    is_before = _FIRST_TAPE_YEAR <= clock.year < _FIRST_YEAR
    return is_before and clock.year not in _YEARS_OF_UNSET_CLOCKS


def _doubt(clock: datetime) -> str:
    if _may_be_a_tape(clock):
        return (
            "as a clock does that was not set. If that is right, as for a digitised tape, write 0 "
            "as clock_offset_s of its station into the table of deployments."
        )
    return (
        "which cannot be: the clock was not set. clock_offset_s in the table of deployments "
        "corrects it."
    )
