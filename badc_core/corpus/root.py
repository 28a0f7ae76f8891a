"""What is written about all parts of a corpus together: database, list of parts, summary CSVs.

All of it is aside before any of it takes the place of what was there.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa

from badc_core.atomic import replacing_folder
from badc_core.corpus.database import (
    create_speech,
    create_table,
    insert_settings,
    query,
    read_back,
    replacing_database,
    write_out,
)
from badc_core.corpus.duckdb_errors import naming_duckdb_trouble
from badc_core.corpus.parquet_files import exact_pattern
from badc_core.corpus.part_views import show_parts
from badc_core.corpus.parts import PartList, write_part_list
from badc_core.corpus.summaries import write_rollup, write_speech
from badc_core.datasets.dataset import Dataset

PARTS = pa.schema([("name", pa.string()), ("path", pa.string())])
"""The table of files of parts: of which table or summary, and where below the corpus's folder."""

_LABELS_ONCE = "CREATE TEMP TABLE label_summary AS SELECT * FROM label_summary"
"""In front of the view of this name, which would count what is in all parts at each use."""

_TOTALS = """
    SELECT * FROM (
        SELECT coalesce(sum(detections), 0)::BIGINT AS detections,
            count(DISTINCT label) AS labels,
            coalesce(sum(expected), 0)::BIGINT AS expected,
            coalesce(sum(not_expected), 0)::BIGINT AS not_expected,
            coalesce(sum(not_known), 0)::BIGINT AS not_known
        FROM label_summary
    ), (
        SELECT coalesce(sum(chunks), 0)::BIGINT AS chunks,
            coalesce(sum(failed_chunks), 0)::BIGINT AS failed_chunks,
            coalesce(sum(effort_s), 0.0) AS effort_s, coalesce(sum(dead_s), 0.0) AS dead_s
        FROM chunks_by_recording
    ), (
        SELECT coalesce(sum(detections), 0)::BIGINT AS left_out FROM left_out_by_recording
    ), (
        SELECT count(*) AS recordings, coalesce(sum(duration_s), 0.0) AS duration_s FROM recordings
    ), (SELECT count(*) AS missing FROM missing)
"""


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
        expected, not_expected, not_known: detections by whether the species can be there.
        left_out: detections that are not among them, as not expected.
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
    expected: int = 0
    not_expected: int = 0
    not_known: int = 0
    left_out: int = 0
    damaged: int = 0
    not_here: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether it has all results that there are."""
        return not self.damaged and not self.not_here


def write_root(
    dataset: Dataset,
    listed: PartList,
    tables: Mapping[str, pa.Table],
    speech: Mapping[str, pa.Table],
) -> CorpusTotals:
    """Writes everything about parts that are there already, and returns the totals.

    Args:
        dataset: the corpus's.
        listed: the parts.
        tables: `recordings` and `missing`.
        speech: tables about speech, if it was searched for.

    Raises:
        StorageFull, OutputUnwritable: something cannot be written; nothing was replaced.
    """
    corpus, files = dataset.corpus, listed.paths()
    rows = [{"name": name, "path": path} for name, paths in files.items() for path in paths]
    stored = {**tables, "parts": pa.Table.from_pylist(rows, schema=PARTS)}
    with replacing_database(corpus.duckdb) as aside:
        with (
            naming_duckdb_trouble(aside),
            duckdb.connect(aside, config={"threads": "1"}) as connection,
            _finding_from(connection, corpus.folder),
        ):
            _fill(connection, dataset, stored)
            show_parts(connection, files)
            create_speech(connection, speech)
            n_rows = write_out(connection, (*stored, "settings", *speech))
        with (
            read_back(aside, n_rows),
            duckdb.connect(aside, read_only=True) as connection,
            _finding_from(connection, corpus.folder),
        ):
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(_LABELS_ONCE)
            with replacing_folder(corpus.summary) as folder:
                write_rollup(connection, folder)
                if speech:
                    write_speech(connection, folder)
            (totals,) = query(connection, _TOTALS)
        write_part_list(corpus.parts, listed)
    return CorpusTotals(**totals)


def absolute_paths(folder: Path, files: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Returns files of parts as DuckDB finds them from anywhere."""
    return {
        name: [exact_pattern(f"{folder}/{one}") for one in paths] for name, paths in files.items()
    }


def _fill(
    connection: duckdb.DuckDBPyConnection,
    dataset: Dataset,
    stored: Mapping[str, pa.Table],
) -> None:
    connection.execute("CREATE TABLE settings (bucket_minutes BIGINT, min_score DOUBLE)")
    insert_settings(connection, dataset.settings)
    for name, table in stored.items():
        create_table(connection, name, table)


@contextmanager
def _finding_from(connection: duckdb.DuckDBPyConnection, folder: Path) -> Iterator[None]:
    """Lets DuckDB find relative paths from a folder.

    Stored views have such paths, so that a dataset may be moved. DuckDB takes a comma in the
    folder's own path for the end of it.
    """
    with TemporaryDirectory(prefix="badc-") as place:
        link = Path(place, "corpus")
        link.symlink_to(folder)
        connection.execute(f"SET file_search_path = '{link}'")
        yield
