"""What the tables of a corpus promise.

The rules are data: each is a query for the rows that break it. What holds for one recording's
tables, before they are written, is in `detections/verify.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from badc_core.corpus.parts import BrokenRule, CorpusPart

_MAX_EXAMPLES = 5


@dataclass(frozen=True)
class CorpusCheck:
    """A rule.

    Attributes:
        name: as a check in the asset graph.
        description: what holds where it passes, one sentence.
        sql: yields one text for each violation. To tell whether there are any, a rule about parts
            is also asked of tables with numbers in place of texts (`numbered_texts.py`).
        is_warning: whether what breaks it deserves a look but spoils no result.
        of_all: whether it is about all recordings together, and quickly answered; the others hold
            for all if they hold for some at a time.
    """

    name: str
    description: str
    sql: str
    is_warning: bool = False
    of_all: bool = False


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
        of_all=True,
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
        of_all=True,
    ),
    CorpusCheck(
        "one_configuration",
        "All detections were made by one detector under the same settings.",
        """
        SELECT runner || ' ' || model_version || ', settings ' || config_hash
        FROM detectors_by_recording GROUP BY runner, model_version, config_hash
        QUALIFY count(*) OVER () > 1 AND row_number() OVER (ORDER BY sum(detections) DESC) > 1
        """,
        of_all=True,
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
        WITH reach AS (
            SELECT recording_id, min(absolute_time_ms) AS first_ms, max(absolute_end_ms) AS last_ms,
                min(absolute_end_ms - absolute_time_ms) AS shortest_ms
            FROM detections GROUP BY recording_id
        ), wrong AS (
            SELECT recording_id,
                (2000 * n_samples + sample_rate_hz) // (2 * sample_rate_hz) AS length_ms
            FROM reach JOIN recordings USING (recording_id)
            WHERE first_ms < 0 OR shortest_ms <= 0 OR last_ms > length_ms
        )
        SELECT detection_id FROM detections JOIN wrong USING (recording_id)
        WHERE absolute_time_ms < 0 OR absolute_end_ms <= absolute_time_ms
            OR absolute_end_ms > length_ms
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
        "species_expected",
        "Most detections are of species that are expected where and when they were recorded. "
        "Where they are not, coordinates, dates or detector.species_list may be wrong.",
        """
        WITH found AS (
            SELECT label_name, sum(expected) AS n_expected, sum(not_expected) AS n_not
            FROM counts_by_station GROUP BY label_name
        )
        SELECT concat(label_name, ': ', n_not,
            CASE WHEN n_not = 1 THEN ' detection' ELSE ' detections' END)
        FROM found WHERE n_not > 0 AND (SELECT sum(n_not) > sum(n_expected) FROM found)
        """,
        is_warning=True,
        of_all=True,
    ),
    CorpusCheck(
        "no_failed_chunks",
        "Every chunk could be analysed.",
        """
        SELECT CASE WHEN starts_with(error, chunk_id::VARCHAR) THEN error
            ELSE concat(chunk_id, ': ', coalesce(error, 'no reason given')) END
        FROM chunks WHERE status = 'error'
        """,
    ),
)


CHECKS_OF_ALL = tuple(one for one in CORPUS_CHECKS if one.of_all)
CHECKS_OF_PARTS = tuple(one for one in CORPUS_CHECKS if not one.of_all)


def find_broken(
    connection: duckdb.DuckDBPyConnection, checks: Sequence[CorpusCheck]
) -> list[CorpusCheck]:
    """Returns the rules that something in the tables of a corpus breaks."""
    return [
        check
        for check in checks
        if connection.execute(f"SELECT 1 FROM ({check.sql}) LIMIT 1").fetchall()  # noqa: S608
    ]


def verify_corpus(
    connection: duckdb.DuckDBPyConnection, checks: Sequence[CorpusCheck] = CORPUS_CHECKS
) -> tuple[CheckOutcome, ...]:
    """Returns what rules find in the tables of a corpus; nothing raises here."""
    return tuple(_ask(connection, check) for check in checks)


def _ask(connection: duckdb.DuckDBPyConnection, check: CorpusCheck) -> CheckOutcome:
    ((violations, examples),) = connection.execute(
        f"WITH broken(example) AS ({check.sql}) "  # noqa: S608
        f"SELECT count(*), list(example ORDER BY example)[:{_MAX_EXAMPLES}] FROM broken"
    ).fetchall()
    return CheckOutcome(
        check.name,
        check.description,
        passed=violations == 0,
        violations=violations,
        examples=list(examples or []),
        is_warning=check.is_warning,
    )


def sum_up_parts(parts: Sequence[CorpusPart]) -> tuple[CheckOutcome, ...]:
    """Returns what the rules about parts found as these were written."""
    return tuple(
        _sum_up(check, [one.broken[check.name] for one in parts if check.name in one.broken])
        for check in CHECKS_OF_PARTS
    )


def _sum_up(check: CorpusCheck, found: Sequence[BrokenRule]) -> CheckOutcome:
    violations = sum(one.violations for one in found)
    examples = sorted(example for one in found for example in one.examples)[:_MAX_EXAMPLES]
    return CheckOutcome(
        check.name, check.description, not found, violations, examples, check.is_warning
    )
