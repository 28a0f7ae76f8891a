"""Writing one part of a corpus: its rows, and what is counted of them.

Rows come from the recordings' own files and, for recordings that have not changed, from the files
that the part had before. One thread writes a part, in the order of recordings; several parts are
written at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from badc_core.atomic import damaged_write, replacing
from badc_core.corpus.database import TABLES, create_empty, create_views
from badc_core.corpus.duckdb_errors import naming_duckdb_trouble
from badc_core.corpus.numbered_texts import as_text, as_texts, number_texts
from badc_core.corpus.parquet_files import reading_results, source
from badc_core.corpus.part_views import detection_id, typed_columns
from badc_core.corpus.parts import ROWS, SUMMARIES, BrokenRule, CorpusPart, PartFile, PartKey
from badc_core.corpus.rules import CHECKS_OF_PARTS, verify_corpus
from badc_core.datasets.corpus_paths import CorpusPaths
from badc_core.detections.schema import SCHEMA_VERSION
from badc_core.detections.store import SCHEMA_KEY
from badc_core.hashing import sha256_file
from badc_core.sun.sunrises import find_sunrises

_MEMORY = "1GB"
"""That DuckDB may use for a part; beyond, it uses the disk. The rows that are counted are in memory
beside it: some 60 bytes for each.
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

_DETECTIONS = f"""
CREATE VIEW detections AS SELECT *, {detection_id(as_text)} AS detection_id
FROM numbered_detections
"""  # noqa: S608
_REAL_DETECTIONS = """
CREATE VIEW real_detections AS SELECT * FROM detections
WHERE is_detection AND label IS DISTINCT FROM list_position(getvariable('texts'), 'none') - 1
"""
"""The same as `sql/real_detections.sql`, for numbers."""

_FORMAT = f"FORMAT parquet, COMPRESSION zstd, KV_METADATA {{'{SCHEMA_KEY}': '{SCHEMA_VERSION}'}}"


@dataclass(frozen=True)
class Piece:
    """Where the rows of some consecutive recordings come from.

    Attributes:
        paths: table -> files with nothing but their rows; none where the part has them already,
        first: from this recording
        last: to that one.
    """

    paths: dict[str, list[Path]] = field(default_factory=dict)
    first: str = ""
    last: str = ""


@dataclass(frozen=True)
class PartJob:
    """A part that is to be written.

    Attributes:
        recordings: by `RECORDINGS`, in order.
        pieces: in order.
        base: the part as it was; None if all rows come from other files.
        gone: recordings in that which are no longer in the part.
    """

    key: PartKey
    recordings: pa.Table
    pieces: Sequence[Piece]
    base: CorpusPart | None = None
    gone: Sequence[str] = ()


class PartWriter:
    """Writes parts, one after another; use as a context manager, in one thread.

    It keeps its database and views from part to part, which cost more than a small part.

    Args:
        corpus: whose parts.
        scratch: folder for what does not fit into memory.
    """

    def __init__(self, corpus: CorpusPaths, scratch: Path) -> None:
        self._corpus = corpus
        self._connection = duckdb.connect(
            ":memory:",
            config={"threads": "1", "memory_limit": _MEMORY, "temp_directory": str(scratch)},
        )
        self._connection.execute("SET TimeZone = 'UTC'")
        for name in ROWS:
            create_empty(self._connection, f"empty_{name}", TABLES[name])
        self._columns: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def write(self, job: PartJob) -> CorpusPart:
        """Writes the files of a part, reads them back, and returns it.

        Raises:
            DetectionsInvalid: a file that it is made from cannot be read.
            StorageFull, OutputUnwritable: the files cannot be written.
        """
        return self.sum_up(job, self.write_rows(job))

    def write_rows(self, job: PartJob) -> dict[str, PartFile]:
        """Writes the detections and chunks of a part; raises as `write`."""
        files = {}
        for name in ROWS:
            with _rows(self._connection, self._corpus, job, name) as sql:
                files[name] = self._write(name, job.key, sql)
        return files

    def sum_up(self, job: PartJob, rows: Mapping[str, PartFile]) -> CorpusPart:
        """Writes what is counted of rows that are written, checks them, and returns the part."""
        files = dict(rows)
        texts = self._show(job, rows)
        for name, order in SUMMARIES.items():
            sql = f'SELECT * FROM memory.main."{name}" ORDER BY {order}'  # noqa: S608
            if name == _COUNTED_AGAIN:
                # In front of the view of this name, for those that count what it counted.
                self._connection.execute(f'CREATE OR REPLACE TEMP TABLE "{name}" AS {sql}')
                sql = f'FROM "{name}"'
            sql = f"SELECT {self._columns[name]} FROM ({sql})"  # noqa: S608
            files[name] = self._write(name, job.key, sql)
        broken = {}
        for one in verify_corpus(self._connection, CHECKS_OF_PARTS):
            if not one.passed:
                examples = [texts[at] if isinstance(at, int) else at for at in one.examples]
                broken[one.name] = BrokenRule(one.violations, examples)
        for name in ("recordings", "sunrises", *_SHOWN.values()):
            self._connection.unregister(name)  # else they would stay in memory until the next part
        key, n = job.key, job.recordings.num_rows
        return CorpusPart(key.study_area, key.location, key.month, n, files, broken)

    def _show(self, job: PartJob, rows: Mapping[str, PartFile]) -> list[str]:
        """Has the tables and views show a part; returns the texts whose numbers they have."""
        connection = self._connection
        tables = {"recordings": job.recordings, "sunrises": find_sunrises(job.recordings)}
        for name in ROWS:
            path = self._corpus.folder / rows[name].path
            encoded = [one.name for one in TABLES[name] if pa.types.is_dictionary(one.type)]
            with pq.ParquetFile(path, read_dictionary=encoded) as file:
                tables[_SHOWN[name]] = file.read(_COUNTED.get(name), use_threads=False)
        numbered, texts = number_texts(tables)
        connection.execute("SET VARIABLE texts = ?::VARCHAR[]", [texts])
        for name, table in numbered.items():
            connection.register(name, table)
        if not self._columns:
            connection.execute(_DETECTIONS)
            connection.execute(_REAL_DETECTIONS)
            create_views(connection, tuple(SUMMARIES))
            for name in SUMMARIES:
                described = connection.execute(f'DESCRIBE memory.main."{name}"').fetchall()
                self._columns[name] = as_texts((column, kind) for column, kind, *_ in described)
        return texts

    def _write(self, name: str, key: PartKey, sql: str) -> PartFile:
        """Writes what a query gives, to a file named by its content."""
        connection = self._connection
        folder = self._corpus.table(name) / key.folder
        new = folder / "new.parquet"
        with replacing(new) as aside, naming_duckdb_trouble(aside):
            quoted = str(aside).replace("'", "''")
            copy = f"COPY ({sql}) TO '{quoted}' ({_FORMAT})"
            copied = connection.execute(copy).fetchall()
            if [(_count_rows(aside),)] != copied:
                raise damaged_write(aside)
        digest = sha256_file(new)
        path = folder / f"{digest[:12]}.parquet"
        new.replace(path)
        below = path.relative_to(self._corpus.folder).as_posix()
        return PartFile(below, copied[0][0], path.stat().st_size, digest)


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
