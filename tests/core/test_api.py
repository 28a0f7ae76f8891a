"""`import badc_core.api as badc`: results as tables, and running a manifest."""

import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from support.archives import run_in
from support.built_once import build_once
from support.detecting import cut_recordings, detect_in_process
from support.finished_dataset import (
    BROKEN,
    GOOD,
    MARSH_1,
    MARSH_2,
    RIDGE,
    add_corpus,
    copy_finished,
)
from support.sounds import write_tone

import badc_core.api as badc
from badc_core.chunks.source import plan_file, write_virtual_manifest
from badc_core.corpus.building import build_corpus
from badc_core.datasets.connections import connect
from badc_core.datasets.dataset import Dataset
from badc_core.detections.schema import EFFORT
from badc_core.detections.store import read_detections, read_effort, write_effort
from badc_core.errors import (
    ConfigInvalid,
    ContentMissing,
    DatasetInvalid,
    RecordingUnknown,
    RepositoryFailed,
)
from badc_core.recordings.registry import register_recordings


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    def build(folder: Path) -> None:
        copy_finished(tmp_path_factory, folder / "with")
        shutil.copytree(folder / "with", folder / "without")
        shutil.rmtree(folder / "without" / "artifacts" / "corpus")

    return build_once(tmp_path_factory, "api-datasets", build)


@pytest.fixture(params=["with", "without"])
def results(request, built):
    """Opens the dataset that has a corpus, and the one that has none."""
    with badc.open_dataset(built / request.param) as opened:
        assert opened.is_corpus == (request.param == "with")
        yield opened


@pytest.fixture
def own(built, tmp_path) -> Path:
    """Returns a copy of the dataset with a corpus."""
    shutil.copytree(built / "with", tmp_path / "own")
    return tmp_path / "own"


def listing(root: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in sorted(root.rglob("*"))}


def test_detections_are_those_of_the_recordings_files(results):
    own = Dataset.open(results.root)
    ids = [one for recording in GOOD for one in _detection_ids(own, recording)]
    found = results.detections()
    assert sorted(found["detection_id"].to_pylist()) == sorted(ids)
    assert len(ids) == 5
    assert not any(pa.types.is_dictionary(one) for one in found.schema.types)


def _detection_ids(dataset, recording_id):
    return read_detections(dataset.detections(recording_id))["detection_id"].to_pylist()


def test_a_frame_has_plain_texts_and_times(results):
    frame = results.detections().to_pandas()
    per_station = frame.groupby("location")["confidence"].count()
    assert per_station.index.tolist() == ["MARSH"]
    assert frame["recording_start_local"].dt.year.unique().tolist() == [2024]
    assert str(frame["detection_utc"].dt.tz) == "UTC"


def test_nothing_found_failed_and_not_analysed_are_told_apart(results):
    rows = {row["recording_id"]: row for row in results.recordings().to_pylist()}
    assert rows.keys() == {*GOOD, BROKEN}
    assert (rows[RIDGE]["state"], rows[RIDGE]["detections"]) == ("analysed", 0)
    assert rows[RIDGE]["effort_s"] == pytest.approx(6)
    assert (rows[BROKEN]["state"], rows[BROKEN]["effort_s"]) == ("failed", 0)
    assert rows[BROKEN]["detections"] is None
    assert "not audio although its name says so" in rows[BROKEN]["reason"]
    assert rows[BROKEN]["path"] == f"audio/BROKEN/{BROKEN}.wav"


def test_a_recording_newer_than_the_corpus_is_not_taken_for_one_without_detections(own):
    write_tone(own / "audio" / "MARSH" / "20240605_053000.wav", 3.0)
    register_recordings(Dataset.open(own))
    with badc.open_dataset(own) as results:
        rows = {row["recording_id"]: row for row in results.recordings().to_pylist()}
    assert rows["20240605_053000"]["state"] == "not in the corpus"
    assert "badc run" in rows["20240605_053000"]["reason"]


def test_a_recording_without_some_chunks_is_incomplete(own):
    dataset = Dataset.open(own)
    rows = read_effort(dataset.effort(RIDGE)).to_pylist()
    rows[0] |= {"status": "error", "effort_s": 0.0, "error": "x"}
    write_effort(dataset.effort(RIDGE), pa.Table.from_pylist(rows, EFFORT))
    add_corpus(dataset)
    with badc.open_dataset(own) as results:
        rows = {row["recording_id"]: row for row in results.recordings().to_pylist()}
        statuses = results.effort(recordings=RIDGE)["status"].to_pylist()
    assert rows[RIDGE]["state"] == "incomplete"
    assert rows[RIDGE]["reason"] == "1 of 2 chunks failed"
    assert statuses == ["error", "no_detections"]


@pytest.mark.parametrize("has_corpus", [True, False])
def test_what_the_stub_runner_made_is_not_analysed(tmp_path, has_corpus):
    write_tone(tmp_path / "pond" / "audio" / "a.wav", 3.0)
    dataset = Dataset.open(tmp_path / "pond", {"detector": {"name": "stub"}})
    cut_recordings(dataset)
    detect_in_process(dataset, ["a"])
    if has_corpus:
        build_corpus(dataset, ["a"], {})
    with badc.open_dataset(dataset.root) as results:
        (found,) = results.recordings().to_pylist()
        statuses = results.effort()["status"].to_pylist()
    assert (found["state"], found["effort_s"]) == ("not analysed", 0)
    assert found["reason"] == "the stub runner: no model ran"
    assert statuses == ["stub"]


def test_an_empty_list_chooses_nothing(results):
    for chosen in ({"recordings": []}, {"stations": []}, {"species": []}):
        assert results.detections(**chosen).num_rows == 0
    assert results.effort(recordings=[]).num_rows == 0
    assert results.effort(stations=()).num_rows == 0
    assert results.effort(recordings=None, stations=None).equals(results.effort())


def test_recordings_are_those_of_the_moment_of_opening(own):
    with badc.open_dataset(own) as results:
        (own / "recordings.csv").write_text("rubbish", encoding="utf-8")
        (own / "badc.toml").write_text("rubbish", encoding="utf-8")
        found = results.detections(recordings=MARSH_1)
    assert set(found["recording_id"].to_pylist()) == {MARSH_1}


def test_effort_has_the_chunks_in_which_nothing_was_found(results):
    dataset = Dataset.open(results.root)
    expected = sum(read_effort(dataset.effort(one)).num_rows for one in GOOD)
    effort = results.effort()
    assert effort.num_rows == expected
    assert pc.sum(results.effort(stations="RIDGE")["effort_s"]).as_py() == pytest.approx(6)
    assert results.effort(stations="RIDGE")["status"].to_pylist() == ["no_detections"] * 2


@pytest.mark.parametrize(
    ("days", "ids"),
    [
        ("2024-06-01", {MARSH_1, RIDGE}),
        (date(2024, 6, 2), {MARSH_2}),
        (("2024-06-02", None), {MARSH_2}),
        ((None, "2024-06-01"), {MARSH_1, RIDGE}),
        (("2024-05-01", "2024-07-01"), {*GOOD}),
    ],
)
def test_days_choose_the_same_recordings_everywhere(results, days, ids):
    assert set(results.effort(days=days)["recording_id"].to_pylist()) == ids
    found = set(results.detections(days=days)["recording_id"].to_pylist())
    assert found == ids - {RIDGE}


def test_detections_are_chosen_by_station_recording_species_and_score(results):
    everything = results.detections()
    label = everything["label_name"][0].as_py()
    scores = everything["confidence"].to_pylist()
    some = results.detections(species=label.upper(), min_score=sorted(scores)[len(scores) // 2])
    expected = [
        row["detection_id"]
        for row in everything.to_pylist()
        if row["label_name"] == label and row["confidence"] >= sorted(scores)[len(scores) // 2]
    ]
    assert some["detection_id"].to_pylist() == expected
    assert 0 < len(expected) < everything.num_rows
    assert results.detections(stations=["RIDGE"]).num_rows == 0
    one = results.detections(recordings=[MARSH_2], stations="MARSH")
    assert set(one["recording_id"].to_pylist()) == {MARSH_2}
    assert results.detections(species="Sasquatch").num_rows == 0


def test_a_question_that_cannot_be_answered_is_refused(results):
    with pytest.raises(ConfigInvalid, match=r"0\.25 or more were kept"):
        results.detections(min_score=0.1)
    with pytest.raises(ConfigInvalid, match=r"MARHS: .*There are: MARSH"):
        results.detections(stations="MARHS")
    with pytest.raises(RecordingUnknown, match=f"Did you mean .*{MARSH_1}"):
        results.effort(recordings=f"{MARSH_1}x")
    with pytest.raises(ConfigInvalid, match="Write it as 2024-05-14"):
        results.detections(days="1 June")
    with pytest.raises(ConfigInvalid, match="label_summary, recording_summary"):
        results.view("labels")


def test_summaries_are_those_of_the_reports(results):
    labels = results.view("label_summary")
    assert pc.sum(labels["detections"]).as_py() == results.detections().num_rows
    assert results.view("label_summary", limit=1).to_pylist() == labels.to_pylist()[:1]
    per_recording = results.view("recording_summary").to_pylist()
    assert {one["recording_id"] for one in per_recording} == {MARSH_1, MARSH_2}
    timeline = results.view("timeline_summary", limit=5)
    assert pc.sum(timeline["detections"]).as_py() == results.detections().num_rows
    for name in badc.VIEWS:
        assert results.view(name).num_columns > 1


def test_reading_writes_nothing(built):
    before = listing(built)
    for name in ("with", "without"):
        with badc.open_dataset(built / name) as results:
            results.detections()
            results.recordings()
    assert listing(built) == before


def test_an_open_dataset_stays_as_it_was_while_the_corpus_is_replaced(own):
    with badc.open_dataset(own) as results:
        before = results.detections()
        dataset = Dataset.open(own, {"detector": {"min_score": 0.25}})
        dataset.detections(MARSH_2).unlink()
        add_corpus(dataset)
        assert results.detections().equals(before)
        with badc.open_dataset(own) as newer:
            assert newer.detections().num_rows < before.num_rows


def test_a_corpus_of_another_version_is_refused_by_name(own):
    path = own / "artifacts" / "corpus" / "corpus.duckdb"
    with duckdb.connect(path) as corpus:
        corpus.execute("ALTER TABLE recordings DROP COLUMN timezone")
    with pytest.raises(DatasetInvalid, match=r"duckdb: its table recordings .* column timezone"):
        badc.open_dataset(own)
    with duckdb.connect(path) as corpus:
        corpus.execute("DROP TABLE parts")
    with pytest.raises(DatasetInvalid, match=r"duckdb: it is of another version of BADC"):
        badc.open_dataset(own)
    path.write_bytes(b"rubbish")
    with pytest.raises(DatasetInvalid, match=r"corpus.duckdb: the database cannot be read"):
        badc.open_dataset(own)


def test_a_file_of_another_schema_is_refused_by_name(own):
    shutil.rmtree(own / "artifacts" / "corpus")
    path = Dataset.open(own).detections(MARSH_2)
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"badc.schema": "99"}), path)
    with pytest.raises(badc.BadcError, match=f"{MARSH_2}.parquet: follows schema 99"):
        badc.open_dataset(own)
    path.write_bytes(b"rubbish")
    with pytest.raises(badc.BadcError, match=f"{MARSH_2}.parquet: not a readable Parquet file"):
        badc.open_dataset(own)


def test_a_corpus_whose_content_is_elsewhere_names_what_to_get(own):
    path = own / "artifacts" / "corpus" / "corpus.duckdb"
    path.unlink()
    path.symlink_to("../../.git/annex/objects/aa/bb/SHA256E-s1--c/SHA256E-s1--c")
    with pytest.raises(ContentMissing, match=r"datalad get .*corpus\.duckdb"):
        badc.open_dataset(own)


def test_a_dataset_is_opened_by_the_name_it_is_connected_under(own, tmp_path):
    connect(tmp_path / "home", own, "pond")
    with badc.open_dataset("pond", str(tmp_path / "home")) as results:
        assert results.root == own
    with pytest.raises(DatasetInvalid):
        badc.open_dataset("lake", tmp_path / "home")


def test_a_manifest_is_run_as_the_command_does(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sound = write_tone(tmp_path / "tone.wav", 6.0)
    manifest = write_virtual_manifest(plan_file(sound, 3.0, 0.0), tmp_path / "m.csv", False)
    result = badc.run_manifest(
        manifest,
        detector="band_energy",
        min_score=0.2,
        cpu_workers=1,
        output_dir=tmp_path / "found",
        telemetry_log=tmp_path / "log.jsonl",
    )
    assert (result.n_chunks, result.failed) == (2, ())
    assert result.n_detections > 0
    assert len(list((tmp_path / "found" / "tone").glob("*.json"))) == 2
    with pytest.raises(ConfigInvalid, match=r"min_scroe: no option .* min_score"):
        badc.run_manifest(manifest, min_scroe=0.2)


def test_a_manifest_in_a_datalad_dataset_is_committed_as_the_command_does(tmp_path):
    root = tmp_path / "pond"
    sound = write_tone(root / "audio" / "a.wav", 3.0)
    manifest = write_virtual_manifest(plan_file(sound, 3.0, 0.0), root / "m.csv", False)
    options = {"detector": "band_energy", "cpu_workers": 1}
    with pytest.raises(RepositoryFailed, match="no git repository"):
        badc.run_manifest(manifest, record_datalad=True, **options)
    run_in(root, "git", "init", "--quiet")
    run_in(root, "git", "annex", "init", "--quiet")
    run_in(root, "git", "annex", "add", "--quiet", "audio")
    run_in(root, "git", "commit", "--quiet", "-m", "Sound")
    assert badc.run_manifest(manifest, record_datalad=False, **options).n_skipped == 0
    assert run_in(root, "git", "log", "-1", "--format=%s").strip() == "Sound"
    done = badc.run_manifest(manifest, resume_completed=False, **options)
    assert (done.n_succeeded, done.warnings) == (1, ())
    subject = run_in(root, "git", "log", "-1", "--format=%s").strip()
    assert subject == "[DATALAD RUNCMD] Detect in a"
    (root / ".git" / "MERGE_HEAD").write_text("0" * 40, encoding="utf-8")
    done = badc.run_manifest(manifest, resume_completed=False, **options)
    assert "a merge is unfinished" in done.warnings[0]


def test_importing_loads_neither_engine_nor_commands():
    code = "import sys, badc_core.api; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"pandas", "typer", "dagster", "badc_core.engine.engine"} & {*loaded}
