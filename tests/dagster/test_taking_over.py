"""Results that another Dagster home made: carried on from, and never made again."""

import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from support.archives import run_in
from support.commands import run_badc

from badc_core.annexed_files import lacks_content
from badc_core.errors import UnreadableRecording
from badc_core.integrity.verifying import verify_dataset
from badc_core.locks import locked
from badc_core.provenance.tracking import write_tracking_rules
from badc_core.recordings.failures import note_failure
from badc_core.stages.fingerprint_files import find_difference, read_stored, store_fingerprint
from badc_core.stages.stage import STAGES
from badc_core.stages.work import Work
from badc_dagster import batches, known_fingerprints, taking_over
from badc_dagster.known_fingerprints import read_known_fingerprints, remember_seen
from badc_dagster.runs import Project
from badc_dagster.sensors import evaluate

IDS = ("rec_1", "rec_2", "rec_3")
NOTHING = dict.fromkeys(STAGES, 0)
STRICTER = {"detector": {"min_score": 0.3}}


def run(root, overrides=None):
    """Returns what `badc run` does, and what it says before."""
    said = []
    with Project.open(root, overrides=overrides) as project:
        project.scan(said.append, said.append)
        return project.bring_up_to_date(show=said.append, warn=said.append), said


def materialised_by_runs(graph):
    """Returns for each stage how many of its latest materialisations a run made."""
    return {
        stage: sum("taken_over" not in graph.latest(stage, one).metadata for one in IDS)
        for stage in STAGES
    }


@pytest.fixture
def clone(archive, in_fresh_home, tmp_path):
    """Returns a clone of it, without work in progress, in a home that knows nothing."""
    root = tmp_path / "elsewhere" / "clone"
    shutil.copytree(archive.root, root, ignore=shutil.ignore_patterns(".badc"))
    return in_fresh_home(root)


def test_a_clone_in_another_home_has_nothing_to_do(clone, n_workers):
    outcome, said = run(clone.root)
    assert outcome.nothing_to_do
    assert (outcome.n_finished, outcome.failures, outcome.faults) == (3, (), ())
    assert said == ["Results of 3 recordings, made in another Dagster home, taken over."]
    assert n_workers == []
    assert materialised_by_runs(clone) == NOTHING
    assert clone.latest("corpus_report").metadata["taken_over"]
    assert run(clone.root)[1] == []


def test_what_is_taken_over_is_recorded_as_a_run_would_have(archive, clone):
    run(clone.root)
    for stage in STAGES:
        made, taken = archive.latest(stage, "rec_2"), clone.latest(stage, "rec_2")
        same = ("dagster/data_version", "dagster/code_version")
        assert [taken.tags[one] for one in same] == [made.tags[one] for one in same]
        versions = {
            name: it for name, it in made.tags.items() if name.startswith("dagster/input_data")
        }
        assert versions.items() <= taken.tags.items()
    assert set(clone.statuses("report_bundle").values()) == {"MATERIALIZED"}


def test_a_changed_recording_in_a_clone_is_due_alone(clone):
    clone.add("S1/rec_2.wav", "aru_3.wav")
    with Project.open(clone.root) as project:
        project.scan()
    assert clone.due() == {"recording": ["rec_2"]}
    assert clone.progress().finished == {"rec_1", "rec_3"}


def test_status_counts_what_could_be_taken_over_and_writes_nothing(clone):
    clone.scan()
    with Project.open_known(clone.root) as project:
        rows = project.status().rows
    assert {(row.current, row.due) for row in rows} == {(3, 0)}
    assert {stage: clone.n_materialized(stage) for stage in STAGES} == NOTHING


@pytest.mark.soak
def test_two_homes_in_turn_on_one_dataset_learn_what_the_other_did(archive, in_fresh_home):
    other = in_fresh_home(archive.root)
    assert run(archive.root, STRICTER)[0].n_finished == 3
    made = other.latest("detections", "rec_1").tags["dagster/data_version"]
    first = in_fresh_home(archive.root, "home")
    # Its own settings are those from before, and the files are not: so they are due again.
    outcome, said = run(archive.root)
    assert said[:1] == ["Results of 3 recordings, made in another Dagster home, taken over."]
    assert not outcome.nothing_to_do
    assert first.n_materialized("detections") == 9
    assert first.n_materialized("raw_detections") == 3
    assert first.latest("detections", "rec_1").tags["dagster/data_version"] != made
    assert run(archive.root)[0].nothing_to_do
    in_fresh_home(archive.root)
    outcome, said = run(archive.root, STRICTER)
    assert said[:1] == ["Results of 3 recordings, made in another Dagster home, taken over."]


def test_newer_results_are_taken_over_after_a_pull_and_left_alone_in_the_middle_of_it(
    archive, clone, in_fresh_home
):
    run(clone.root)
    in_fresh_home(archive.root, "home").configure("[report]\ntop_labels = 3\n")
    run(archive.root)
    pulled = in_fresh_home(clone.root)

    def tick(after_s=0.0):
        place = pulled.instance, pulled.connection, pulled.dataset
        return evaluate(*place, None, lambda: time.time() + after_s)

    # In the order of git.
    shutil.copytree(
        archive.dataset.fingerprints("x").parent,
        clone.dataset.fingerprints("x").parent,
        dirs_exist_ok=True,
    )
    work = Work(clone.dataset.work_folder)
    assert not tick().run_requests
    assert not work.dirty("report_bundle")
    shutil.copytree(
        archive.root, clone.root, ignore=shutil.ignore_patterns(".badc"), dirs_exist_ok=True
    )
    assert not tick().run_requests
    assert run(clone.root)[0].nothing_to_do
    assert pulled.n_materialized("report_bundle") == 6
    assert pulled.n_materialized("detections") == 3
    path = clone.dataset.fingerprints("rec_2")
    path.write_text(path.read_text("utf-8").replace('"fingerprint": "', '"fingerprint": "0'))
    clone.dataset.manifest("rec_2").write_text("replaced")
    assert not tick().run_requests
    assert not work.dirty("chunk_manifest")
    tick(after_s=120.0)
    assert work.dirty("chunk_manifest") == {"rec_2"}


def test_raw_detections_that_were_replaced_are_analysed_again(archive, clone, n_workers):
    path = clone.dataset.raw_detections("rec_2")
    table = pq.read_table(path)
    number = table.column_names.index("confidence")
    weaker = pc.multiply(table["confidence"], 0.5).cast(table.schema.field(number).type)
    pq.write_table(table.set_column(number, table.schema.field(number), weaker), path)
    replaced = path.read_bytes()
    assert run(clone.root)[0].n_finished == 3
    assert path.read_bytes() == archive.dataset.raw_detections("rec_2").read_bytes()
    assert len(n_workers) == 1
    kept = clone.root / ".badc" / "damaged" / path.relative_to(clone.root)
    assert kept.read_bytes() == replaced


def test_what_another_run_makes_again_meanwhile_is_not_called_damaged(clone, monkeypatch):
    def read_then_replace(*inputs):
        known = read_known_fingerprints(*inputs)
        path = clone.dataset.recording("rec_2")
        path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")
        store_fingerprint(clone.dataset, "recording", "rec_2", "another")
        return known

    monkeypatch.setattr(taking_over, "read_known_fingerprints", read_then_replace)
    found = (clone.instance, clone.connection, clone.dataset, IDS)
    outcome = taking_over.take_over(*found)
    assert outcome.damaged == {}
    assert set(outcome.recordings) >= {"rec_1", "rec_3"}
    assert not Work(clone.dataset.work_folder).dirty("recording")


def test_damaged_outputs_that_another_run_begins_to_make_are_not_said_to_be_made_again(
    clone, monkeypatch
):
    path = clone.dataset.recording("rec_2")
    path.write_text(path.read_text(encoding="utf-8") + " ", encoding="utf-8")
    begun = []

    def find_as_a_run_begins(dataset, paths, output, *, in_full):
        if path in paths:
            begun.append(Work(dataset.work_folder).begin("recording", "rec_2"))
        return find_difference(dataset, paths, output, in_full=in_full)

    monkeypatch.setattr(taking_over, "find_difference", find_as_a_run_begins)
    found = (clone.instance, clone.connection, clone.dataset, IDS)
    outcome = taking_over.take_over(*found)
    assert len(begun) == 1
    assert outcome.damaged == {}
    assert list(outcome.warnings()) == []


def test_results_made_again_with_earlier_settings_are_due(archive):
    path = archive.dataset.detections("rec_1")
    before = path.read_bytes()
    words = ("--", ".", "detections", "rec_1")
    run_badc("redo", *words, folder=archive.root)
    assert archive.due() == {}
    run_badc("redo", "--set", "detector.min_score=0.9", *words, folder=archive.root)
    assert path.read_bytes() != before
    # As `datalad rerun` of several commits goes on.
    run_badc("redo", "--", ".", "report_bundle", "rec_1", folder=archive.root)
    run_badc("redo", "--", ".", "corpus_detections", folder=archive.root)
    assert verify_dataset(archive.dataset).findings == []
    assert archive.due()["detections"] == ["rec_1"]
    assert run(archive.root)[0].n_finished == 3
    assert path.read_bytes() == before
    assert archive.due() == {}
    stored = read_stored(archive.dataset.corpus.fingerprints, "")
    for one in ("corpus_detections", "corpus_report"):
        made = archive.latest(one).tags["dagster/data_version"]
        assert stored[one].fingerprint == made
    assert run(archive.root)[0].nothing_to_do


def test_outputs_that_are_not_as_they_were_written_are_made_again(clone):
    dataset = clone.dataset
    damaged = {
        dataset.recording("rec_1"): "recording",
        dataset.bundle("rec_2").html: "report_bundle",
    }
    for path in damaged:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    shutil.copy(dataset.detections("rec_1"), dataset.detections("rec_3"))
    outcome, said = run(clone.root)
    assert outcome.n_finished == 3
    assert said[0].startswith("3 outputs will be made again, since files are not as they were")
    assert materialised_by_runs(clone) == NOTHING | {
        "recording": 1,
        "detections": 1,
        "report_bundle": 1,
    }
    for stage in damaged.values():
        assert not Work(dataset.work_folder).dirty(stage)


def test_fingerprints_gone_or_left_in_conflict_by_a_merge_are_made_again(clone):
    clone.dataset.fingerprints("rec_3").unlink()
    path = clone.dataset.fingerprints("rec_2")
    path.write_text(f"<<<<<<< HEAD\n{path.read_text('utf-8')}", "utf-8")
    outcome, said = run(clone.root)
    assert str(path) in said[0]
    assert "Restore it from version control" in said[0]
    assert outcome.n_finished == 3
    assert materialised_by_runs(clone) == dict.fromkeys(STAGES, 2)
    assert list(read_stored(path, "rec_2")) == list(STAGES)


def test_a_recording_that_another_run_is_at_work_on_is_looked_at_again(clone):
    begun = Work(clone.dataset.work_folder).begin("raw_detections", "rec_2")
    with Project.open(clone.root) as project:
        project.scan()
    assert clone.n_materialized("raw_detections") == 2
    begun.commit()
    with Project.open(clone.root) as project:
        project.scan()
    assert clone.n_materialized("raw_detections") == 3


def test_failures_and_lacking_chunks_mean_the_same_in_a_clone(clone):
    error = UnreadableRecording("cut off", "audio/S1/rec_3.wav", "Copy it again")
    note_failure(clone.dataset, "rec_3", "raw_detections", error)
    path = clone.dataset.fingerprints("rec_1")
    content = json.loads(path.read_text("utf-8"))
    raw = content["outputs"]["raw_detections"]
    digest, floor = raw["fingerprint"].split("@")
    raw["fingerprint"] = f"{digest}-incomplete-01234567@{floor}"
    path.write_text(json.dumps(content), "utf-8")
    with Project.open(clone.root) as project:
        project.scan()
        assert [one.recording_id for one in project.status().failures] == ["rec_3"]
    assert clone.due()["raw_detections"] == ["rec_1"]
    assert clone.progress().incomplete == {"rec_1"}
    assert Work(clone.dataset.work_folder).lacking("raw_detections") == {"rec_1", "rec_3"}


def test_the_sensor_takes_over_too_and_requests_no_run(clone):
    for _ in range(2):
        result = evaluate(clone.instance, clone.connection, clone.dataset, None, time.time)
        assert not result.run_requests
    assert {stage: clone.n_materialized(stage) for stage in STAGES} == dict.fromkeys(STAGES, 3)


def test_files_are_read_again_only_after_they_changed(archive, monkeypatch):
    read = []

    def count(path, about):
        read.append(about)
        return read_stored(path, about)

    with Project.open(archive.root) as project:
        project.scan()
    # What has yet to be made is no reason.
    archive.instance.wipe_assets([archive.key("report_bundle")])
    for one in IDS:
        archive.dataset.bundle(one).html.unlink()
    monkeypatch.setattr(known_fingerprints, "read_stored", count)
    archive.due()
    # The one put in place last may share its time with one that was not seen.
    assert len(read) == 1
    read.clear()
    os.utime(archive.dataset.fingerprints("rec_1"))
    archive.due()
    assert "rec_1" in read
    assert len(read) <= 2


def test_what_was_seen_is_written_only_where_it_changed_and_by_one_process_at_a_time(archive):
    seen = archive.root.parent / "home" / ".fingerprints_seen.json"
    known = read_known_fingerprints(archive.instance, archive.connection, archive.dataset)
    remember_seen(archive.instance, archive.dataset, known, ())
    before = seen.stat()
    remember_seen(archive.instance, archive.dataset, known, ())
    assert (seen.stat().st_ino, seen.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    seen.unlink()
    with ThreadPoolExecutor(1) as other:
        with locked(seen.with_suffix(".lock")):
            ours = other.submit(remember_seen, archive.instance, archive.dataset, known, ())
            time.sleep(0.3)
            seen.write_text('{"/another": 7}')
        ours.result()
    assert json.loads(seen.read_text()).keys() == {"/another", str(archive.root)}


def save(graph):
    run_in(graph.root, "datalad", "create", "--force")
    write_tracking_rules(graph.root)
    for words in (("git", "annex", "add", "--quiet", "."), ("git", "commit", "-qm", "Save")):
        run_in(graph.root, *words)


@pytest.fixture(scope="session")
def saved_once(build_graph, archive_once):
    """Returns the folder of `saved`."""
    return build_graph("saved_archive", save, archive_once)


@pytest.fixture
def saved(saved_once, copy_graph):
    """Returns the archive, saved with DataLad."""
    return copy_graph(saved_once)


def clone_saved(root, folder):
    """Returns a clone of a saved dataset, without contents."""
    run_in(folder, "git", "clone", "-q", str(root), str(folder / "clone"))
    run_in(folder / "clone", "git", "annex", "init", "-q")
    return folder / "clone"


@pytest.mark.soak
def test_damaged_contents_of_an_annex_are_made_again_once(saved, n_workers):
    path = saved.dataset.raw_detections("rec_2")
    content = path.read_bytes()
    stored = path.resolve()
    for one in (stored.parent, stored):
        one.chmod(0o755)
    stored.write_bytes(bytes(len(content)))
    saved.configure("", "[detector]\nname = 'band_energy'\nmin_score = 0.3\n")
    assert not saved.run_range("detections", *IDS).success
    assert run(saved.root)[0].n_finished == 3
    assert run(saved.root)[0].nothing_to_do
    assert path.read_bytes() == content
    assert len(n_workers) == 1
    assert len(list((saved.root / ".git" / "annex" / "bad").iterdir())) == 1


def test_a_corpus_made_while_results_could_not_be_fetched_is_made_again(
    saved, in_fresh_home, tmp_path
):
    cloned = in_fresh_home(clone_saved(saved.root, tmp_path))
    cloned.dataset.corpus.fingerprints.unlink()
    away = saved.root.rename(tmp_path / "away")
    run(cloned.root)
    assert query_corpus(cloned.dataset) == 0
    made = cloned.latest("corpus_detections").tags["dagster/data_version"]
    assert made.startswith("incomplete-")
    stored = read_stored(cloned.dataset.corpus.fingerprints, "")
    assert stored["corpus_detections"].fingerprint == made
    away.rename(saved.root)
    assert not run(cloned.root)[0].nothing_to_do
    assert query_corpus(cloned.dataset) == 3
    assert run(cloned.root)[0].nothing_to_do


def query_corpus(dataset):
    """Returns how many recordings the corpus has results of."""
    with duckdb.connect(dataset.corpus.duckdb, read_only=True) as connection:
        return connection.execute("SELECT count(*) FROM recordings").fetchone()[0]


def test_a_clone_without_contents_is_carried_on_from_and_fetches_nothing(
    saved, in_fresh_home, tmp_path, n_workers, monkeypatch
):
    clone = clone_saved(saved.root, tmp_path)
    cloned = in_fresh_home(clone)
    audio = [clone / "audio" / "S1" / f"{one}.wav" for one in IDS]
    outputs = [cloned.dataset.raw_detections(one) for one in IDS]
    assert all(map(lacks_content, [*audio, *outputs]))
    outcome, said = run(clone)
    assert said == ["Results of 3 recordings, made in another Dagster home, taken over."]
    assert outcome.nothing_to_do
    assert outcome.n_finished == 3
    assert all(map(lacks_content, [*audio, *outputs]))
    assert run_in(clone, "git", "status", "--porcelain") == ""
    with Project.open(clone, overrides=STRICTER) as project:
        assert project.status().rows[3].due == 3
    monkeypatch.setattr(batches, "FIRST_BATCH", 1)
    stricter = run(clone, STRICTER)[0]
    assert (stricter.n_finished, stricter.faults) == (3, ())
    assert n_workers == []
    assert materialised_by_runs(cloned) == NOTHING | {"detections": 3, "report_bundle": 3}
    assert "taken_over" not in cloned.latest("corpus_report").metadata
    assert run_in(clone, "git", "status", "--porcelain") == ""
    assert run(clone, STRICTER)[0].nothing_to_do
    assert run_in(clone, "git", "status", "--porcelain") == ""
