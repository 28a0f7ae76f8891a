"""A dataset's results as one state that does not change while it is read, with SQL.

The corpus database where there is one, else every recording's own files. Nothing is written.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import duckdb
import pyarrow as pa

from badc_core.annexed_files import require_fetched
from badc_core.corpus.building import MISSING
from badc_core.corpus.database import (
    TABLES,
    create_empty,
    create_tables,
    create_views,
    insert_recordings,
    query,
)
from badc_core.corpus.parquet_files import reading_results, source
from badc_core.corpus.reading import attach_corpus, has_corpus, show_corpus
from badc_core.corpus.recordings_table import recordings_table
from badc_core.datasets.dataset import Dataset
from badc_core.detections.store import DETECTOR_SETTINGS_KEY, read_metadata
from badc_core.detector_settings import DetectorSettings
from badc_core.recordings.failures import read_failures
from badc_core.recordings.missing import find_superseded
from badc_core.recordings.recording import Recording, read_recording
from badc_core.recordings.registry import Registry, read_registry
from badc_core.stages.work import Work

_STATES = pa.schema(
    [(name, pa.string()) for name in ("recording_id", "path", "state_without_result", "reason")]
)
_KINDS = {"detections": Dataset.detections, "chunks": Dataset.effort}

FAILED, NOT_ANALYSED, OUTSIDE = "failed", "not analysed", "not in the corpus"
"""States of recordings without a result here."""


class Snapshot:
    """Results of a dataset, to be queried; use as a context manager, or `close` it.

    The tables and views are those of the corpus database (`database.py`), and a table
    `registered` with the recordings of the registry.

    Attributes:
        is_corpus: whether they are read from the corpus database.
    """

    def __init__(self, dataset: Dataset) -> None:
        """Opens a dataset's results.

        Raises:
            ContentMissing: the corpus is annexed, and its content is not here.
            DatasetInvalid, DetectionsInvalid: it, or a file, is damaged or of another schema.
        """
        self._dataset = dataset
        self.is_corpus = has_corpus(dataset)
        # A database of its own, since DuckDB would take a replaced file at a path for the old one.
        self._connection = duckdb.connect(":memory:")
        self._connection.execute("SET TimeZone = 'UTC'")  # else the machine's
        registry = read_registry(dataset.registry)
        try:
            superseded = find_superseded(dataset, registry)
            if self.is_corpus:
                self._attach_corpus()
            else:
                self._open_files([one for one in registry.ids if one not in superseded])
            self._register_states(registry, superseded)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the files."""
        self._connection.close()

    def read(self, sql: str, *values: object, **named: object) -> pa.Table:
        """Returns what a query gives; texts are plain, not dictionary-encoded."""
        return self._connection.sql(sql, params=named or list(values)).to_arrow_table()

    @property
    def min_score(self) -> float:
        """The weakest score that was kept."""
        (row,) = query(self._connection, "SELECT max(min_score) AS weakest FROM settings")
        return float(row["weakest"] or 0)

    def _attach_corpus(self) -> None:
        for path in attach_corpus(self._connection, self._dataset):
            require_fetched(Path(path))
        show_corpus(self._connection, self._dataset)

    def _open_files(self, recording_ids: list[str]) -> None:
        """Creates the corpus's tables from the recordings' own files, and its views."""
        present = self._find_present(recording_ids)
        connection = self._connection
        create_tables(connection)
        create_empty(connection, "missing", MISSING)
        insert_recordings(connection, recordings_table(list(present.values())))
        for name, path_of in _KINDS.items():
            self._show_files(name, [path_of(self._dataset, one) for one in present])
        create_views(connection)
        self._insert_settings(list(present))

    def _find_present(self, recording_ids: list[str]) -> dict[str, Recording]:
        """Returns the descriptions of recordings whose results are there and finished."""
        dirty = Work(self._dataset.work_folder).dirty("detections")
        return {
            one: read_recording(self._dataset.recording(one))
            for one in recording_ids
            if one not in dirty
            and self._has_file(self._dataset.recording(one))
            and all(self._has_file(path_of(self._dataset, one)) for path_of in _KINDS.values())
        }

    @staticmethod
    def _has_file(path: Path) -> bool:
        require_fetched(path)
        return path.exists()

    def _show_files(self, name: str, paths: list[Path]) -> None:
        """Makes a view of files in place of a table, so that only what is asked for is read."""
        if not paths:
            return
        columns = ", ".join(f'"{one}"' for one in TABLES[name].names)
        with reading_results(self._connection, name, paths) as patterns:
            self._connection.execute(f"SET VARIABLE {name}_files = ?", [patterns])
            files = source(f"getvariable('{name}_files')")
            self._connection.execute(f'DROP TABLE "{name}"')
            self._connection.execute(
                f'CREATE VIEW "{name}" AS SELECT {columns} FROM {files}'  # noqa: S608
            )

    def _insert_settings(self, recording_ids: list[str]) -> None:
        """Fills the one-row table of settings: the minimum score that holds for all files."""
        settings = self._dataset.settings
        stored = (read_metadata(self._dataset.detections(one)) for one in recording_ids)
        texts = {one[DETECTOR_SETTINGS_KEY] for one in stored if DETECTOR_SETTINGS_KEY in one}
        scores = [DetectorSettings.model_validate_json(one).min_score for one in texts]
        self._connection.execute(
            "INSERT INTO settings VALUES (?, ?)",
            [settings.report.bucket_minutes, max(scores, default=settings.detector.min_score)],
        )

    def _register_states(self, registry: Registry, superseded: Mapping[str, str]) -> None:
        """Makes a table of all recordings, with what is the matter if they have no result."""
        known = query(
            self._connection,
            "SELECT recording_id, '' AS reason FROM recordings "
            "UNION ALL BY NAME SELECT recording_id, reason FROM missing",
        )
        reasons = {one["recording_id"]: one["reason"] for one in known}
        failures = read_failures(self._dataset)
        rows = []
        for one in registry:
            recording_id = one.recording_id
            if recording_id in superseded:
                state, reason = OUTSIDE, f"the same sound as {superseded[recording_id]}"
            elif recording_id in failures:
                state, reason = FAILED, failures[recording_id].error
            elif recording_id in reasons:
                state, reason = NOT_ANALYSED, reasons[recording_id]
            elif self.is_corpus:
                state, reason = OUTSIDE, "new since the corpus was written: run badc run"
            else:
                state, reason = NOT_ANALYSED, "no detections yet, or a run is at work on them"
            row = recording_id, one.path, state, reason
            rows.append(dict(zip(_STATES.names, row, strict=True)))
        self._connection.register("registered", pa.Table.from_pylist(rows, _STATES))
