"""Steps over a dataset of git-annex: results are committed before the asset graph knows of them."""

import pytest
from support.archives import environment, run_in

from badc_core.stages.stage import STAGES
from badc_core.stages.work import Work
from badc_dagster import finished_outputs
from badc_dagster.failures import RECORDINGS_FAILED
from badc_dagster.run_events import faults

IDS = ("rec_1", "rec_2", "rec_3")


@pytest.fixture
def recorded(graph, monkeypatch):
    """Returns a graph whose dataset is one of DataLad, with its recordings saved."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    run_in(graph.root, "datalad", "create", "--force", "-D", "Field recordings")
    run_in(graph.root, "datalad", "save", "-m", "Add recordings")
    graph.scan()
    return graph


def commits(graph):
    """Returns the first lines of all commits since the recordings were saved, oldest first."""
    subjects = run_in(graph.root, "git", "log", "--reverse", "--format=%s").splitlines()
    return subjects[subjects.index("Add recordings") + 1 :]


def status(graph):
    return run_in(graph.root, "git", "status", "--porcelain")


def commit_of(graph, stage, recording_id):
    return graph.latest(stage, recording_id).metadata["commit"].value


def test_a_step_commits_its_results_together_and_the_asset_graph_knows_the_commit(recorded):
    assert recorded.run_range("recording", *IDS).success
    head = run_in(recorded.root, "git", "rev-parse", "HEAD").strip()
    assert {commit_of(recorded, "recording", one) for one in IDS} == {head}
    first, record = commits(recorded)
    assert first.startswith("Update ")
    assert "recordings.csv" in first
    assert record == "[DATALAD RUNCMD] recording: rec_1 to rec_3, 3 recordings"
    message = run_in(recorded.root, "git", "log", "-1", "--format=%B")
    assert "-- . recording rec_1 rec_2 rec_3" in message
    assert '"audio/S1/rec_2.wav"' in message
    assert '"artifacts/recordings/rec_2.json"' in message
    assert status(recorded) == ""


def test_one_recording_goes_from_file_to_report_with_a_commit_for_each_stage(recorded):
    assert recorded.run_one("rec_1").success
    subjects = [one for one in commits(recorded) if "RUNCMD" in one]
    assert subjects == [f"[DATALAD RUNCMD] {stage}: rec_1" for stage in STAGES]
    assert status(recorded) == ""
    assert len({commit_of(recorded, stage, "rec_1") for stage in STAGES}) == len(STAGES)


def test_a_full_commit_is_made_while_the_step_goes_on(recorded, monkeypatch):
    monkeypatch.setattr(finished_outputs, "_MOST", 2)
    assert recorded.run_range("recording", *IDS).success
    of = [commit_of(recorded, "recording", one) for one in IDS]
    assert len(set(of)) == 2
    assert status(recorded) == ""


def test_the_same_results_again_make_no_new_commit(recorded):
    recorded.run_range("recording", *IDS)
    before = run_in(recorded.root, "git", "rev-parse", "HEAD")
    recorded.run_range("recording", *IDS)
    assert run_in(recorded.root, "git", "rev-parse", "HEAD") == before


def test_why_a_recording_failed_is_committed_and_so_is_that_it_does_not_any_more(recorded):
    path = recorded.root / "audio" / "S1" / "rec_2.wav"
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[: len(whole) // 2])
    recorded.scan()
    result = recorded.run_range("recording", *IDS)
    assert RECORDINGS_FAILED in str(result.all_events)
    assert commits(recorded)[-1] == "recording: failed recordings"
    path.write_bytes(whole)
    recorded.scan()
    assert recorded.run_range("recording", *IDS).success
    assert not recorded.dataset.failure("rec_2").exists()
    assert "artifacts" not in status(recorded)


def test_results_of_a_run_that_was_killed_before_its_commit_are_committed_by_the_next(recorded):
    recorded.configure('[datalad]\nrecord = "off"\n')
    recorded.run_range("recording", *IDS)
    assert status(recorded) != ""
    work = Work(recorded.dataset.work_folder)
    for one in IDS:
        work.mark_dirty("recording", one)
    recorded.configure("")
    recorded.run_range("recording", *IDS)
    assert status(recorded) == ""
    assert commits(recorded)[-1] == "[DATALAD RUNCMD] recording: rec_1 to rec_3, 3 recordings"


def test_required_commits_that_are_impossible_stop_a_step_before_its_work(graph):
    graph.configure('[datalad]\nrecord = "require"\n')
    graph.scan()
    result = graph.run_range("recording", *IDS)
    assert "no git repository, so results cannot be committed" in "".join(faults(result.all_events))
    assert not graph.dataset.recording("rec_1").exists()


def test_the_variable_of_the_original_keeps_results_uncommitted(recorded, monkeypatch):
    monkeypatch.setenv("BADC_DISABLE_DATALAD", "1")
    assert recorded.run_range("recording", *IDS).success
    assert commits(recorded) == []
    assert "commit" not in recorded.latest("recording", "rec_1").metadata
