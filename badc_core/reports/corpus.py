"""The corpus database: all recordings of a dataset in one DuckDB file, and its summary CSVs.

Made by one writer, aside and renamed, so that a reader of the old file is never in the way. What
the views say is in `sql/*.sql`; the page about the corpus is made in `corpus_page.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa

from badc_core.atomic import replacing
from badc_core.datasets.dataset import Dataset
from badc_core.detections.schema import SCHEMA_VERSION
from badc_core.detections.store import SCHEMA_KEY, read_detections, read_effort, read_metadata
from badc_core.devices.places import usable_cores
from badc_core.errors import DatasetInvalid, DetectionsInvalid
from badc_core.provenance.in_work import mark
from badc_core.recordings.recording import Recording, read_recording
from badc_core.reports.database import (
    TABLES,
    create_table,
    create_tables,
    create_views,
    insert,
    insert_settings,
    query,
    recordings_table,
)
from badc_core.reports.summaries import write_corpus_summary

_MISSING = pa.schema(
    [("recording_id", pa.string()), ("stage", pa.string()), ("reason", pa.string())]
)


@dataclass(frozen=True)
class CorpusTotals:
    """What a corpus holds.

    Attributes:
        recordings: with results.
        missing: without.
        damaged: of those, how many have files that could not be read; they are marked.
        labels: different ones detected.
        effort_s: analysed, of `duration_s` recorded.
    """

    recordings: int
    missing: int
    detections: int
    labels: int
    chunks: int
    failed_chunks: int
    duration_s: float
    effort_s: float
    damaged: int = 0


def build_corpus(
    dataset: Dataset, recording_ids: Sequence[str], missing: Mapping[str, str]
) -> CorpusTotals:
    """Writes the corpus database and the CSVs beside it, replacing what was there.

    Args:
        dataset: whose corpus.
        recording_ids: the recordings that should be in it. One whose files are not there is
            listed as missing, never passed over; so is one with a file that cannot be read.
        missing: recording_id -> why it has no result; such a recording is left out of the rest.

    Raises:
        DetectionsInvalid: the files cannot be read together although each can alone.
        StorageFull: the disk or a quota is full.
    """
    reasons = {one: (_first_absent(dataset, one), why) for one, why in missing.items()}
    present: dict[str, Recording] = {}
    damaged: dict[str, tuple[str, str]] = {}
    for recording_id in sorted(set(recording_ids) - missing.keys()):
        stage = _first_absent(dataset, recording_id)
        if stage:
            reasons[recording_id] = (stage, f"{stage} not made yet")
            continue
        try:
            present[recording_id] = read_recording(dataset.recording(recording_id))
        except DatasetInvalid as error:
            mark(dataset, "recording", recording_id)
            reasons[recording_id] = ("recording", str(error))
            damaged[recording_id] = reasons[recording_id]
    try:
        totals = _write(dataset, present, reasons)
    except DetectionsInvalid:
        found = _find_damaged(dataset, present)
        if not found:
            raise
        damaged.update(found)
        whole = {one: recording for one, recording in present.items() if one not in found}
        totals = _write(dataset, whole, {**reasons, **found})
    return replace(totals, damaged=len(damaged))


def _find_damaged(dataset: Dataset, recording_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Reads every file to its end; returns recordings with one that cannot be read, and why.

    Such a recording is marked, so that the next run makes it again.
    """
    damaged = {}
    for recording_id in recording_ids:
        try:
            read_detections(dataset.detections(recording_id))
            read_effort(dataset.effort(recording_id))
        except DetectionsInvalid as error:
            mark(dataset, "detections", recording_id)
            damaged[recording_id] = ("detections", str(error))
    return damaged


def _write(
    dataset: Dataset, present: Mapping[str, Recording], reasons: Mapping[str, tuple[str, str]]
) -> CorpusTotals:
    """Writes the corpus of readable recordings, the others listed with stage and reason."""
    with replacing(dataset.corpus.duckdb) as aside, _connect(aside) as connection:
        create_tables(connection)
        create_views(connection)
        insert_settings(connection, dataset.settings)
        _create_missing(connection, reasons)
        insert(connection, "recordings", recordings_table(list(present.values())))
        _insert_files(connection, "detections", [dataset.detections(one) for one in present])
        _insert_files(connection, "chunks", [dataset.effort(one) for one in present])
        write_corpus_summary(connection, dataset.corpus.summary)
        return _total(connection)


def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(path, config={"threads": str(usable_cores())})


def _first_absent(dataset: Dataset, recording_id: str) -> str:
    """Names the first stage without its file; empty where all that a corpus needs is there."""
    needed = {
        "recording": dataset.recording(recording_id),
        "detections": dataset.detections(recording_id),
        "effort": dataset.effort(recording_id),
    }
    absent = next((stage for stage, path in needed.items() if not path.exists()), "")
    if absent == "detections" and not dataset.manifest(recording_id).exists():
        return "chunk_manifest"
    return absent


def _create_missing(
    connection: duckdb.DuckDBPyConnection, reasons: Mapping[str, tuple[str, str]]
) -> None:
    rows = [
        {"recording_id": one, "stage": stage or "detections", "reason": reason}
        for one, (stage, reason) in sorted(reasons.items())
    ]
    create_table(connection, "missing", pa.Table.from_pylist(rows, schema=_MISSING))


def _insert_files(connection: duckdb.DuckDBPyConnection, name: str, paths: list[Path]) -> None:
    if not paths:
        return
    try:
        patterns = [_literal(path) for path in paths]
        _refuse_other_schemas(connection, patterns)
        # The names spelt out: a file with its columns in another order must not shift them.
        columns = ", ".join(f'"{column}"' for column in TABLES[name].names)
        connection.execute(
            f'INSERT INTO "{name}" SELECT {columns} FROM read_parquet($1)',  # noqa: S608
            [patterns],
        )
    except duckdb.Error as error:
        for path in paths:
            read_metadata(path)
        raise DetectionsInvalid(f"{name} cannot be read ({error})", paths[0].parent) from error


def _refuse_other_schemas(connection: duckdb.DuckDBPyConnection, patterns: list[str]) -> None:
    others = query(
        connection,
        """
        SELECT file_name, any_value(decode(value)) FILTER (decode(key) = $2) AS version
        FROM parquet_kv_metadata($1) GROUP BY file_name HAVING version IS DISTINCT FROM $3
        """,
        patterns,
        SCHEMA_KEY,
        str(SCHEMA_VERSION),
    )
    for other in others:
        raise DetectionsInvalid(
            f"follows schema {other['version']}, expected {SCHEMA_VERSION}",
            other["file_name"],
            "Materialise the recording's detections again: badc run",
        )


def _literal(path: Path) -> str:
    """Writes a path so that DuckDB, which takes every path for a pattern, finds just this file."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(path))


def _total(connection: duckdb.DuckDBPyConnection) -> CorpusTotals:
    (row,) = query(
        connection,
        """
        SELECT
            (SELECT count(*) FROM recordings) AS recordings,
            (SELECT count(*) FROM missing) AS missing,
            (SELECT count(*) FROM real_detections) AS detections,
            (SELECT count(DISTINCT label) FROM real_detections) AS labels,
            (SELECT count(*) FROM chunks) AS chunks,
            (SELECT count(*) FROM chunks WHERE status = 'error') AS failed_chunks,
            (SELECT coalesce(sum(duration_s), 0.0) FROM recordings) AS duration_s,
            (SELECT coalesce(sum(effort_s), 0.0) FROM chunks) AS effort_s
        """,
    )
    return CorpusTotals(**row)
