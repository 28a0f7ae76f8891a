"""`badc report summary`, `quicklook`, `parquet`, `duckdb`, `bundle`, `aggregate-dir`."""

import json
import shutil

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.commands import run_typed
from support.tables import rows_of
from typer.main import get_command

from badc_core.detections.schema import DETECTION_COLUMNS, DETECTIONS
from badc_core.detections.store import write_detections
from badc_core.errors import DetectionsInvalid
from badc_core.reports.bundle import write_bundle

FOUND = [
    (0.0, 3.0, "Jay", "Cyanocitta cristata", 0.9),
    (3.0, 6.0, "Jay", "Cyanocitta cristata", 0.7),
    (6.0, 9.0, "Owl, Great Horned", "Bubo virginianus", 0.5),
]
ORIGINAL_COLUMNS = [column.name for column in DETECTION_COLUMNS][:18]


def given(app, *words, code=0):
    """Returns the result of a `badc report` command as JSON."""
    return json.loads(run_typed(app, "report", *words, "--json", code=code).stdout)


@pytest.fixture
def parquet(workbench):
    """Returns the detections of one recording, in a folder without anything of `badc run`."""
    workbench.add("a", found=FOUND)
    folder = workbench.dataset.root.parent / "l'été, 1"
    folder.mkdir()
    return shutil.copyfile(workbench.dataset.detections("a"), folder / "detections.parquet")


@pytest.fixture
def original(tmp_path):
    """Returns a table of the original BADC: 18 columns, `none` where a chunk has no detection."""
    rows = [
        ("B", "b_chunk_0_30000", 0, "AMRO", "American Robin", 1000, 0.8),
        ("B", "b_chunk_30000_60000", 30000, "none", None, 0, None),
        ("B", "b_chunk_60000_90000", 60000, "AMRO", "American Robin", 500, 0.6),
    ]
    table = pa.Table.from_pylist(
        [
            {
                "recording_id": recording,
                "chunk_id": chunk,
                "chunk_start_ms": start,
                "chunk_end_ms": start + 30000,
                "timestamp_ms": at,
                "absolute_time_ms": start + at,
                "end_ms": at + 3000,
                "absolute_end_ms": start + at + 3000,
                "label": label,
                "label_code": label,
                "label_name": name,
                "confidence": score,
                "status": "ok",
                "runner": "hawkears",
                "model_version": "1",
                "chunk_sha256": "x",
                "source_path": "x.wav",
                "dataset_root": "bogus",
            }
            for recording, chunk, start, label, name, at, score in rows
        ]
    )
    assert table.column_names == ORIGINAL_COLUMNS
    path = tmp_path / "aggregate" / "B_detections.parquet"
    path.parent.mkdir()
    pq.write_table(table, path)
    return path


def test_summary_counts_by_label_and_recording(app, parquet, tmp_path):
    shown = run_typed(app, "report", "summary", "--parquet", parquet).stdout
    assert "Detections by label" in shown
    csv = tmp_path / "by.csv"
    words = ["summary", "--parquet", parquet, "--group-by", "label, recording_id"]
    found = given(app, *words, "--limit", 1, "--output", csv)
    assert [tuple(one.values()) for one in found["groups"]] == [
        ("Jay", "a", 2, 0.8),
        ("Owl, Great Horned", "a", 1, 0.5),
    ]
    rows = rows_of(csv)
    assert list(rows[0]) == ["label", "recording_id", "detections", "avg_confidence"]
    assert len(rows) == 2, "the limit is for the screen"
    shown = run_typed(app, "report", *words, "--limit", 1).stdout
    assert "and 1 more" in shown
    assert "Owl" not in shown


def test_summary_counts_by_station_and_local_time(app, parquet):
    words = ["summary", "--parquet", parquet, "--group-by", "location,date,hour,week"]
    (found,) = given(app, *words)["groups"]
    assert found == {
        "location": "Étang 7",
        "date": "2024-05-14",
        "hour": 5,
        "week": "2024-W20",
        "detections": 3,
        "avg_confidence": 0.7,
    }
    refused = run_typed(
        app, "report", "summary", "--parquet", parquet, "--group-by", "species", code=2
    )
    assert "cannot group by 'species'" in refused.stderr


def test_quicklook_shows_leaders_and_writes_whole_tables(app, parquet, tmp_path):
    words = ["quicklook", "--parquet", parquet, "--output-dir", tmp_path / "q", "--top-labels", 1]
    shown = run_typed(app, "report", *words).stdout
    assert "3 detections of 2 labels" in shown
    assert "and 1 more" in shown
    assert "█" in shown
    assert [row["label"] for row in rows_of(tmp_path / "q" / "labels.csv")] == [
        *("Jay", "Owl, Great Horned")
    ]
    assert list(rows_of(tmp_path / "q" / "chunks.csv")[0]) == [
        *("chunk_id", "chunk_start_ms", "detections", "avg_confidence")
    ]
    assert [row["recording_id"] for row in rows_of(tmp_path / "q" / "recordings.csv")] == ["a"]


def test_parquet_report_has_buckets_and_totals(app, original, tmp_path):
    words = ["parquet", "--parquet", original, "--bucket-minutes", 1, "--output-dir"]
    found = given(app, *words, tmp_path / "p")
    assert [(one["bucket_index"], one["detections"]) for one in found["timeline"]] == [
        (0, 1), (1, 1)
    ]  # fmt: skip
    summary = json.loads((tmp_path / "p" / "summary.json").read_text())
    assert (summary["detections"], summary["label_count"], summary["bucket_minutes"]) == (2, 1, 1)
    buckets = rows_of(tmp_path / "p" / "timeline.csv")
    assert [row["bucket"] for row in buckets] == ["bucket_0", "bucket_1"]


def test_a_database_has_the_detections_and_three_views(app, original, tmp_path):
    words = ["duckdb", "--parquet", original, "--export-dir", tmp_path / "exports"]
    shown = run_typed(app, "report", *words).stdout
    path = original.with_suffix(".duckdb")
    assert f"Database: {path}" in shown
    with duckdb.connect(path, read_only=True) as database:
        assert database.sql("SELECT label, detections FROM label_summary").fetchall() == [
            ("AMRO", 2)
        ]
        assert database.sql("SELECT count(*) FROM detections").fetchall() == [(3,)]
        assert database.sql("FROM recording_summary").fetchall() == [("B", 2, 0.7, 0, 0, 2)]
        assert database.sql("SELECT count(*) FROM timeline_summary").fetchall() == [(1,)]
    names = {path.name for path in (tmp_path / "exports").iterdir()}
    assert names == {"label_summary.csv", "recording_summary.csv", "timeline.csv"}
    run_typed(app, "report", *words)


def test_a_bundle_is_everything_under_the_files_name(app, parquet):
    shown = run_typed(app, "report", "bundle", "--parquet", parquet).stdout
    names = {path.name for path in parquet.parent.iterdir()} - {parquet.name}
    assert names == {
        "detections_quicklook",
        "detections_parquet_report",
        "detections.duckdb",
        "detections_duckdb_exports",
    }
    assert all(name in shown for name in names)


def test_parts_of_a_bundle_can_be_left_out_and_put_elsewhere(app, parquet, tmp_path):
    words = ["bundle", "--parquet", parquet, "--output-dir", tmp_path / "o", "--run-prefix", "r"]
    run_typed(app, "report", *words, "--no-quicklook", "--duckdb-database", tmp_path / "x.duckdb")
    assert {path.name for path in (tmp_path / "o").iterdir()} == {
        *("r_parquet_report", "r_duckdb_exports")
    }
    assert (tmp_path / "x.duckdb").exists()
    nothing = ["--no-quicklook", "--no-parquet-report", "--no-duckdb-report"]
    assert "at most two" in run_typed(app, "report", *words, *nothing, code=2).stderr
    assert (
        "must be a name"
        in run_typed(
            app, "report", "bundle", "--parquet", parquet, "--run-prefix", "a/b", code=2
        ).stderr
    )


def test_a_bundle_has_the_tables_that_badc_run_writes(app, workbench, tmp_path):
    workbench.add("a", found=FOUND)
    write_bundle(workbench.dataset, "a")
    own = workbench.dataset.bundle("a")
    parquet = workbench.dataset.detections("a")
    words = ["bundle", "--parquet", parquet, "--output-dir", tmp_path / "o"]
    run_typed(app, "report", *words)
    for folder in (own.quicklook, own.parquet_report, own.duckdb_exports):
        for path in folder.iterdir():
            assert path.read_bytes() == (tmp_path / "o" / folder.name / path.name).read_bytes()


def test_a_folder_is_read_whatever_its_files_are_called(app, workbench, original):
    workbench.add("a", found=FOUND)
    folder = original.parent
    shutil.copyfile(workbench.dataset.detections("a"), folder / "a.PARQUET")
    write_detections(folder / "empty.parquet", DETECTIONS.empty_table())
    (folder / ".x.part.parquet").write_bytes(b"half")
    words = ["aggregate-dir", folder, "--limit", 1, "--export-dir", folder / "aggregate_summary"]
    found = given(app, *words)
    assert {one["label"]: one["detections"] for one in found["labels"]} == {
        "AMRO": 2,
        "Jay": 2,
        "Owl, Great Horned": 1,
    }
    rows = rows_of(folder / "aggregate_summary" / "label_summary.csv")
    assert list(rows[0]) == [
        *("label_name", "label", "detections", "avg_confidence"),
        *("expected", "not_expected", "not_known"),
    ]
    assert len(rows) == 3
    assert len(rows_of(folder / "aggregate_summary" / "recording_summary.csv")) == 2


def test_a_recording_in_two_files_is_refused(app, original, tmp_path):
    shutil.copyfile(original, original.with_name("B.parquet"))
    words = ("aggregate-dir", original.parent, "--export-dir", tmp_path / "sums")
    several = r"1 recording in several files, such as B in B\.parquet and B_detections\.parquet"
    with pytest.raises(DetectionsInvalid, match=several):
        run_typed(app, "report", *words)
    assert not (tmp_path / "sums").exists()


def test_other_files_are_refused_by_name(app, tmp_path):
    def refusal(*words):
        with pytest.raises(DetectionsInvalid) as caught:
            run_typed(app, "report", *words)
        return str(caught.value)

    assert "no such folder" in refusal("aggregate-dir", tmp_path / "gone")
    assert "no Parquet file in this folder" in refusal("aggregate-dir", tmp_path)
    assert "there is no such file" in refusal("summary", "--parquet", tmp_path / "x.parquet")
    (tmp_path / "x.parquet").write_bytes(b"nothing")
    assert "x.parquet: not a readable Parquet" in refusal("aggregate-dir", tmp_path)
    pq.write_table(pa.table({"recording_id": ["a"]}), tmp_path / "x.parquet")
    assert "it has no column absolute_time_ms, chunk_id" in refusal("aggregate-dir", tmp_path)
    table = DETECTIONS.empty_table().replace_schema_metadata({"badc.schema": "99"})
    pq.write_table(table, tmp_path / "x.parquet")
    assert "follows schema 99" in refusal("quicklook", "--parquet", tmp_path / "x.parquet")


@pytest.mark.parametrize("given", ["none.parquet", "folder", "cut.parquet"])
def test_a_database_of_what_is_no_parquet_file_is_refused_in_a_sentence(
    app, parquet, tmp_path, given
):
    (tmp_path / "folder").mkdir()
    (tmp_path / "cut.parquet").write_bytes(parquet.read_bytes()[:-9])
    with pytest.raises(DetectionsInvalid, match=r"there is no such file|not a readable Parquet"):
        run_typed(app, "report", "duckdb", "--parquet", tmp_path / given)


@pytest.mark.parametrize("name", ["quicklook", "parquet", "duckdb", "bundle"])
def test_rows_shown_are_limited_and_tables_are_not(app, parquet, name):
    kinds = ("quicklook-", "parquet-", "duckdb-") if name == "bundle" else ("",)
    options = [f"--{kind}top-{rows}" for kind in kinds for rows in ("labels", "recordings")]
    known = {
        each
        for one in get_command(app).commands["report"].commands[name].params
        for each in one.opts
    }
    assert set(options) <= known
    words = [each for option in options for each in (option, 1)]
    shown = run_typed(app, "report", name, "--parquet", parquet, *words).stdout
    assert "Jay" in shown
    assert "Owl" not in shown
    assert "and 1 more" in shown


ROWS_OF_BUNDLES = (
    *("--quicklook-top-labels", "--quicklook-top-recordings", "--parquet-top-labels"),
    *("--parquet-top-recordings", "--duckdb-top-labels", "--duckdb-top-recordings"),
)


def test_a_bundle_shows_the_most_rows_of_its_parts(app, parquet):
    words = [each for option in ROWS_OF_BUNDLES for each in (option, 1)]
    words[words.index("--duckdb-top-labels") + 1] = 2
    bundle = ("report", "bundle", "--parquet", parquet, *words)
    assert "Owl" in run_typed(app, *bundle).stdout
    assert "Owl" not in run_typed(app, *bundle, "--no-duckdb-report").stdout


def test_reading_writes_nothing(app, parquet):
    before = sorted(parquet.parent.rglob("*"))
    for name in ("summary", "quicklook", "parquet"):
        run_typed(app, "report", name, "--parquet", parquet)
    run_typed(app, "report", "aggregate-dir", parquet.parent)
    assert sorted(parquet.parent.rglob("*")) == before
