"""The detections that may be drawn for review, read from a dataset's results with SQL.

Which are drawn is decided in `sampling.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from badc_core.corpus.snapshot import Snapshot
from badc_core.errors import OptionInvalid
from badc_core.intervals import Interval
from badc_core.recordings.clock import clock_after
from badc_core.reviews.sampling import STRATEGIES, Candidate, Group, Sampling
from badc_core.validation import suggest_names

_LABELS = """
    SELECT label, any_value(label_name) AS label_name, any_value(scientific_name) AS scientific_name
    FROM counts_by_recording JOIN recordings USING (recording_id)
    WHERE len(?::VARCHAR[]) = 0 OR list_contains(?::VARCHAR[], location)
    GROUP BY label ORDER BY label
"""
# A turn is a random number that is the same wherever and whenever it is worked out.
_ELIGIBLE = """
    WITH judged AS (
        SELECT unnest($recordings::VARCHAR[]) AS recording_id, unnest($judged::VARCHAR[]) AS label,
            unnest($starts::BIGINT[]) AS start_ms, unnest($ends::BIGINT[]) AS end_ms
    ), eligible AS (
        SELECT *, recording_start_local + to_milliseconds(absolute_time_ms) AS begin,
            md5_number_lower(concat_ws(chr(31), $seed, recording_id, absolute_time_ms,
                absolute_end_ms, label, runner, model_version)) AS turn
        FROM real_detections d
        WHERE list_contains($labels::VARCHAR[], label)
            AND (len($stations::VARCHAR[]) = 0 OR list_contains($stations::VARCHAR[], location))
            AND NOT EXISTS (
                FROM judged j WHERE j.recording_id = d.recording_id AND j.label = d.label
                AND j.start_ms < d.absolute_end_ms AND d.absolute_time_ms < j.end_ms
            )
    ), grouped AS (
        SELECT *, coalesce(({group})::VARCHAR, '') AS one_group FROM eligible
    )
"""
_SIZES = """
    SELECT label, one_group, count(*) AS size, list_min(max(confidence, {most})) AS lowest
    FROM grouped GROUP BY label, one_group ORDER BY label, one_group
"""
# Only the earliest turns leave the database, however many detections there are.
_FIRST = """
    , wanted AS (
        SELECT unnest($w_labels::VARCHAR[]) AS label, unnest($w_groups::VARCHAR[]) AS one_group,
            unnest($w_turns::UBIGINT[]) AS last_turn, unnest($w_scores::DOUBLE[]) AS least_score
    )
    SELECT label, one_group, recording_id, absolute_time_ms, absolute_end_ms, runner, model_version
    FROM grouped JOIN wanted USING (label, one_group)
    WHERE turn <= last_turn AND confidence >= least_score
    ORDER BY label, one_group, {order}
"""
_ROWS = """
    WITH wanted AS (
        SELECT unnest(?::VARCHAR[]) AS label, unnest(?::VARCHAR[]) AS recording_id,
            unnest(?::BIGINT[]) AS absolute_time_ms, unnest(?::BIGINT[]) AS absolute_end_ms,
            unnest(?::VARCHAR[]) AS runner, unnest(?::VARCHAR[]) AS model_version
    )
    SELECT d.*, r.start_local, r.start_utc, r.timezone
    FROM real_detections d JOIN recordings r USING (recording_id)
    SEMI JOIN wanted
        USING (label, recording_id, absolute_time_ms, absolute_end_ms, runner, model_version)
"""
_STATIONS = "SELECT DISTINCT location FROM recordings WHERE location IS NOT NULL"
_DETECTORS = "SELECT DISTINCT runner, model_version FROM detectors_by_recording"

_LAST_TURN = 2**64 - 1
_SPARE = 100
"""How many more than needed of a group are read: turns are random, so their number varies."""

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
        OptionInvalid: a species of which there is no detection, or a station without recordings.
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


def read_groups(
    snapshot: Snapshot, labels: Sequence[str], order: tuple[Choice, Sampling], judged: Spans
) -> dict[str, list[Group]]:
    """Returns label -> groups of its detections that nobody has judged yet.

    One that overlaps with a judged interval of the same label and recording counts as judged: what
    a detection is called depends on how neighbours are joined.

    Args:
        snapshot: of the results.
        labels: whose.
        order: which detections may be drawn, and how.
        judged: where detections were judged.
    """
    choice, sampling = order
    group = STRATEGIES[sampling.strategy].replace("$n", str(sampling.per_label))
    is_top = sampling.strategy == "top"
    values = _name_values(labels, choice, sampling, judged)
    most = sampling.most_per_group
    query = (_ELIGIBLE + _SIZES).format(group=group, most=most)
    sizes = snapshot.read(query, **values).to_pylist()
    wanted = {
        "w_labels": [one["label"] for one in sizes],
        "w_groups": [one["one_group"] for one in sizes],
        "w_turns": [_LAST_TURN if is_top else _last_turn(one["size"], most) for one in sizes],
        "w_scores": [one["lowest"] if is_top else 0 for one in sizes],
    }
    earliest = "confidence DESC, turn" if is_top else "turn"
    query = (_ELIGIBLE + _FIRST).format(group=group, order=earliest)
    rows = snapshot.read(query, **values, **wanted).to_pylist()
    first: dict[tuple[str, str], list[Candidate]] = {}
    for label, name, *columns in (row.values() for row in rows):
        first.setdefault((label, name), []).append(Candidate(*columns))
    found: dict[str, list[Group]] = {}
    for one in sizes:
        some = first[one["label"], one["one_group"]]
        found.setdefault(one["label"], []).append(Group(one["size"], some[:most]))
    return found


def _name_values(
    labels: Sequence[str], choice: Choice, sampling: Sampling, judged: Spans
) -> dict[str, Any]:
    """Returns name -> value of what the queries of groups ask for."""
    spans = [(*key, *one) for key, some in judged.items() for one in some]
    return {
        "recordings": [one[0] for one in spans],
        "judged": [one[1] for one in spans],
        "starts": [one[2] for one in spans],
        "ends": [one[3] for one in spans],
        "labels": list(labels),
        "stations": list(choice.stations),
        "seed": str(sampling.seed),
    }


def read_detections_of(
    snapshot: Snapshot, picked: Sequence[tuple[str, Candidate]]
) -> dict[tuple[str, Candidate], dict[str, Any]]:
    """Returns the columns of detections, with `local_time`, as clocks at the station show it.

    Args:
        snapshot: of the results.
        picked: label and detection each.
    """
    columns = zip(*((label, *one) for label, one in picked), strict=True)
    rows = snapshot.read(_ROWS, *map(list, columns)).to_pylist() if picked else []
    return {_key(one): {**one, "local_time": _local_time(one)} for one in rows}


def _key(row: Mapping[str, Any]) -> tuple[str, Candidate]:
    times = row["absolute_time_ms"], row["absolute_end_ms"]
    one = Candidate(row["recording_id"], *times, row["runner"], row["model_version"])
    return row["label"], one


def _last_turn(size: int, most: int) -> int:
    """Returns the turn up to which about three times as many come as are needed."""
    return min(_LAST_TURN, _LAST_TURN * (3 * most + _SPARE) // size)


def _local_time(row: Mapping[str, Any]) -> str | None:
    if row["start_local"] is None:
        return None
    elapsed = timedelta(milliseconds=row["absolute_time_ms"])
    clock = clock_after(row["start_local"], row["start_utc"], row["timezone"], elapsed)
    return clock.isoformat(timespec="seconds")


def _names(row: Mapping[str, Any]) -> list[str]:
    return [row[key] for key in ("label", "label_name", "scientific_name") if row[key]]


def _require_known(what: str, wanted: Iterable[str], known: Iterable[str]) -> None:
    """Raises OptionInvalid for the first name that is not known, in any case for species."""
    known = {*known}
    folded = {one.lower() for one in known}
    for one in wanted:
        is_known = one in known if what == "station" else one.lower() in folded
        if not is_known:
            nothing = "no station is called" if what == "station" else "nothing was detected called"
            raise OptionInvalid(f"{nothing} {one!r}", f"--{what}", suggest_names(one, known))
