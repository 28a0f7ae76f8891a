"""The CSV and JSON files of a bundle and of the corpus.

Their columns are an interface to other programs. They are read from the views in `sql/*.sql`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from badc_core.atomic import replacing_folder, writing_text
from badc_core.csv_tables import write_rows
from badc_core.datasets.dataset import BundlePaths
from badc_core.reports.database import query

_LABELS = "SELECT label, label_name, detections, avg_confidence FROM label_summary"
_RECORDINGS = "SELECT recording_id, detections, avg_confidence FROM recording_summary"
_CHUNKS = """
    SELECT chunk_id, chunk_start_ms, count(*) AS detections,
        round(avg(confidence), 6) AS avg_confidence
    FROM real_detections GROUP BY chunk_id, chunk_start_ms ORDER BY chunk_start_ms, chunk_id
"""
_TIMELINE = "SELECT bucket_index, bucket_start_ms, detections, avg_confidence FROM timeline_summary"
_TOTALS = """
    SELECT count(*) AS detections, count(DISTINCT label) AS label_count,
        count(DISTINCT recording_id) AS recording_count, min(chunk_start_ms) AS first_chunk_ms,
        max(chunk_start_ms) AS last_chunk_ms,
        (SELECT bucket_minutes FROM settings) AS bucket_minutes
    FROM real_detections
"""
_CORPUS_LABELS = "SELECT label_name, label, detections, avg_confidence FROM label_summary"


@dataclass(frozen=True)
class SummaryTable:
    """The result of a query."""

    header: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    def write(self, path: Path) -> None:
        """Writes a CSV, with only the header if there are no rows."""
        with writing_text(path) as file:
            write_rows(file, self.header, self.rows)


def write_summaries(connection: duckdb.DuckDBPyConnection, bundle: BundlePaths) -> None:
    """Writes a bundle's quicklook, parquet report and DuckDB exports.

    Args:
        connection: the recording's report database.
        bundle: each of the three folders is replaced as a whole.
    """
    # The three share most tables, and a query costs more than a file.
    labels, recordings = _query(connection, _LABELS), _query(connection, _RECORDINGS)
    timeline = _query(connection, _TIMELINE)
    with replacing_folder(bundle.quicklook) as aside:
        labels.write(aside / "labels.csv")
        recordings.write(aside / "recordings.csv")
        _query(connection, _CHUNKS).write(aside / "chunks.csv")
    with replacing_folder(bundle.parquet_report) as aside:
        labels.write(aside / "labels.csv")
        recordings.write(aside / "recordings.csv")
        named = [(f"bucket_{index}", *rest) for index, *rest in timeline.rows]
        SummaryTable(("bucket", *timeline.header[1:]), named).write(aside / "timeline.csv")
        summary = json.dumps(query(connection, _TOTALS)[0], indent=2) + "\n"
        (aside / "summary.json").write_text(summary, encoding="utf-8")
    with replacing_folder(bundle.duckdb_exports) as aside:
        labels.write(aside / "label_summary.csv")
        recordings.write(aside / "recording_summary.csv")
        timeline.write(aside / "timeline.csv")


def write_corpus_summary(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Writes label_summary.csv and recording_summary.csv of a corpus.

    Args:
        connection: the corpus database.
        folder: replaced as a whole.
    """
    with replacing_folder(folder) as aside:
        _query(connection, _CORPUS_LABELS).write(aside / "label_summary.csv")
        _query(connection, _RECORDINGS).write(aside / "recording_summary.csv")


def _query(connection: duckdb.DuckDBPyConnection, sql: str) -> SummaryTable:
    cursor = connection.execute(sql)
    header = tuple(column[0] for column in cursor.description or ())
    return SummaryTable(header, cursor.fetchall())
