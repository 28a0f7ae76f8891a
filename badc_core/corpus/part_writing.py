"""Writing parts of a corpus: their rows, and what is counted of them.

Rows come from the recordings' own files and, for recordings that have not changed, from the files
that the part had before, in the order of recordings. One thread writes some parts and counts them
together; several threads do so at once.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import local
from typing import Self

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from badc_core.atomic import damaged_write, naming_storage_trouble, replacing
from badc_core.columns import write_parquet
from badc_core.corpus.database import TABLES, create_empty, create_views
from badc_core.corpus.duckdb_errors import naming_duckdb_trouble
from badc_core.corpus.numbered_texts import NumberedParts, number_texts
from badc_core.corpus.parquet_files import exact_pattern, reading_results, source
from badc_core.corpus.part_jobs import PartJob, WrittenRows
from badc_core.corpus.part_views import show_rows, typed_columns
from badc_core.corpus.parts import ROWS, SUMMARIES, BrokenRule, CorpusPart, PartFile, PartKey
from badc_core.corpus.rules import CHECKS_OF_PARTS, CorpusCheck, find_broken, verify_corpus
from badc_core.datasets.corpus_paths import CorpusPaths
from badc_core.datasets.dataset import Dataset
from badc_core.detections.schema import SCHEMA_VERSION
from badc_core.detections.store import SCHEMA_KEY
from badc_core.hashing import sha256_file
from badc_core.sun.sunrises import find_sunrises

_CONFIG: dict[str, str | bool | int | float | list[str]] = {"threads": "1", "memory_limit": "1GB"}
"""Beyond that memory, DuckDB uses the disk. The rows that are counted are in memory beside it: some
60 bytes for each.
"""

_COUNTED_AGAIN = "counts_by_recording"
"""The summary of which others are made."""

_COUNTED = {
    "detections": (
        *("chunk_id", "absolute_time_ms", "absolute_end_ms", "confidence", "is_detection"),
        *("is_expected", "calibrated_p", "recording_id", "label", "label_name", "scientific_name"),
        *("runner", "model_version", "model_sha256", "config_hash"),
    )
}
"""The columns of rows that the summaries and rules need; all of chunks."""

_SHOWN = {"detections": "numbered_detections", "chunks": "chunks"}
"""Rows, and under what name the connection shows them."""

_DETECTIONS = "CREATE VIEW detections AS SELECT *, NULL AS detection_id FROM numbered_detections"
_REAL_DETECTIONS = """
CREATE VIEW real_detections AS SELECT * FROM detections
WHERE is_detection AND label NOT IN (SELECT unnest(getvariable('none')))
"""
"""The same as `sql/real_detections.sql`, for numbers."""

_METADATA = {SCHEMA_KEY: str(SCHEMA_VERSION)}
_FORMAT = f"FORMAT parquet, COMPRESSION zstd, KV_METADATA {_METADATA}"


class PartWriter:
    """Writes parts; use as a context manager, in one thread.

    It keeps its database and views, which cost more than a small part.

    Args:
        corpus: whose parts.
        scratch: folder for what does not fit into memory.
    """

    def __init__(self, corpus: CorpusPaths, scratch: Path) -> None:
        self._corpus, self._scratch = corpus, scratch
        self._config = {**_CONFIG, "temp_directory": str(scratch)}
        self._connection = duckdb.connect(":memory:", config=self._config)
        self._connection.execute("SET TimeZone = 'UTC'")
        for name in ROWS:
            create_empty(self._connection, f"empty_{name}", TABLES[name])
        self._has_views = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def write_rows(self, job: PartJob) -> WrittenRows:
        """Writes the detections and chunks of a part.

        Raises:
            DetectionsInvalid: a file that it is made from cannot be read.
            StorageFull, OutputUnwritable: the files cannot be written.
        """
        files = {}
        for name in ROWS:
            with _rows(self._connection, self._corpus, job, name) as sql:
                files[name] = self._store(name, job.key, partial(self._copy, sql))
        return WrittenRows(job, files)

    def sum_up(self, written: Sequence[WrittenRows]) -> list[CorpusPart]:
        """Writes what is counted of the rows of parts, checks them, and returns the parts.

        They are counted together: starting a query costs more than counting a small part.
        """
        numbered = self._show(written)
        files = [dict(one.files) for one in written]
        for name, order in SUMMARIES.items():
            counted = self._count(f'FROM memory.main."{name}" ORDER BY {order}')
            if name == _COUNTED_AGAIN:
                # In front of the view of this name, for those that count what it counted.
                self._connection.register(name, counted)
            for one, its, table in zip(written, files, numbered.split(counted), strict=True):
                its[name] = self._store(name, one.job.key, partial(_write_table, table))
        with self._naming_trouble():
            rules = find_broken(self._connection, CHECKS_OF_PARTS)
        for name in (*numbered.tables, _COUNTED_AGAIN):
            self._connection.unregister(name)  # else they would stay in memory
        return [self._describe(one, its, rules) for one, its in zip(written, files, strict=True)]

    def _show(self, written: Sequence[WrittenRows]) -> NumberedParts:
        """Has the tables and views show parts, with numbers in place of texts."""
        parts = [self._read(one) for one in written]
        numbered = number_texts(parts, [one.job.key.location for one in written])
        for name, table in numbered.tables.items():
            self._connection.register(name, table)
        self._connection.execute("SET VARIABLE none = ?::UINTEGER[]", [numbered.numbers_of("none")])
        if not self._has_views:
            self._connection.execute(_DETECTIONS)
            self._connection.execute(_REAL_DETECTIONS)
            create_views(self._connection, tuple(SUMMARIES))
            self._has_views = True
        return numbered

    def _read(self, written: WrittenRows) -> dict[str, pa.Table]:
        recordings = written.job.recordings
        tables = {"recordings": recordings, "sunrises": find_sunrises(recordings)}
        for name in ROWS:
            path = self._corpus.folder / written.files[name].path
            encoded = [one.name for one in TABLES[name] if pa.types.is_dictionary(one.type)]
            with pq.ParquetFile(path, read_dictionary=encoded) as file:
                tables[_SHOWN[name]] = file.read(_COUNTED.get(name), use_threads=False)
        return tables

    def _describe(
        self, written: WrittenRows, files: dict[str, PartFile], rules: Sequence[CorpusCheck]
    ) -> CorpusPart:
        """Returns a part, with what breaks those rules in it."""
        broken = {}
        if rules:
            paths = {name: self._corpus.folder / its.path for name, its in written.files.items()}
            with (
                self._naming_trouble(),
                duckdb.connect(":memory:", config=self._config) as connection,
            ):
                connection.register("recordings", written.job.recordings)
                show_rows(connection, {name: [exact_pattern(one)] for name, one in paths.items()})
                found = verify_corpus(connection, rules)
            broken = {
                one.name: BrokenRule(one.violations, one.examples)
                for one in found
                if not one.passed
            }
        key, n = written.job.key, written.job.recordings.num_rows
        return CorpusPart(key.study_area, key.location, key.month, n, files, broken)

    def _count(self, sql: str) -> pa.Table:
        with self._naming_trouble():
            return self._connection.sql(sql).to_arrow_table()

    @contextmanager
    def _naming_trouble(self) -> Iterator[None]:
        with naming_storage_trouble(self._scratch), naming_duckdb_trouble(self._scratch):
            yield

    def _copy(self, sql: str, path: Path) -> int:
        """Writes what a query gives; returns how many rows."""
        quoted = str(path).replace("'", "''")
        with naming_duckdb_trouble(path):
            copied = self._connection.execute(f"COPY ({sql}) TO '{quoted}' ({_FORMAT})").fetchall()
            n_rows = _count_rows(path)
            if [(n_rows,)] != copied:
                raise damaged_write(path)
        return n_rows

    def _store(self, name: str, key: PartKey, write: Callable[[Path], int]) -> PartFile:
        """Returns a new file, named by its content; `write` returns how many rows it has."""
        folder = self._corpus.table(name) / key.folder
        new = folder / "new.parquet"
        with replacing(new) as aside:
            n_rows = write(aside)
        digest = sha256_file(new)
        path = folder / f"{digest[:12]}.parquet"
        new.replace(path)
        below = path.relative_to(self._corpus.folder).as_posix()
        return PartFile(below, n_rows, path.stat().st_size, digest)


@contextmanager
def part_writers(dataset: Dataset) -> Iterator[Callable[[], PartWriter]]:
    """Yields what returns the part writer of the calling thread."""
    threads = local()
    with ExitStack() as opened:

        def own() -> PartWriter:
            if not hasattr(threads, "writer"):
                writer = PartWriter(dataset.corpus, dataset.work_folder / "corpus.tmp")
                threads.writer = opened.enter_context(writer)
            found: PartWriter = threads.writer
            return found

        yield own


def _write_table(table: pa.Table, path: Path) -> int:
    write_parquet(table.replace_schema_metadata(_METADATA), path)
    n_rows: int = table.num_rows
    return n_rows


def _count_rows(path: Path) -> int:
    """Returns how many rows a file says that it has; -1 if it says nothing."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except pa.ArrowException:
        return -1


@contextmanager
def _rows(
    connection: duckdb.DuckDBPyConnection, corpus: CorpusPaths, job: PartJob, name: str
) -> Iterator[str]:
    """Yields a query for the rows of a table, recording by recording."""
    paths = [path for piece in job.pieces for path in piece.paths.get(name, ())]
    base = [] if job.base is None else [corpus.folder / job.base.files[name].path]
    with reading_results(connection, name, [*paths, *base]) as patterns:
        connection.execute("SET VARIABLE gone = ?::VARCHAR[]", [list(job.gone)])
        queries, at = [], 0
        for number, piece in enumerate(job.pieces):
            n = len(piece.paths.get(name, ()))
            own = patterns[at : at + n] if n else patterns[len(paths) :]
            at += n
            connection.execute(f"SET VARIABLE files_{number} = ?", [own])
            files = source(f"getvariable('files_{number}')")
            rows = f"SELECT * FROM {files}"  # noqa: S608
            if not n:
                connection.execute(f"SET VARIABLE range_{number} = ?", [[piece.first, piece.last]])
                bounds = f"getvariable('range_{number}')"
                rows += f" WHERE recording_id BETWEEN {bounds}[1] AND {bounds}[2]"
                rows += " AND NOT list_contains(getvariable('gone'), recording_id)"
            queries.append(rows)
        # The empty table has all columns, of the right types, where that of a part has not.
        united = " UNION ALL BY NAME ".join((f"FROM empty_{name}", *queries))
        columns = ", ".join(typed_columns(name, stored=True))
        yield f"SELECT {columns} FROM ({united})"  # noqa: S608
