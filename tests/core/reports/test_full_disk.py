"""The databases of reports on disks that are full: the old one stays, or the new one is whole."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from badc_core.columns import write_parquet
from badc_core.corpus import database
from badc_core.corpus.building import build_corpus
from badc_core.corpus.database import (
    create_tables,
    new_recording_database,
    read_back,
    write_out,
)
from badc_core.corpus.reading import open_corpus
from badc_core.errors import StorageFull
from badc_core.reports.bundle import write_bundle
from badc_core.reports.page import is_whole_page
from tests.support.disks import fill, small_disk

DISK_KIB = 16_384


def count(path, table="detections"):
    with duckdb.connect(path, read_only=True) as connection:
        return connection.table(table).count("*").fetchall()[0][0]


def hidden(folder):
    return [one.name for one in folder.iterdir() if one.name.startswith(".")]


def rebuild(workbench, free_kib):
    """Builds a good corpus, fills the disk and builds one with a recording more."""
    dataset = workbench.dataset
    with small_disk(dataset.corpus.folder, DISK_KIB):
        build_corpus(dataset, ["a"], {})
        before = dataset.corpus.duckdb.read_bytes()
        fill(dataset.corpus.folder, free_kib)
        try:
            build_corpus(dataset, ["a", "b"], {})
        except StorageFull:
            assert dataset.corpus.duckdb.read_bytes() == before
            kept = False
        else:
            kept = True
        with open_corpus(dataset) as corpus:
            n_rows = len(corpus.execute("SELECT * FROM detections").fetchall())
        assert n_rows == len(workbench.official) * (2 if kept else 1)
        assert hidden(dataset.corpus.folder) == []
        return kept


@pytest.mark.parametrize("free_kib", [0, 1200, 2200])
def test_a_full_disk_never_costs_a_good_corpus(workbench, free_kib):
    workbench.add("a")
    workbench.add("b")
    rebuild(workbench, free_kib)


@pytest.mark.soak
def test_a_corpus_is_whole_or_the_old_one_at_any_free_size(workbench):
    workbench.add("a")
    workbench.add("b")
    outcomes = [rebuild(workbench, free_kib) for free_kib in range(0, 6000, 200)]
    assert set(outcomes) == {True, False}


@pytest.mark.parametrize("free_kib", [200])
def test_a_full_disk_never_costs_a_good_bundle(workbench, free_kib):
    workbench.add("a")
    dataset = workbench.dataset
    bundle = dataset.bundle("a").duckdb
    write_bundle(dataset, "a")
    good = bundle.read_bytes()
    folder = bundle.parent
    kept = {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()}
    with small_disk(folder, DISK_KIB):
        for name, content in kept.items():
            (folder / name).write_bytes(content)
        fill(folder, free_kib)
        with pytest.raises(StorageFull):
            write_bundle(dataset, "a")
        assert bundle.read_bytes() == good
        assert hidden(folder) == []


@pytest.mark.soak
def test_a_bundle_is_made_or_its_old_parts_stay_whole_at_any_free_size(workbench):
    workbench.add("a")
    dataset, outcomes = workbench.dataset, set()
    bundle, folder = dataset.bundle("a"), dataset.aggregate
    table = (folder / "a.parquet").read_bytes()
    for free_kib in range(0, 2000, 130):
        with small_disk(folder, DISK_KIB):
            (folder / "a.parquet").write_bytes(table)
            write_bundle(dataset, "a")
            fill(folder, free_kib)
            with suppress(StorageFull):
                write_bundle(dataset, "a")
                outcomes.add("made")
            assert hidden(folder) == []
            assert count(bundle.duckdb) == len(workbench.official)
            assert is_whole_page(bundle.html)
            for part in (bundle.quicklook, bundle.parquet_report, bundle.duckdb_exports):
                assert all(one.read_text().endswith("\n") for one in part.iterdir())
            outcomes.add("tried")
    assert outcomes == {"made", "tried"}


@pytest.mark.parametrize("free_kib", [0, 100])
def test_a_first_database_on_a_full_disk_is_called_one(workbench, monkeypatch, free_kib):
    monkeypatch.setattr(database, "_empty", [])
    workbench.add("a")
    folder = workbench.dataset.bundle("a").duckdb.parent
    kept = {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()}
    with small_disk(folder, DISK_KIB):
        for name, content in kept.items():
            (folder / name).write_bytes(content)
        fill(folder, free_kib)
        with pytest.raises(StorageFull, match="no space left"):
            write_bundle(workbench.dataset, "a")
        assert hidden(folder) == []
        (folder / "filler").unlink()
        write_bundle(workbench.dataset, "a")


def test_a_database_with_other_rows_than_were_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    with duckdb.connect(path) as connection:
        create_tables(connection)
        n_rows = write_out(connection)
        connection.execute("INSERT INTO recordings (recording_id) VALUES ('a')")
    with pytest.raises(OSError, match="Input/output"), read_back(path, n_rows):
        pass


def test_a_database_whose_content_is_still_in_its_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.duckdb"
    with duckdb.connect(path) as connection:
        create_tables(connection)
        n_rows = write_out(connection)
    path.with_name("a.duckdb.wal").write_bytes(b"log")
    with pytest.raises(OSError, match="Input/output"), read_back(path, n_rows):
        pass


def test_a_table_on_a_full_disk_is_an_error(tmp_path: Path) -> None:
    table = pa.table({"x": pa.array(range(100_000))})
    with small_disk(tmp_path / "disk", 64), pytest.raises(OSError, match="No space"):
        write_parquet(table, tmp_path / "disk" / "a.parquet")


def test_many_threads_write_databases_and_read_them_back(workbench, tmp_path):
    workbench.add("a")

    def write(number):
        path = tmp_path / f"{number}.duckdb"
        with new_recording_database(workbench.dataset, "a", path) as connection:
            return connection.execute("SELECT count(*) FROM recordings").fetchall()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(write, range(24))) == [[(1,)]] * 24
