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


def test_with_a_limit_the_rest_waits_for_the_next_time(graph, project):
    assert project.bring_up_to_date(limit=2).n_finished == 2
    assert graph.due() == {"recording": ["rec_3"]}
    assert project.bring_up_to_date(limit=2).n_finished == 3


def test_scattered_recordings_are_run_without_those_between(graph, project):
    project.bring_up_to_date()
    graph.add("S1/rec_1.wav", "aru_3.wav")
    graph.add("S1/rec_3.wav", "aru_1.wav")
    project.scan()
    assert project.bring_up_to_date().n_finished == 3
    assert n_materialized(graph) == dict.fromkeys(STAGES, 5)


def test_a_dataset_that_cannot_be_opened_any_more_is_a_fault_not_a_silence(graph, project):
    graph.configure("[chunks]\nlength = 3\n")
    outcome = project.bring_up_to_date()
    assert outcome.n_finished == 0
    assert outcome.faults
    for fault in outcome.faults:
        assert fault.startswith(f"{graph.root}/badc.toml: unknown setting chunks.length")
        assert "\n" not in fault


def test_a_bad_recording_is_a_failure_and_no_fault(graph, project):
    graph.add("S1/rec_2.wav").write_bytes(b"RIFF")
    project.scan()
    outcome = project.bring_up_to_date()
    assert outcome.n_finished == 2
    assert [one.recording_id for one in outcome.failures] == ["rec_2"]
    assert outcome.faults == ()


def test_status_counts_what_is_current_due_and_failed(graph, project):
    graph.add("S1/rec_2.wav").write_bytes(b"RIFF")
    project.scan()
    project.bring_up_to_date()
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


def test_fingerprints_and_event_ids_are_asked_for_in_pieces(graph, project, monkeypatch):
    project.bring_up_to_date(limit=2)
    key, ids = graph.key("recording"), ["rec_1", "rec_2", "rec_3"]
    expected = [
        fingerprint_tags.recorded_fingerprints(graph.instance, key),
        fingerprint_tags.recorded_event_ids(graph.instance, key, ids),
    ]
    monkeypatch.setattr(fingerprint_tags, "_MOST_IN_A_QUERY", 1)
    assert [set(one) for one in expected] == [{"rec_1", "rec_2"}] * 2
    assert fingerprint_tags.recorded_fingerprints(graph.instance, key, ids) == expected[0]
    assert fingerprint_tags.recorded_event_ids(graph.instance, key, ids) == expected[1]
    assert fingerprint_tags.recorded_fingerprints(graph.instance, key, []) == {}


def test_nothing_of_a_forgotten_recording_stays_in_the_work_folder(graph, project):
    work = Work(graph.dataset.work_folder)
    for one in ("rec_1", "rec_2"):
        work.mark_dirty("raw_detections", one)
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


def test_whatever_a_killed_process_left_is_gone_after_the_next_run(graph, project, home):
    project.bring_up_to_date()
    dataset = project.dataset
    killed = [
        *(dataset.corpus.duckdb, dataset.bundle("rec_1").duckdb, dataset.registry),
        *(dataset.raw_detections("rec_1"), home / "connections.json"),
    ]
    folders = {one.parent for one in killed}
    before = {folder: set(folder.iterdir()) for folder in folders}
    subprocess.run([sys.executable, "-c", KILLED_WRITER, *map(str, killed)], check=False)
    assert sum(len(set(one.iterdir()) - before[one]) for one in folders) == 2 * len(killed)
    with Project.open(graph.root):
        assert {folder: set(folder.iterdir()) for folder in folders} == before
