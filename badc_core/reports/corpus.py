"""The corpus database: all recordings of a dataset in one DuckDB file, and its summary CSVs.

One writer makes it under another name and renames it, so readers of the old file do not block it.
Its views are `sql/*.sql`; the page about the corpus is in `corpus_page.py`.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa

from badc_core.annexed_files import content_missing, lacks_content
from badc_core.atomic import replacing_folder
from badc_core.datasets.dataset import Dataset
from badc_core.detections.store import read_detections, read_effort
from badc_core.devices.places import usable_cores
from badc_core.errors import DatasetInvalid, DetectionsInvalid
from badc_core.provenance.annex import fetch
from badc_core.recordings.failures import fetch_failures, read_failures
from badc_core.recordings.missing import find_absent, find_superseded
from badc_core.recordings.recording import Recording, read_recording
from badc_core.recordings.registry import read_registry
from badc_core.reports.database import (
    TABLES,
    create_speech,
    create_table,
    create_tables,
    create_views,
    insert_recordings,
    insert_settings,
    naming_duckdb_trouble,
    query,
    read_back,
    replacing_database,
    write_out,
)
from badc_core.reports.finished_database import explain_damage
from badc_core.reports.page import is_whole_page, without_root
from badc_core.reports.parquet_files import reading_results, source
from badc_core.reports.recordings_table import recordings_table
from badc_core.reports.speech_tables import speech_tables
from badc_core.reports.summaries import write_rollup, write_speech
from badc_core.speech.stored import read_speech
from badc_core.stages.damage import mark_damaged

MISSING = pa.schema(
    [("recording_id", pa.string()), ("stage", pa.string()), ("reason", pa.string())]
)
"""The table of recordings that should be in a corpus and have no result."""


@dataclass(frozen=True)
class CorpusTotals:
    """The contents of a corpus.

    Attributes:
        recordings: with results.
        missing: without.
        damaged: how many of those have files that could not be read; they are marked.
        not_here: how many of those have files that could not be fetched.
        labels: different labels detected.
        effort_s: analysed, of `duration_s` recorded.
        dead_s: in which nothing was recorded, of the same.
    """

    recordings: int
    missing: int
    detections: int
    labels: int
    chunks: int
    failed_chunks: int
    duration_s: float
    effort_s: float
    dead_s: float
    damaged: int = 0
    not_here: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether it has all results that there are."""
        return not self.damaged and not self.not_here


def gather_corpus(dataset: Dataset) -> CorpusTotals:
    """Builds the corpus of what the registry and the notes of failures say should be in it.

    Raises:
        DatasetInvalid: one of those is malformed.
        DetectionsInvalid, StorageFull: as for `build_corpus`.
    """
    registry = read_registry(dataset.registry)
    superseded = find_superseded(dataset, registry)
    counted = [one for one in registry.ids if one not in superseded]
    fetch_failures(dataset)
    failures = read_failures(dataset)
    failed = [one for one in registry if one.recording_id in failures]
    # To try a recording whose sound is not here fails, and costs it none of its results.
    absent = find_absent(dataset, failed)
    kept = {*superseded, *(one for one in absent if os.path.lexists(dataset.effort(one)))}
    missing = {
        one: note.error
        for one, note in failures.items()
        if note.stage != "report_bundle" and one not in kept
    }
    return build_corpus(dataset, counted, missing)


def build_corpus(
    dataset: Dataset, recording_ids: Sequence[str], missing: Mapping[str, str]
) -> CorpusTotals:
    """Writes the corpus database and the CSVs beside it, replacing what was there.

    Args:
        dataset: the corpus's.
        recording_ids: the recordings that should be in it. Those without files, or with a file
            that cannot be read, are listed as missing.
        missing: recording_id -> why it has no result; these are only listed as missing.

    Raises:
        DetectionsInvalid: the files cannot be read together, although each can be read alone.
        StorageFull: the disk or a quota is full.
    """
    reasons = {one: (_first_absent(dataset, one), why) for one, why in missing.items()}
    not_here = _fetch_results(dataset, set(recording_ids) - missing.keys())
    reasons |= not_here
    present: dict[str, Recording] = {}
    damaged: dict[str, tuple[str, str]] = {}
    for recording_id in sorted(set(recording_ids) - reasons.keys()):
        stage = _first_absent(dataset, recording_id)
        if stage:
            reasons[recording_id] = (stage, f"no {stage} yet")
            continue
        try:
            present[recording_id] = read_recording(dataset.recording(recording_id))
        except DatasetInvalid as error:
            mark_damaged(dataset, "recording", recording_id)
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
    return replace(totals, damaged=len(damaged), not_here=len(not_here))


def _fetch_results(dataset: Dataset, recording_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Fetches what the corpus is made from; returns recordings without it, with stage and why."""
    files = {
        path: (one, stage)
        for one in recording_ids
        for stage, path in _made_from(dataset, one).items()
    }
    return {
        files[path][0]: (files[path][1], str(content_missing(path, why)))
        for path, why in fetch(files).items()
    }


def _made_from(dataset: Dataset, recording_id: str) -> dict[str, Path]:
    """Returns name -> file of a recording that the corpus is made from."""
    return {
        "recording": dataset.recording(recording_id),
        "detections": dataset.detections(recording_id),
        "effort": dataset.effort(recording_id),
    }


def explain_corpus_damage(dataset: Dataset) -> str:
    """Returns which file of a corpus is missing or damaged, and how; empty if none seems so.

    A file whose content is elsewhere is not damaged. The cost does not grow with the corpus.
    """
    corpus = dataset.corpus
    here = [path for path in (corpus.duckdb, corpus.html) if not lacks_content(path)]
    for path in here:
        if not path.is_file():
            return f"{path.name} is missing"
    why = explain_damage(corpus.duckdb) if corpus.duckdb in here else ""
    if why:
        return f"{corpus.duckdb.name} is damaged ({why})"
    is_cut_off = corpus.html in here and not is_whole_page(corpus.html)
    return f"{corpus.html.name} is damaged (it is cut off)" if is_cut_off else ""


def _find_damaged(dataset: Dataset, recording_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Reads every file; returns the recordings with a damaged file, and why.

    They are marked, so that the next run analyses them again.
    """
    damaged = {}
    for recording_id in recording_ids:
        try:
            read_detections(dataset.detections(recording_id))
            read_effort(dataset.effort(recording_id))
        except DetectionsInvalid as error:
            mark_damaged(dataset, "detections", recording_id)
            damaged[recording_id] = ("detections", str(error))
    return damaged


def _write(
    dataset: Dataset, present: Mapping[str, Recording], reasons: Mapping[str, tuple[str, str]]
) -> CorpusTotals:
    """Writes the corpus of readable recordings; the others are listed with stage and reason."""
    speech = _speech(dataset, present)
    with replacing_database(dataset.corpus.duckdb) as aside:
        with naming_duckdb_trouble(aside), _connect(aside) as connection:
            create_tables(connection)
            create_views(connection)
            insert_settings(connection, dataset.settings)
            _create_missing(connection, dataset, reasons)
            insert_recordings(connection, recordings_table(list(present.values())))
            _insert_files(connection, "detections", [dataset.detections(one) for one in present])
            _insert_files(connection, "chunks", [dataset.effort(one) for one in present])
            create_speech(connection, speech)
            n_rows = write_out(connection, (*TABLES, *speech))
        with read_back(aside, n_rows) as connection:
            with replacing_folder(dataset.corpus.summary) as folder:
                write_rollup(connection, folder)
                if speech:
                    write_speech(connection, folder)
            totals = _total(connection)
    return totals


def _speech(dataset: Dataset, present: Mapping[str, Recording]) -> dict[str, pa.Table]:
    """Returns the tables about speech; none where it is not searched for."""
    if not dataset.settings.speech.is_searched_for:
        return {}
    fetch(dataset.speech(one) for one in present)
    found = {one: read_speech(dataset, one, recording.sha256) for one, recording in present.items()}
    return speech_tables(found)


def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(path, config={"threads": str(usable_cores())})


def _first_absent(dataset: Dataset, recording_id: str) -> str:
    """Returns the first stage without its file; empty if no file is missing."""
    needed = _made_from(dataset, recording_id)
    absent = next((stage for stage, path in needed.items() if not os.path.lexists(path)), "")
    if absent == "detections" and not os.path.lexists(dataset.manifest(recording_id)):
        return "chunk_manifest"
    return absent


def _create_missing(
    connection: duckdb.DuckDBPyConnection,
    dataset: Dataset,
    reasons: Mapping[str, tuple[str, str]],
) -> None:
    rows = [
        {
            "recording_id": one,
            "stage": stage or "detections",
            "reason": without_root(dataset, reason),
        }
        for one, (stage, reason) in sorted(reasons.items())
    ]
    create_table(connection, "missing", pa.Table.from_pylist(rows, schema=MISSING))


def _insert_files(connection: duckdb.DuckDBPyConnection, name: str, paths: list[Path]) -> None:
    if not paths:
        return
    with reading_results(connection, name, paths) as (patterns, unite):
        rows = f"SELECT * FROM {source(unite=unite)}"  # noqa: S608
        connection.execute(f'INSERT INTO "{name}" BY NAME {rows}', [patterns])


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
            (SELECT coalesce(sum(effort_s), 0.0) FROM chunks) AS effort_s,
            (SELECT coalesce(sum(dead_s), 0.0) FROM chunks) AS dead_s
        """,
    )
    return CorpusTotals(**row)
