"""Detections of a dataset by station, label and local time, with what was listened to.

The same for Parquet files of detections, which know neither effort nor time zones, is in
`aggregates.py`.
"""

from collections.abc import Sequence

import duckdb

from badc_core.corpus.summaries import SummaryTable, run_query
from badc_core.reports.aggregates import require_groups

_LABELS = ("label", "label_name", "scientific_name")
_TIMES = {
    "date": "local_date",
    "hour": "local_hour",
    "week": "strftime(local_date, '%G-W%V')",
}
_BY_RECORDING = """
    SELECT c.*, study_area, location FROM counts_by_recording c JOIN recordings USING (recording_id)
"""
_BY_TIME = f"""
    SELECT study_area, location, local_date, local_hour, label, label_name, scientific_name,
        detections, total
    FROM counts_by_hour
    UNION ALL BY NAME
    SELECT study_area, location, label, label_name, scientific_name, detections, total
    FROM ({_BY_RECORDING})
    WHERE recording_id IN (SELECT recording_id FROM recordings WHERE start_local IS NULL)
"""  # noqa: S608
# Of all detections: no counts are kept of this. Each has the local time of its own moment.
_BY_BOTH = """
    SELECT *, local_time::DATE AS local_date, hour(local_time) AS local_hour,
        1 AS detections, confidence AS total
    FROM (
        SELECT d.label, d.label_name, d.scientific_name, recording_id, r.study_area, r.location,
            confidence,
            CASE
                WHEN r.start_utc IS NOT NULL
                    AND r.timezone IN (SELECT name FROM pg_timezone_names())
                    THEN timezone(r.timezone, r.start_utc + to_milliseconds(absolute_time_ms))
                ELSE r.start_local::TIMESTAMP + to_milliseconds(absolute_time_ms)
            END AS local_time
        FROM real_detections d JOIN recordings r USING (recording_id)
    )
"""


def summarize_dataset(connection: duckdb.DuckDBPyConnection, groups: Sequence[str]) -> SummaryTable:
    """Returns detections and mean score of each group, and effort and rate where they are known.

    Effort is that of a group's stations, recordings and times, and known unless they are of
    recordings and times both. Without a label among the groups, those in which nothing was detected
    are listed too.

    Args:
        connection: to a corpus.
        groups: names in `aggregates.GROUPS`.

    Raises:
        OptionInvalid: a name is not among them.
    """
    require_groups(groups)
    names = list(dict.fromkeys(groups))
    columns = ", ".join(f'{_TIMES.get(one, one)} AS "{one}"' for one in names)
    shared = [one for one in names if one not in _LABELS]
    has_times, has_recordings = bool(_TIMES.keys() & shared), "recording_id" in shared
    counts = _BY_BOTH if has_times and has_recordings else _BY_TIME if has_times else _BY_RECORDING
    found = f"""
        SELECT {columns}, sum(detections)::BIGINT AS detections,
            round(sum(total) / sum(detections), 6) AS avg_confidence
        FROM ({counts}) GROUP BY ALL
    """  # noqa: S608  (names of ours)
    order = ", ".join(f'"{one}"' for one in names)
    if not shared or counts == _BY_BOTH:
        return run_query(connection, f"FROM ({found}) ORDER BY detections DESC, {order}")
    same = " AND ".join(f'f."{one}" IS NOT DISTINCT FROM e."{one}"' for one in shared)
    kind = "FULL" if shared == names else "LEFT"
    chosen = ", ".join(
        f'coalesce(f."{one}", e."{one}") AS "{one}"' if one in shared else f'f."{one}"'
        for one in names
    )
    return run_query(
        connection,
        f"""
        SELECT {chosen}, coalesce(detections, 0) AS detections, avg_confidence,
            round(effort_s, 3) AS effort_s,
            round(coalesce(detections, 0) * 3600 / nullif(effort_s, 0), 3) AS detections_per_hour
        FROM ({found}) f {kind} JOIN ({_effort(shared)}) e ON {same}
        ORDER BY detections DESC, {order}
        """,  # noqa: S608
    )


def count_stub_recordings(connection: duckdb.DuckDBPyConnection) -> int:
    """Returns on how many recordings of a corpus no model ran, but the stub runner."""
    sql = "SELECT count(*) FROM chunks_by_recording WHERE stub_chunks > 0"
    ((n_stub,),) = connection.execute(sql).fetchall()
    return int(n_stub)


def _effort(shared: Sequence[str]) -> str:
    """Returns the query for the seconds analysed in groups of stations, and recordings or times."""
    view = "effort_by_hour" if _TIMES.keys() & shared else "effort_by_recording"
    columns = ", ".join(f'{_TIMES.get(one, one)} AS "{one}"' for one in shared)
    return f"SELECT {columns}, sum(effort_s) AS effort_s FROM {view} GROUP BY ALL"  # noqa: S608
