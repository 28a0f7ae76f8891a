"""What detections and effort promise, asked of one recording's tables and of a whole corpus.

The rules of a corpus are data: each is a query for the rows that break it. What columns exist is
in `schema.py`.
"""

from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from badc_core.detectors import stub
from badc_core.errors import DetectionsInvalid, ManifestMismatch
from badc_core.recordings.recording import Recording
from badc_core.units import samples_to_ms

CHUNK_STATUSES = ("ok", "no_detections", "error", stub.NAME)

_MAX_EXAMPLES = 5
_REMEDY = "Materialise the recording again: badc run DATASET"


@dataclass(frozen=True)
class CorpusCheck:
    """A rule.

    Attributes:
        name: as a check in the asset graph.
        description: what holds where it passes, one sentence.
        sql: yields one text for each violation.
        is_warning: whether what breaks it deserves a look but spoils no result.
    """

    name: str
    description: str
    sql: str
    is_warning: bool = False


@dataclass(frozen=True)
class CheckOutcome:
    """What a rule found.

    Attributes:
        violations: how many things break it.
        examples: the first few of them.
        is_warning: as of the rule.
    """

    name: str
    description: str
    passed: bool
    violations: int
    examples: list[str]
    is_warning: bool = False


CORPUS_CHECKS: tuple[CorpusCheck, ...] = (
    CorpusCheck(
        "recording_ids_unique",
        "Every recording is in the corpus once.",
        "SELECT recording_id FROM recordings GROUP BY 1 HAVING count(*) > 1",
    ),
    CorpusCheck(
        "recordings_distinct",
        "No two recordings hold the same sound; both count, so delete a copy.",
        """
        SELECT concat(
            array_to_string(list(DISTINCT recording_id ORDER BY recording_id)[:4], ', '),
            CASE WHEN count(DISTINCT recording_id) > 4 THEN ', ...' END,
            ' (sha256 ', left(sha256, 12), ')'
        )
        FROM recordings WHERE sha256 IS NOT NULL
        GROUP BY sha256 HAVING count(DISTINCT recording_id) > 1
        """,
        is_warning=True,
    ),
    CorpusCheck(
        "one_configuration",
        "All detections were made by one detector under the same settings.",
        """
        SELECT runner || ' ' || model_version || ', settings ' || config_hash FROM detections
        GROUP BY runner, model_version, config_hash
        QUALIFY count(*) OVER () > 1 AND row_number() OVER (ORDER BY count(*) DESC) > 1
        """,
    ),
    CorpusCheck(
        "chunk_ids_unique",
        "Every chunk is accounted for once.",
        "SELECT chunk_id FROM chunks GROUP BY 1 HAVING count(*) > 1",
    ),
    CorpusCheck(
        "recordings_have_chunks",
        "Every recording has chunks, and every chunk and detection a recording.",
        """
        SELECT recording_id FROM recordings ANTI JOIN chunks USING (recording_id)
        UNION ALL SELECT DISTINCT recording_id FROM chunks
            ANTI JOIN recordings USING (recording_id)
        UNION ALL SELECT DISTINCT recording_id FROM detections
            ANTI JOIN recordings USING (recording_id)
        """,
    ),
    CorpusCheck(
        "chunks_cover_recordings",
        "The chunks of a recording reach from its start to its end without a gap.",
        """
        WITH reach AS (
            SELECT *, max(chunk_end_ms) OVER (
                PARTITION BY recording_id ORDER BY chunk_start_ms, chunk_end_ms
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS reached_ms
            FROM chunks
        ), covered AS (
            SELECT recording_id, min(chunk_start_ms) AS start_ms, max(chunk_end_ms) AS end_ms,
                bool_or(chunk_start_ms > reached_ms) AS has_gap
            FROM reach GROUP BY ALL
        )
        SELECT recording_id FROM covered JOIN recordings USING (recording_id)
        WHERE coalesce(has_gap, false) OR start_ms <> 0
            OR end_ms <> (2000 * n_samples + sample_rate_hz) // (2 * sample_rate_hz)
        """,
    ),
    CorpusCheck(
        "confidences_in_range",
        "Every confidence lies between 0 and 1.",
        "SELECT detection_id FROM detections WHERE NOT (confidence >= 0 AND confidence <= 1)",
    ),
    CorpusCheck(
        "detections_inside_recordings",
        "Every detection lies inside its recording and lasts longer than nothing.",
        """
        SELECT detection_id FROM detections JOIN recordings USING (recording_id)
        WHERE absolute_time_ms < 0 OR absolute_end_ms <= absolute_time_ms
            OR absolute_end_ms > (2000 * n_samples + sample_rate_hz) // (2 * sample_rate_hz)
        """,
    ),
    CorpusCheck(
        "detections_counted",
        "The chunks count exactly the detections there are.",
        """
        WITH found AS (SELECT chunk_id, count(*) AS n FROM detections GROUP BY 1)
        SELECT chunk_id FROM chunks FULL JOIN found USING (chunk_id)
        WHERE coalesce(detections, 0) <> coalesce(n, 0)
        """,
    ),
    CorpusCheck(
        "no_failed_chunks",
        "Every chunk could be analysed.",
        """
        SELECT CASE WHEN starts_with(error, chunk_id) THEN error
            ELSE concat(chunk_id, ': ', coalesce(error, 'no reason given')) END
        FROM chunks WHERE status = 'error'
        """,
    ),
)


def verify_corpus(connection: duckdb.DuckDBPyConnection) -> tuple[CheckOutcome, ...]:
    """Returns what every rule finds in a corpus database; nothing raises here."""
    return tuple(_ask(connection, check) for check in CORPUS_CHECKS)


def _ask(connection: duckdb.DuckDBPyConnection, check: CorpusCheck) -> CheckOutcome:
    found = connection.execute(
        f"WITH broken(example) AS ({check.sql}) "  # noqa: S608
        f"SELECT count(*), list(example ORDER BY example)[:{_MAX_EXAMPLES}] FROM broken"
    ).fetchone()
    violations, examples = found or (0, None)
    return CheckOutcome(
        check.name,
        check.description,
        passed=violations == 0,
        violations=violations,
        examples=list(examples or []),
        is_warning=check.is_warning,
    )


def verify_recording(recording: Recording, detections: pa.Table, effort: pa.Table) -> None:
    """Checks one recording's tables against each other and against the recording.

    A failed chunk is no mistake of the tables and passes.

    Args:
        recording: what the tables are about.
        detections: by `schema.DETECTIONS`.
        effort: by `schema.EFFORT`, in any order.

    Raises:
        ManifestMismatch: the chunks are not those of the recording.
        DetectionsInvalid: a value breaks what the schema promises.
    """
    end_ms = samples_to_ms(recording.n_samples, recording.sample_rate_hz)
    _verify_coverage(recording, effort, end_ms)
    _verify_effort(recording, effort)
    _verify_detections(recording, detections, end_ms)
    _verify_counts(recording, detections, effort)


def _verify_coverage(recording: Recording, effort: pa.Table, end_ms: int) -> None:
    if not effort.num_rows:
        raise ManifestMismatch("it has no chunks", recording.path, _REMEDY)
    _refuse_strangers(recording, effort, "chunks")
    if pc.count_distinct(effort["chunk_id"]).as_py() != effort.num_rows:
        raise ManifestMismatch("a chunk is there twice", recording.path, _REMEDY)
    starts_ms, ends_ms = _numbers(effort, "chunk_start_ms"), _numbers(effort, "chunk_end_ms")
    order = np.argsort(starts_ms, kind="stable")
    starts_ms, reached_ms = starts_ms[order], np.maximum.accumulate(ends_ms[order])
    gaps = np.flatnonzero(starts_ms[1:] > reached_ms[:-1])
    if starts_ms[0] != 0 or reached_ms[-1] != end_ms or gaps.size:
        place = f", with a gap at {reached_ms[gaps[0]]} ms" if gaps.size else ""
        raise ManifestMismatch(
            f"its chunks reach from {starts_ms[0]} to {reached_ms[-1]} ms{place}; "
            f"the recording from 0 to {end_ms} ms",
            recording.path,
            _REMEDY,
        )


def _verify_effort(recording: Recording, effort: pa.Table) -> None:
    status = effort["status"].cast(pa.string())
    effort_s = effort["effort_s"]
    failed = pc.equal(status, "error")
    unheard = pc.equal(status, stub.NAME)
    _refuse(recording, pc.invert(pc.is_in(status, pa.array(CHUNK_STATUSES))), "unknown status")
    _refuse(recording, _outside(effort_s, float("inf")), "effort below 0")
    _refuse(
        recording,
        pc.and_(failed, pc.or_(pc.is_null(effort["error"]), pc.greater(effort_s, 0))),
        "a failed chunk without a reason, or with effort",
    )
    _refuse(recording, pc.and_(unheard, pc.greater(effort_s, 0)), "effort without a model")


def _verify_detections(recording: Recording, detections: pa.Table, end_ms: int) -> None:
    _refuse_strangers(recording, detections, "detections")
    start, end = detections["absolute_time_ms"], detections["absolute_end_ms"]
    _refuse(recording, _outside(detections["confidence"], 1), "confidence outside 0 to 1")
    _refuse(
        recording,
        pc.or_(_outside(start, end_ms), _outside(end, end_ms)),
        f"detection outside the recording (0 to {end_ms} ms)",
    )
    _refuse(recording, pc.less_equal(end, start), "detection that ends before it starts")


def _verify_counts(recording: Recording, detections: pa.Table, effort: pa.Table) -> None:
    found = pc.value_counts(detections["chunk_id"].cast(pa.string()))
    counted: dict[str, int] = dict(
        zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True)
    )
    promised = dict(
        zip(effort["chunk_id"].to_pylist(), effort["detections"].to_pylist(), strict=True)
    )
    for chunk_id in sorted(counted.keys() | promised.keys()):
        if counted.get(chunk_id, 0) != promised.get(chunk_id, 0):
            raise DetectionsInvalid(
                f"chunk {chunk_id} counts {promised.get(chunk_id, 0)} detections, "
                f"there are {counted.get(chunk_id, 0)}",
                recording.path,
                _REMEDY,
            )


def _refuse_strangers(recording: Recording, table: pa.Table, what: str) -> None:
    own = pc.equal(table["recording_id"].cast(pa.string()), recording.recording_id)
    _refuse(recording, pc.invert(own), f"{what} of another recording")


def _refuse(recording: Recording, wrong: Any, what: str) -> None:
    """Raises if any value of a boolean column is true."""
    n_wrong = pc.sum(wrong).as_py() or 0
    if n_wrong:
        raise DetectionsInvalid(f"{what} ({n_wrong} rows)", recording.path, _REMEDY)


def _outside(column: Any, highest: float) -> Any:
    """Tells value by value what is not from 0 to a number; not a number is not."""
    within = pc.and_(pc.greater_equal(column, 0), pc.less_equal(column, highest))
    return pc.invert(within)


def _numbers(table: pa.Table, name: str) -> npt.NDArray[np.int64]:
    numbers: npt.NDArray[np.int64] = table[name].to_numpy()
    return numbers
