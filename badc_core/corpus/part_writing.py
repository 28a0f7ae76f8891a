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

from badc_core.atomic import damaged_write, replacing
from badc_core.corpus.database import TABLES, create_table, create_views
from badc_core.corpus.duckdb_errors import naming_duckdb_trouble
from badc_core.corpus.parquet_files import exact_pattern, reading_results, source
from badc_core.corpus.part_views import show_rows, typed_columns
from badc_core.corpus.parts import ROWS, SUMMARIES, BrokenRule, CorpusPart, PartFile, PartKey
from badc_core.corpus.rules import CHECKS_OF_PARTS, verify_corpus
from badc_core.datasets.corpus_paths import CorpusPaths
from badc_core.detections.schema import SCHEMA_VERSION
from badc_core.detections.store import SCHEMA_KEY
from badc_core.hashing import sha256_file
from badc_core.sun.sunrises import find_sunrises

_MEMORY = "1GB"
"""That DuckDB may use for a part; beyond, it uses the disk."""

_COUNTED_AGAIN = "counts_by_recording"
"""The summary of which others are made."""

_VIEWS = ("real_detections", *SUMMARIES)
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
            create_table(self._connection, f"empty_{name}", TABLES[name].empty_table())
        self._has_views = False

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
        self._show(job, rows)
        for name, order in SUMMARIES.items():
            sql = f'SELECT * FROM memory.main."{name}" ORDER BY {order}'  # noqa: S608
            if name == _COUNTED_AGAIN:
                # In front of the view of this name, for those that count what it counted.
                self._connection.execute(f'CREATE OR REPLACE TEMP TABLE "{name}" AS {sql}')
                sql = f'FROM "{name}"'
            files[name] = self._write(name, job.key, sql)
        broken = {
            one.name: BrokenRule(one.violations, one.examples)
            for one in verify_corpus(self._connection, CHECKS_OF_PARTS)
            if not one.passed
        }
        key, n = job.key, job.recordings.num_rows
        return CorpusPart(key.study_area, key.location, key.month, n, files, broken)

    def _show(self, job: PartJob, rows: Mapping[str, PartFile]) -> None:
        """Has the tables and views show a part."""
        connection = self._connection
        for name in ("recordings", "sunrises"):
            connection.execute(f"DROP TABLE IF EXISTS {name}")
        create_table(connection, "recordings", job.recordings)
        create_table(connection, "sunrises", find_sunrises(job.recordings))
        for name in ROWS:
            path = exact_pattern(self._corpus.folder / rows[name].path)
            connection.execute(f"SET VARIABLE shown_{name} = ?", [path])
        if not self._has_views:
            for name in ROWS:
                show_rows(connection, name, f"getvariable('shown_{name}')")
            create_views(connection, _VIEWS)
            self._has_views = True

    def _write(self, name: str, key: PartKey, sql: str) -> PartFile:
        """Writes what a query gives, to a file named by its content."""
        connection = self._connection
        folder = self._corpus.table(name) / key.folder
        new = folder / "new.parquet"
        with replacing(new) as aside, naming_duckdb_trouble(aside):
            quoted = str(aside).replace("'", "''")
            copy = f"COPY ({sql}) TO '{quoted}' ({_FORMAT})"
            copied = connection.execute(copy).fetchall()
            back = "SELECT sum(num_rows)::BIGINT FROM parquet_file_metadata(?)"
            if connection.execute(back, [exact_pattern(aside)]).fetchall() != copied:
                raise damaged_write(aside)
        digest = sha256_file(new)
        path = folder / f"{digest[:12]}.parquet"
        new.replace(path)
        below = path.relative_to(self._corpus.folder).as_posix()
        return PartFile(below, copied[0][0], path.stat().st_size, digest)


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
