"""Whatever was lost, damaged or half done is found and made again by the next run."""

import os

import pytest

from badc_core.stages.stage import STAGES
from badc_core.stages.work import Work
from badc_dagster.run_events import faults, warnings
from badc_dagster.runs import Project


@pytest.fixture
def project(archive):
    with Project.open(archive.root) as project:
        project.scan()
        assert project.bring_up_to_date().nothing_to_do
        yield project


def test_a_finished_run_leaves_nothing_dirty(archive, project):
    work = Work(archive.dataset.work_folder)
    assert {stage: work.dirty(stage) for stage in STAGES} == {stage: set() for stage in STAGES}


@pytest.mark.parametrize("stage", list(STAGES))
def test_what_a_run_replaced_before_it_was_killed_is_made_again(finished, stage):
    paths = STAGES[stage].outputs(finished.dataset, "rec_1")
    before = [path.read_bytes() for path in paths]
    begun = Work(finished.dataset.work_folder).begin(stage, "rec_1")
    for path in paths:
        path.write_bytes(b"something else")
    begun.leave()
    assert finished.due() == {stage: ["rec_1"]}
    assert finished.run_range(stage, "rec_1", "rec_1").success
    assert [path.read_bytes() for path in paths] == before
    assert finished.due() == {}


@pytest.mark.soak
def test_accepting_what_is_cut_off_concerns_no_other_recording(archive, project):
    path = archive.root / "audio" / "S1" / "rec_2.wav"
    os.truncate(path, path.stat().st_size * 2 // 3)
    accepting = {"recordings": {"accept_truncated": True}}
    with Project.open(archive.root, overrides=accepting) as accepted:
        accepted.scan()
        assert accepted.bring_up_to_date().n_finished == 3
        assert accepted.bring_up_to_date().nothing_to_do
    outcome = project.bring_up_to_date()
    assert [one.recording_id for one in outcome.failures] == ["rec_2"]
    assert "truncated" in outcome.failures[0].error
    described = archive.dataset.recording("rec_1").stat().st_mtime_ns
    with Project.open(archive.root, overrides=accepting) as accepted:
        assert accepted.bring_up_to_date().n_finished == 3
    assert archive.dataset.recording("rec_1").stat().st_mtime_ns == described


def test_a_failure_goes_when_the_file_is_as_it_was_before(archive, project):
    sound = (archive.root / "audio" / "S1" / "rec_2.wav").read_bytes()
    archive.add("S1/rec_2.wav").write_bytes(b"RIFF")
    project.scan()
    assert [one.recording_id for one in project.bring_up_to_date().failures] == ["rec_2"]
    (archive.root / "audio" / "S1" / "rec_2.wav").write_bytes(sound)
    project.scan()
    outcome = project.bring_up_to_date()
    assert (outcome.n_finished, outcome.failures) == (3, ())
    assert archive.latest("corpus_detections").metadata["recordings"].value == 3


def test_a_damaged_description_costs_its_recording_alone_and_is_made_again(archive, project):
    archive.dataset.recording("rec_1").write_text("{", encoding="utf-8")
    archive.dataset.detections("rec_1").unlink()
    first = project.bring_up_to_date()
    assert [one.recording_id for one in first.failures] == ["rec_1"]
    assert first.faults == ()
    second = project.bring_up_to_date()
    assert (second.n_finished, second.failures) == (3, ())


def test_a_damaged_result_is_missing_from_the_corpus_until_it_is_made_again(archive, project):
    archive.dataset.detections("rec_1").write_bytes(b"PAR1")
    archive.dataset.corpus.duckdb.unlink()
    assert project.bring_up_to_date().faults == ()
    assert archive.latest("corpus_detections").metadata["recordings"].value == 2
    assert project.bring_up_to_date().n_finished == 3
    assert archive.latest("corpus_detections").metadata["recordings"].value == 3


@pytest.mark.parametrize("damaged", ["duckdb", "html"])
def test_a_damaged_corpus_file_is_named_and_made_again(archive, project, damaged):
    path = getattr(archive.dataset.corpus, damaged)
    n_bytes = path.stat().st_size
    os.truncate(path, n_bytes - 1000)
    said = []
    assert not project.bring_up_to_date(warn=said.append).nothing_to_do
    assert said == [f"The corpus is made again: {path.name} is damaged (it is cut off)."]
    assert path.stat().st_size == n_bytes
    assert project.bring_up_to_date(warn=said.append).nothing_to_do


def test_a_page_older_than_its_database_is_made_again(archive, project):
    archive.add("S1/rec_1.wav", "aru_3.wav")
    project.scan()
    archive.run_one("rec_1")
    assert archive.execute("corpus_job", "corpus_detections").success
    assert not project.bring_up_to_date().nothing_to_do
    assert project.bring_up_to_date().nothing_to_do


def test_a_corpus_of_mixed_settings_is_told_on_the_command_line(archive, project):
    archive.add("S1/rec_1.wav", "soundscape.flac").rename(
        archive.root / "audio" / "S1" / "one.flac"
    )
    archive.add("S1/rec_2.wav", "soundscape.flac").rename(
        archive.root / "audio" / "S1" / "two.flac"
    )
    archive.scan()
    assert archive.run_one("one").success
    archive.configure("window_overlap_s = 1.0\n")
    assert archive.run_one("two").success
    archive.configure("")
    result = archive.execute("corpus_job")
    assert result.success
    told = [*faults(result.all_events), *warnings(result.all_events)]
    assert any("one_configuration" in one for one in told)
    assert any("recordings_distinct" in one for one in told)
