"""Where `badc report` writes: nothing else in a folder or file that a user names is lost."""

import json
import shutil
import subprocess
import sys

import duckdb
import pyarrow.parquet as pq
import pytest
from support.archives import run_in
from support.commands import run_badc, run_typed
from support.disks import fill, small_disk
from support.forbidden import forbidden
from support.tables import rows_of

from badc_core.corpus.building import build_corpus
from badc_core.corpus.snapshot import Snapshot
from badc_core.datasets.dataset import Dataset
from badc_core.detections.schema import DETECTIONS
from badc_core.detections.store import RUNNER_KEY, write_detections
from badc_core.errors import ContentMissing, OutputUnwritable, StorageFull
from badc_core.recordings.registry import register_recordings
from badc_core.reports.bundle import write_bundle
from badc_core.reports.table_bundle import write_database

FOUND = [
    (0.0, 3.0, "Jay", "Cyanocitta cristata", 0.9),
    (3.0, 6.0, "Owl, Great Horned", "Bubo virginianus", 0.5),
]
NOWHERE = "../.git/annex/objects/x/y/MD5E-s1--00.parquet/MD5E-s1--00.parquet"


@pytest.fixture
def table(workbench, tmp_path):
    """Returns the detections of one recording, in a folder of its own."""
    workbench.add("a", found=FOUND)
    (tmp_path / "tables").mkdir()
    return shutil.copyfile(workbench.dataset.detections("a"), tmp_path / "tables" / "a.parquet")


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "words",
    [
        ("quicklook", "--parquet", "a.parquet", "--output-dir"),
        ("parquet", "--parquet", "a.parquet", "--output-dir"),
        ("duckdb", "--parquet", "a.parquet", "--export-dir"),
        ("bundle", "--parquet", "a.parquet", "--quicklook-dir"),
        ("bundle", "--parquet", "a.parquet", "--parquet-report-dir"),
        ("bundle", "--parquet", "a.parquet", "--duckdb-export-dir"),
        ("aggregate-dir", ".", "--export-dir"),
    ],
    ids=lambda words: f"{words[0]} {words[-1]}",
)
def test_what_else_is_in_a_folder_stays(table, words):
    folder = table.parent
    (folder / "notes").mkdir()
    (folder / "notes" / "field.txt").write_text("rain")
    (folder / "labels.csv").write_text("an older table")
    before = contents(folder)
    run_badc("report", *words, ".", folder=folder)
    after = contents(folder)
    assert {path: after.get(path) for path in before if path.name != "labels.csv"} == {
        path: content for path, content in before.items() if path.name != "labels.csv"
    }
    assert len(after) > len(before)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_parts_of_a_bundle_in_one_place_are_refused(app, table, tmp_path):
    words = ["bundle", "--parquet", table, "--quicklook-dir", tmp_path / "x"]
    words += ["--parquet-report-dir", tmp_path / "y" / ".." / "x"]
    refused = run_typed(app, "report", *words, code=2)
    assert "Quicklook and Parquet report would be in the same place" in refused.stderr
    assert not (tmp_path / "x").exists()


def make_foreign(path):
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE settings AS SELECT 1 AS x")
        connection.execute("CREATE TABLE nests AS SELECT 2 AS n")


def test_a_tracked_database_that_datalad_removed_is_the_same_again(app, table):
    folder = table.parent
    run_in(folder, "git", "init", "--quiet")
    run_in(folder, "git", "annex", "init", "--quiet")
    run_in(folder, "git", "annex", "config", "--set", "annex.largefiles", "include=*.duckdb")
    words = ("report", "bundle", "--parquet", table)
    run_typed(app, *words)
    run_in(folder, "git", "annex", "add", "--quiet", ".")
    run_in(folder, "git", "commit", "--quiet", "-m", "Bundle")
    database = folder / "a.duckdb"
    key = database.readlink()
    database.unlink()
    run_typed(app, *words)
    run_in(folder, "git", "annex", "add", "--quiet", ".")
    assert database.readlink() == key
    assert run_in(folder, "git", "status", "--porcelain") == ""
    # Its content is nowhere: it is written anew.
    run_in(folder, "git", "annex", "drop", "--quiet", "--force", "a.duckdb")
    database.unlink()
    run_typed(app, *words)
    assert database.is_file()


def test_what_the_user_removed_since_it_was_refused_does_not_come_back(app, table):
    folder, words = table.parent, ("report", "duckdb", "--parquet", table)
    run_in(folder, "git", "init", "--quiet")
    for name in ("a.duckdb", "b.duckdb/notes.txt"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("something else")
        run_in(folder, "git", "add", name)
    database = folder / "a.duckdb"
    with pytest.raises(OutputUnwritable, match="Give another place, or remove it"):
        run_typed(app, *words)
    database.unlink()
    run_typed(app, *words)
    assert duckdb.connect(database, read_only=True).sql("FROM detections").fetchall()
    shutil.rmtree(folder / "b.duckdb")
    run_typed(app, *words, "--database", folder / "b.duckdb")
    assert (folder / "b.duckdb").is_file()


def test_a_database_with_something_else_in_it_is_refused_before_anything_is_written(app, table):
    folder = table.parent
    make_foreign(folder / "a.duckdb")
    before = contents(folder)
    for words in (("bundle",), ("duckdb", "--export-dir", folder / "exports")):
        with pytest.raises(OutputUnwritable, match="something else in it: nests"):
            run_typed(app, "report", *words, "--parquet", table)
    shutil.copyfile(table, folder / "a.duckdb")
    with pytest.raises(OutputUnwritable, match="cannot be read as a DuckDB file"):
        run_typed(app, "report", "bundle", "--parquet", table)
    assert contents(folder).keys() == before.keys()


def test_a_database_that_somebody_is_writing_is_left_alone(app, table):
    path = table.with_suffix(".duckdb")
    run_typed(app, "report", "duckdb", "--parquet", table)
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(flush=True); input()"
    started = [sys.executable, "-c", code, path]
    with subprocess.Popen(started, stdin=-1, stdout=-1) as writer:
        writer.stdout.readline()
        with pytest.raises(OutputUnwritable, match="cannot be read as a DuckDB file"):
            run_typed(app, "report", "bundle", "--parquet", table)
        writer.communicate(b"\n")
    run_typed(app, "report", "bundle", "--parquet", table)


def test_a_folder_that_cannot_be_written_to_is_named_with_the_reason(table, tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir()
    words = ("report", "duckdb", "--parquet", table, "--database", folder / "x.duckdb")
    with forbidden(folder):
        done = run_badc(*words, folder=tmp_path, code=1)
    assert "x.duckdb: cannot be written (Permission denied). Choose another place" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_bundle_of_badc_run_is_as_it_was_when_it_is_refused(app, workbench):
    workbench.add("a", found=FOUND)
    write_bundle(workbench.dataset, "a")
    own, parquet = workbench.dataset.bundle("a"), workbench.dataset.detections("a")
    words = ("report", "bundle", "--parquet", parquet, "--bucket-minutes", 7)
    before = contents(parquet.parent)
    with pytest.raises(OutputUnwritable, match="badc run wrote this"):
        run_typed(app, *words)
    assert contents(parquet.parent) == before
    own.duckdb.unlink()
    own.duckdb.symlink_to(NOWHERE)
    with pytest.raises(ContentMissing):
        run_typed(app, *words)
    assert own.duckdb.is_symlink()


def test_a_folder_of_which_a_file_is_not_here_is_one_error(app, table):
    other = table.with_name("b.parquet")
    other.symlink_to(NOWHERE)
    with pytest.raises(ContentMissing, match=r"b\.parquet"):
        run_typed(app, "report", "aggregate-dir", table.parent)


def test_a_table_without_a_model_is_warned_of(app, tmp_path):
    path = tmp_path / "stub.parquet"
    write_detections(path, DETECTIONS.empty_table(), {RUNNER_KEY: "stub"})
    for name in ("summary", "bundle"):
        shown = run_typed(app, "report", name, "--parquet", path)
        assert "no model ran for this file, but the stub runner" in shown.stderr
    write_detections(tmp_path / "other.parquet", DETECTIONS.empty_table(), {RUNNER_KEY: "birdnet"})
    shown = run_typed(app, "report", "aggregate-dir", tmp_path)
    assert "no model ran for 1 file" in shown.stderr


def test_a_folder_that_looks_like_a_column_and_its_value_is_a_folder(app, table, open_workbench):
    folder = table.parent / "label=none" / "confidence=0"
    folder.mkdir(parents=True)
    moved = shutil.copyfile(table, folder / "a.parquet")
    found = json.loads(run_typed(app, "report", "summary", "--parquet", moved, "--json").stdout)
    assert [one["label"] for one in found["groups"]] == ["Jay", "Owl, Great Horned"]
    assert len(pq.read_table(table)) == sum(one["detections"] for one in found["groups"])


def test_so_it_is_in_a_corpus(workbench, tmp_path):
    workbench.add("a", found=FOUND)
    root = workbench.dataset.root
    shutil.move(root, root.parent / "label=none")
    dataset = Dataset.open(root.parent / "label=none")
    register_recordings(dataset)
    with Snapshot(dataset) as snapshot:
        assert {*snapshot.read("SELECT label FROM detections")["label"].to_pylist()} == {
            *("Jay", "Owl, Great Horned")
        }
    assert build_corpus(dataset, ["a"], {}).labels == 2
    assert len(rows_of(dataset.corpus.summary / "label_summary.csv")) == 2


def test_a_full_disk_is_named_and_not_the_table(table, tmp_path):
    disk = tmp_path / "disk"
    with small_disk(disk, 512):
        fill(disk, 8)
        with pytest.raises(StorageFull):
            write_database(table, disk / "a.duckdb", 60)
