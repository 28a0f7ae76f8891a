"""`Project`, which `badc run` drives: what it runs, what it leaves, and what it says of faults."""

import subprocess
import sys

import pytest

from badc_core.stages.stage import STAGES
from badc_core.stages.work import Work
from badc_dagster import fingerprint_tags
from badc_dagster.runs import Project


@pytest.fixture
def project(graph):
    with Project.open(graph.root) as project:
        project.scan()
        yield project


def n_materialized(graph):
    return {stage: graph.n_materialized(stage) for stage in STAGES}


def bring_up_to_date(graph, **options):
    with Project.open(graph.root) as project:
        project.scan()
        return project.bring_up_to_date(**options)


def test_everything_due_is_run_once(graph, project):
    outcome = project.bring_up_to_date()
    assert (outcome.n_finished, outcome.failures, outcome.faults) == (3, (), ())
    assert not outcome.nothing_to_do
    assert n_materialized(graph) == dict.fromkeys(STAGES, 3)
    assert graph.n_materialized("corpus_report") == 1
    again = project.bring_up_to_date()
    assert again.nothing_to_do
    assert n_materialized(graph) == dict.fromkeys(STAGES, 3)
    assert graph.n_materialized("corpus_report") == 1


def test_pages_that_come_after_the_corpus_renew_the_pages_about_it_alone(analysed):
    analysed.run_all("detections")
    assert analysed.execute("corpus_job").success
    pages = analysed.dataset.corpus.list_pages()
    assert pages
    assert not any("rec_1_report.html" in one.read_text(encoding="utf-8") for one in pages)
    assert bring_up_to_date(analysed).faults == ()
    assert any("rec_1_report.html" in one.read_text(encoding="utf-8") for one in pages)
    made = [analysed.n_materialized(one) for one in ("corpus_detections", "corpus_report")]
    assert made == [1, 2]
    assert bring_up_to_date(analysed).nothing_to_do


def test_with_a_limit_the_rest_waits_for_the_next_time(finished):
    finished.configure("[report]\ntop_labels = 3\n")
    assert bring_up_to_date(finished, limit=2).n_finished == 2
    assert finished.due() == {"report_bundle": ["rec_3"]}
    assert bring_up_to_date(finished, limit=2).n_finished == 3


def test_scattered_recordings_are_run_without_those_between(archive):
    for one in ("rec_1", "rec_3"):
        archive.dataset.bundle(one).html.unlink()
    assert bring_up_to_date(archive).n_finished == 3
    assert n_materialized(archive) == dict.fromkeys(STAGES, 3) | {"report_bundle": 5}


def test_a_dataset_that_cannot_be_opened_any_more_is_a_fault_not_a_silence(graph, project):
    graph.configure("[chunks]\nlength = 3\n")
    outcome = project.bring_up_to_date()
    assert outcome.n_finished == 0
    assert outcome.faults
    for fault in outcome.faults:
        assert fault.startswith(f"{graph.root}/badc.toml: unknown setting chunks.length")
        assert "\n" not in fault


def test_a_bad_recording_is_a_failure_and_no_fault_and_status_counts_it(finished):
    finished.add("S1/rec_2.wav").write_bytes(b"RIFF")
    outcome = bring_up_to_date(finished)
    assert outcome.n_finished == 2
    assert [one.recording_id for one in outcome.failures] == ["rec_2"]
    assert outcome.faults == ()
    with Project.open(finished.root) as project:
        report = project.status()
    counts = {row.stage: (row.current, row.due, row.failed) for row in report.rows}
    assert counts == {
        "recording": (2, 1, 1),
        "chunk_manifest": (2, 0, 0),
        "raw_detections": (2, 0, 0),
        "detections": (2, 0, 0),
        "report_bundle": (2, 0, 0),
    }
    assert [one.recording_id for one in report.failures] == ["rec_2"]
    assert report.dead_runs == ()


def test_fingerprints_and_event_ids_are_asked_for_in_pieces(graph, monkeypatch):
    graph.scan()
    graph.run_range("recording", "rec_1", "rec_2")
    key, ids = graph.key("recording"), ["rec_1", "rec_2", "rec_3"]
    expected = [
        fingerprint_tags.recorded_fingerprints(graph.instance, key),
        fingerprint_tags.recorded_event_ids(graph.instance, key, ids),
    ]
    monkeypatch.setattr(fingerprint_tags, "KEYS_PER_CALL", 1)
    assert [set(one) for one in expected] == [{"rec_1", "rec_2"}] * 2
    assert fingerprint_tags.recorded_fingerprints(graph.instance, key, ids) == expected[0]
    assert fingerprint_tags.recorded_event_ids(graph.instance, key, ids) == expected[1]
    assert fingerprint_tags.recorded_fingerprints(graph.instance, key, []) == {}


def test_nothing_of_a_forgotten_recording_stays_in_the_work_folder(graph, project):
    work = Work(graph.dataset.work_folder)
    for one in ("rec_1", "rec_2"):
        work.begin("raw_detections", one).leave()
        work.mark_lacking("raw_detections", one, lacks=True)
        work.journal(one).parent.mkdir(exist_ok=True)
        work.journal(one).touch()
    (graph.root / "audio" / "S1" / "rec_1.wav").unlink()
    project.scan()
    assert project.prune() == ("rec_1",)
    left = {path.stem for path in work.folder.rglob("*") if path.is_file()}
    assert left == {".gitignore", "rec_2", "registry"}


KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
from badc_core.atomic import replacing
for name in sys.argv[1:]:
    part = replacing(Path(name)).__enter__()
    part.write_text("half")
    Path(f"{part}.wal").write_text("half")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_whatever_a_killed_process_left_is_gone_after_the_next_run(archive, tmp_path):
    dataset, home = archive.dataset, tmp_path / "home"
    killed = [
        *(dataset.corpus.duckdb, dataset.bundle("rec_1").html, dataset.registry),
        *(dataset.raw_detections("rec_1"), home / "connections.json"),
    ]
    folders = {one.parent for one in killed}
    before = {folder: set(folder.iterdir()) for folder in folders}
    subprocess.run([sys.executable, "-c", KILLED_WRITER, *map(str, killed)], check=False)
    assert sum(len(set(one.iterdir()) - before[one]) for one in folders) == 2 * len(killed)
    with Project.open(archive.root):
        assert {folder: set(folder.iterdir()) for folder in folders} == before
