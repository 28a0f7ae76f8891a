import csv
import json
from collections import Counter

import duckdb
import pytest

from badc_core.detections.store import (
    DETECTOR_SETTINGS_KEY,
    read_detections,
    write_detections,
)
from badc_core.errors import DetectionsInvalid, UnreadableRecording
from badc_core.reports.bundle import write_bundle

EXPECTED = ("expected", "not_expected", "not_known")


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_a_bundle_holds_every_promised_file_table_and_view(workbench):
    workbench.add()
    outcome = write_bundle(workbench.dataset, "soundscape")
    bundle = workbench.dataset.bundle("soundscape")
    made = {
        str(path.relative_to(workbench.dataset.aggregate))
        for path in workbench.dataset.aggregate.rglob("*")
        if path.is_file()
    }
    assert made == {
        "soundscape.parquet",
        "soundscape.duckdb",
        "soundscape_report.html",
        *(f"soundscape_quicklook/{name}.csv" for name in ("labels", "recordings", "chunks")),
        *(f"soundscape_parquet_report/{name}.csv" for name in ("labels", "recordings", "timeline")),
        "soundscape_parquet_report/summary.json",
        *(
            f"soundscape_duckdb_exports/{name}.csv"
            for name in ("label_summary", "recording_summary", "timeline")
        ),
    }
    assert outcome.detections == len(workbench.official)
    assert outcome.effort_s == pytest.approx(outcome.duration_s)
    assert outcome.page_bytes == bundle.html.stat().st_size
    table = rows(bundle.quicklook / "labels.csv")
    assert table[0] == ["label", "label_name", "detections", "avg_confidence", *EXPECTED]
    counted = Counter(name for _, _, name, _, _ in workbench.official)
    assert {row[0]: int(row[2]) for row in table[1:]} == counted
    for row in table[1:]:
        scores = [one[4] for one in workbench.official if one[2] == row[0]]
        assert float(row[3]) == pytest.approx(sum(scores) / len(scores), abs=1e-6)
    with duckdb.connect(bundle.duckdb, read_only=True) as connection:
        columns = {
            name: connection.table(name).columns
            for name in ("label_summary", "recording_summary", "timeline_summary")
        }
    assert columns == {
        "label_summary": [
            *("label", "label_name", "detections", "avg_confidence", *EXPECTED),
            "avg_calibrated_p",
        ],
        "recording_summary": ["recording_id", "detections", "avg_confidence", *EXPECTED],
        "timeline_summary": ["bucket_index", "bucket_start_ms", "detections", "avg_confidence"],
    }


def test_a_bundle_is_a_page_alone_unless_tables_are_asked_for(open_workbench):
    full = open_workbench(report={"top_detections": 1, "bundle": "full"})
    full.add()
    write_bundle(full.dataset, "soundscape")
    page = full.dataset.bundle("soundscape").html.read_bytes()
    assert all(path.exists() for path in full.dataset.bundle("soundscape").tables)
    slim = open_workbench(report={"top_detections": 1})
    write_bundle(slim.dataset, "soundscape")
    left = {path.name for path in slim.dataset.aggregate.iterdir()}
    assert left == {"soundscape.parquet", "soundscape_report.html"}
    assert slim.dataset.bundle("soundscape").html.read_bytes() == page


def test_a_timeline_goes_by_the_detection_and_not_by_its_chunk(open_workbench):
    workbench = open_workbench(
        report={"bucket_minutes": 1, "top_detections": 0, "bundle": "full"},
        chunks={"duration_s": 120.0},
    )
    workbench.add()
    write_bundle(workbench.dataset, "soundscape")
    bundle = workbench.dataset.bundle("soundscape")
    table = rows(bundle.parquet_report / "timeline.csv")
    late = sum(1 for one in workbench.official if one[0] >= 60)
    assert [row[:3] for row in table] == [
        ["bucket", "bucket_start_ms", "detections"],
        ["bucket_0", "0", str(len(workbench.official) - late)],
        ["bucket_1", "60000", str(late)],
    ]
    exported = rows(bundle.duckdb_exports / "timeline.csv")
    assert exported[0] == ["bucket_index", "bucket_start_ms", "detections", "avg_confidence"]


def test_without_detections_tables_are_headers_only(workbench):
    workbench.add(found=[])
    outcome = write_bundle(workbench.dataset, "soundscape")
    bundle = workbench.dataset.bundle("soundscape")
    for path in workbench.dataset.aggregate.rglob("*.csv"):
        assert len(rows(path)) == 1, path
    summary = json.loads((bundle.parquet_report / "summary.json").read_text())
    assert summary == {
        "detections": 0,
        "label_count": 0,
        "recording_count": 0,
        "first_chunk_ms": None,
        "last_chunk_ms": None,
        "bucket_minutes": 60,
    }
    assert (outcome.detections, outcome.chunks) == (0, 2)


def test_placeholder_rows_are_never_counted(workbench):
    workbench.add(found=[*workbench.official, (3.0, 6.0, "none", None, 0.0)])
    outcome = write_bundle(workbench.dataset, "soundscape")
    assert outcome.detections == len(workbench.official)
    labels = rows(workbench.dataset.bundle("soundscape").quicklook / "labels.csv")
    assert "none" not in [row[0] for row in labels]


def test_a_comma_in_a_name_stays_in_its_column(workbench):
    workbench.add(found=[(0.0, 3.0, 'Owl, "Great" Horned', "Bubo virginianus", 0.9)])
    write_bundle(workbench.dataset, "soundscape")
    table = rows(workbench.dataset.bundle("soundscape").quicklook / "labels.csv")
    assert table[1] == ['Owl, "Great" Horned', 'Owl, "Great" Horned', "1", "0.9", "0", "0", "1"]


def test_tables_are_complete_however_short_the_page_is(open_workbench):
    report = {"top_labels": 1, "top_recordings": 1, "top_detections": 0, "bundle": "full"}
    workbench = open_workbench(report=report)
    found = [(0.0, 3.0, f"kind {n:03}", None, 0.5) for n in range(60)]
    workbench.add(found=found)
    write_bundle(workbench.dataset, "soundscape")
    bundle = workbench.dataset.bundle("soundscape")
    assert len(rows(bundle.duckdb_exports / "label_summary.csv")) == 61
    assert "59 more" in bundle.html.read_text(encoding="utf-8")


def test_a_bundle_made_twice_has_the_same_page_and_tables(workbench):
    workbench.add()
    write_bundle(workbench.dataset, "soundscape")
    files = [p for p in workbench.dataset.aggregate.rglob("*") if p.suffix in {".csv", ".html"}]
    before = {path: path.read_bytes() for path in files}
    write_bundle(workbench.dataset, "soundscape")
    assert {path: path.read_bytes() for path in files} == before


def test_a_bundle_that_cannot_be_made_leaves_the_old_one(workbench):
    recording = workbench.add()
    write_bundle(workbench.dataset, recording.recording_id)
    page = workbench.dataset.bundle("soundscape").html.read_bytes()
    workbench.dataset.detections("soundscape").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DetectionsInvalid, match=r"soundscape\.parquet"):
        write_bundle(workbench.dataset, "soundscape")
    assert workbench.dataset.bundle("soundscape").html.read_bytes() == page
    assert not list(workbench.dataset.aggregate.glob(".*"))


def test_detections_of_another_schema_are_refused(workbench, monkeypatch):
    workbench.add()
    monkeypatch.setattr("badc_core.detections.store.SCHEMA_VERSION", 99)
    with pytest.raises(DetectionsInvalid, match="follows schema 3, expected 99"):
        write_bundle(workbench.dataset, "soundscape")


def test_detections_with_malformed_settings_are_refused(workbench):
    workbench.add("a")
    path = workbench.dataset.detections("a")
    write_detections(path, read_detections(path), {DETECTOR_SETTINGS_KEY: "[" * 100_000})
    with pytest.raises(DetectionsInvalid, match="its detector settings are malformed"):
        write_bundle(workbench.dataset, "a")


def test_a_page_with_speech_goes_even_if_the_muted_one_cannot_be_written(open_workbench):
    workbench = open_workbench(report={"top_detections": 0})
    recording = workbench.add(source="aru_1.wav", found=[])
    write_bundle(workbench.dataset, "soundscape")
    page = workbench.dataset.bundle("soundscape").html
    workbench.dataset.audio(recording.path).write_bytes(b"no sound" * 100)
    muting = open_workbench(speech={"privacy": "mute"})
    with pytest.raises(UnreadableRecording):
        write_bundle(muting.dataset, "soundscape")
    assert not page.exists()
