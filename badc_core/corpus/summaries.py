"""The CSV and JSON files of a bundle and of the corpus.

Their columns are an interface to other programs. They are read from the views in `sql/*.sql`, of
any database that has these. Files are always whole: who shows fewer rows cuts them on screen.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from badc_core.atomic import naming_storage_trouble, replacing, replacing_folder, writing_text
from badc_core.corpus.database import query
from badc_core.csv_tables import write_rows
from badc_core.datasets.dataset import BundlePaths

_LABELS = """
    SELECT label, label_name, detections, avg_confidence, expected, not_expected, not_known,
        avg_calibrated_p
    FROM label_summary
"""
_RECORDINGS = """
    SELECT recording_id, detections, avg_confidence, expected, not_expected, not_known
    FROM recording_summary
"""
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
_SEGMENTS = """
    SELECT recording_id, start_ms, end_ms, round(probability, 3) AS probability
    FROM speech_segments ORDER BY start_ms
"""
_SPEECH = "SELECT recording_id, has_speech, speech_s FROM speech_by_recording ORDER BY recording_id"
_ROLLUP_LABELS = """
    SELECT label_name, label, detections, avg_confidence, expected, not_expected, not_known,
        avg_calibrated_p
    FROM label_summary
"""


@dataclass(frozen=True)
class SummaryTable:
    """The result of a query."""

    header: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    def write(self, path: Path) -> None:
        """Writes a CSV, with only the header if there are no rows."""
        with writing_text(path) as file:
            write_rows(file, self.header, self.rows)

    def records(self) -> list[dict[str, Any]]:
        """Returns the rows, each as column -> value."""
        return [dict(zip(self.header, row, strict=True)) for row in self.rows]


class Summaries:
    """The tables of a report database; each is queried once, which costs more than a file.

    Args:
        connection: to a database with the views `database.SUMMARY_VIEWS`.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    @cached_property
    def labels(self) -> SummaryTable:
        """Labels, the most frequent first."""
        return _query_labels(self._connection, _LABELS)

    @cached_property
    def recordings(self) -> SummaryTable:
        """Recordings, those with most detections first."""
        return run_query(self._connection, _RECORDINGS)

    @cached_property
    def chunks(self) -> SummaryTable:
        """Chunks with detections, by start."""
        return run_query(self._connection, _CHUNKS)

    @cached_property
    def timeline(self) -> SummaryTable:
        """Buckets of the time since recordings' starts that have detections."""
        return run_query(self._connection, _TIMELINE)

    @cached_property
    def totals(self) -> dict[str, Any]:
        """Sums over everything."""
        return query(self._connection, _TOTALS)[0]


def write_summaries(
    connection: duckdb.DuckDBPyConnection, bundle: BundlePaths, *, with_speech: bool = False
) -> None:
    """Writes a bundle's quicklook, parquet report and DuckDB exports.

    Args:
        connection: the recording's report database.
        bundle: each of the three folders is replaced as a whole.
        with_speech: also speech.csv in the quicklook, where speech was searched for.
    """
    summaries = Summaries(connection)
    with replacing_folder(bundle.quicklook) as aside:
        write_quicklook(summaries, aside)
        if with_speech:
            run_query(connection, _SEGMENTS).write(aside / "speech.csv")
    with replacing_folder(bundle.parquet_report) as aside:
        write_parquet_report(summaries, aside)
    with replacing_folder(bundle.duckdb_exports) as aside:
        write_exports(summaries, aside)


@contextmanager
def adding_to_folder(folder: Path) -> Iterator[Path]:
    """Yields an empty folder to write to; its files are then moved into `folder`.

    What else is there stays: a user has chosen the folder, and it may hold anything. Nothing
    changes before all files are written.

    Raises:
        StorageFull: the disk or a quota is full.
        OutputUnwritable: no permission to write there, or a file has the name of a folder.
    """
    folder = folder.absolute()
    with naming_storage_trouble(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".tables.", suffix=".part", dir=folder) as aside:
            yield Path(aside)
            for one in sorted(Path(aside).iterdir()):
                with replacing(folder / one.name) as new:
                    one.rename(new)


def write_quicklook(summaries: Summaries, folder: Path) -> None:
    """Writes labels.csv, recordings.csv and chunks.csv into an empty folder."""
    summaries.labels.write(folder / "labels.csv")
    summaries.recordings.write(folder / "recordings.csv")
    summaries.chunks.write(folder / "chunks.csv")


def write_parquet_report(summaries: Summaries, folder: Path) -> None:
    """Writes three CSVs and summary.json into an empty folder."""
    timeline = summaries.timeline
    summaries.labels.write(folder / "labels.csv")
    summaries.recordings.write(folder / "recordings.csv")
    named = [(f"bucket_{index}", *rest) for index, *rest in timeline.rows]
    SummaryTable(("bucket", *timeline.header[1:]), named).write(folder / "timeline.csv")
    summary = json.dumps(summaries.totals, indent=2) + "\n"
    (folder / "summary.json").write_text(summary, encoding="utf-8")


def write_exports(summaries: Summaries, folder: Path) -> None:
    """Writes the three summary views as CSV into an empty folder."""
    summaries.labels.write(folder / "label_summary.csv")
    summaries.recordings.write(folder / "recording_summary.csv")
    summaries.timeline.write(folder / "timeline.csv")


def write_rollup(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Writes label_summary.csv and recording_summary.csv over many recordings.

    Args:
        connection: to a database with the views `database.SUMMARY_VIEWS`.
        folder: empty.
    """
    _query_labels(connection, _ROLLUP_LABELS).write(folder / "label_summary.csv")
    run_query(connection, _RECORDINGS).write(folder / "recording_summary.csv")


def write_speech(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Writes speech.csv over many recordings; the database has the table."""
    run_query(connection, _SPEECH).write(folder / "speech.csv")


def _query_labels(connection: duckdb.DuckDBPyConnection, sql: str) -> SummaryTable:
    """Returns a table of labels; its last column, of probabilities, only where there are any."""
    found = run_query(connection, sql)
    if any(row[-1] is not None for row in found.rows):
        return found
    return SummaryTable(found.header[:-1], [row[:-1] for row in found.rows])


def run_query(connection: duckdb.DuckDBPyConnection, sql: str) -> SummaryTable:
    """Returns the result of a query."""
    cursor = connection.execute(sql)
    header = tuple(column[0] for column in cursor.description or ())
    return SummaryTable(header, cursor.fetchall())
