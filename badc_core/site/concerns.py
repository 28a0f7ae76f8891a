"""What somebody should look at before trusting a dataset's results, by what may be wrong.

Sentences about a single recording come from its description; they are grouped here.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from badc_core.corpus.database import query
from badc_core.reports.page import format_day
from badc_core.site.shared_content import DOUBTS
from badc_core.units import counted, format_duration

CLOCKS = "Clocks"
MICROPHONES = "Microphones and channels"
TWICE = "The same twice"
FILES = "Files"

_KINDS = (
    (MICROPHONES, re.compile(r"microphone|channel|silent|clipped|off centre|stuck", re.IGNORECASE)),
    (CLOCKS, re.compile(r"\b(clocks?|dates?|days?|starts?|time zone|zone|time)\b", re.IGNORECASE)),
    (FILES, re.compile("")),
)

_COPIES = """
    SELECT count(*) AS recordings, min(recording_id) AS first, max(recording_id) AS last
    FROM recordings GROUP BY sha256 HAVING count(*) > 1 ORDER BY recordings DESC, first
"""

_AT_ONCE = """
    WITH placed AS (
        SELECT *, coalesce(start_utc::TIMESTAMP, start_local::TIMESTAMP) AS begin FROM recordings
        WHERE start_local IS NOT NULL AND location IS NOT NULL
    ), pairs AS (
        SELECT recording_id, study_area, location, sha256, device_serial,
            begin + to_milliseconds(1000 * duration_s) AS ends,
            lead(recording_id) OVER after AS other, lead(begin) OVER after AS next_begin,
            lead(sha256) OVER after AS next_sha256, lead(device_serial) OVER after AS next_serial
        FROM placed
        WINDOW after AS (
            PARTITION BY study_area, location, start_utc IS NULL ORDER BY begin, recording_id
        )
    )
    SELECT location, count(*) AS pairs, min(recording_id) AS first,
        any_value(other ORDER BY recording_id) AS other,
        len(list_distinct(list(recording_id) || list(other))) AS recordings
    FROM pairs
    WHERE next_begin + INTERVAL 2 SECONDS < ends AND sha256 <> next_sha256
        AND coalesce(device_serial = next_serial, true)
    GROUP BY study_area, location ORDER BY pairs DESC, location
"""
"""Recordings of one station that overlap, unless two recorders are known to have made them."""

_PAUSES = """
    SELECT start_local FROM (
        SELECT start_local, lag(start_local) OVER (ORDER BY start_local) AS before FROM recordings
    ) WHERE start_local - before > INTERVAL 366 DAYS ORDER BY start_local
"""


@dataclass(frozen=True)
class Concern:
    """Something to look at.

    Attributes:
        text: a sentence or two.
        recordings: how many it is about, where one of them is an example.
        example: a recording_id; empty where the text says it all.
    """

    text: str
    recordings: int = 0
    example: str = ""


def find_concerns(
    connection: duckdb.DuckDBPyConnection, totals: Mapping[str, Any], gone: Sequence[str]
) -> dict[str, list[Concern]]:
    """Returns what to look at, by its kind.

    Args:
        connection: to a corpus.
        totals: of its recordings: `first`, `dead_s` and `n_dead`.
        gone: recordings that count although their file is gone.
    """
    found: dict[str, list[Concern]] = {CLOCKS: [], MICROPHONES: [], TWICE: [], FILES: []}
    found[CLOCKS] += [*_find_pauses(connection, totals), *_find_at_once(connection)]
    found[MICROPHONES] += _explain_dead(totals)
    found[TWICE] += _find_copies(connection)
    found[FILES] += _explain_gone(gone)
    for one in query(connection, DOUBTS):
        kind = next(name for name, words in _KINDS if words.search(one["warning"]))
        found[kind].append(Concern(one["warning"], one["recordings"], one["example"]))
    return {kind: concerns for kind, concerns in found.items() if concerns}


def _find_pauses(
    connection: duckdb.DuckDBPyConnection, totals: Mapping[str, Any]
) -> Iterator[Concern]:
    resumed = [format_day(one["start_local"]) for one in query(connection, _PAUSES)]
    if resumed:
        yield Concern(
            f"Dates are years apart: from {format_day(totals['first'])}, then nothing for more "
            f"than a year until {' and until '.join(resumed)}. If that is not when it was "
            "recorded, a recorder's clock was wrong."
        )


def _find_at_once(connection: duckdb.DuckDBPyConnection) -> Iterator[Concern]:
    for one in query(connection, _AT_ONCE):
        pairs = counted(one["pairs"], "time")
        text = f"Recordings at {one['location']} overlap {pairs}, such as with {one['other']}"
        yield Concern(
            f"{text}: there were two recorders, or a clock was wrong, or a file is in the wrong "
            "folder. Rates per hour count both.",
            one["recordings"],
            one["first"],
        )


def _find_copies(connection: duckdb.DuckDBPyConnection) -> Iterator[Concern]:
    copies = query(connection, _COPIES)
    if copies:
        n_extra = sum(one["recordings"] - 1 for one in copies)
        example = copies[0]
        text = f"Exact copies of other recordings, such as of {example['first']}"
        yield Concern(f"{text}: what is in them counts twice.", n_extra, example["last"])


def _explain_dead(totals: Mapping[str, Any]) -> Iterator[Concern]:
    if totals["dead_s"]:
        recordings = counted(totals["n_dead"], "recording")
        yield Concern(
            f"{recordings} {'is' if totals['n_dead'] == 1 else 'are'} dead for "
            f"{format_duration(totals['dead_s'])} in all: one exact value for 2 s or more, without "
            "even noise. Nothing was recorded then, so this is neither effort nor silence."
        )


def _explain_gone(gone: Sequence[str]) -> Iterator[Concern]:
    if gone:
        yield Concern(
            f"The files of {counted(len(gone), 'recording')} are gone, such as {gone[0]}. "
            "What was found in them before still counts."
        )
