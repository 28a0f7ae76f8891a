"""Steps over a dataset of git-annex: results are committed before the asset graph knows of them."""

import pytest
from support.archives import run_in

from badc_core.errors import BadcError, StorageFull
from badc_core.provenance.commits import Commits
from badc_core.recordings.failures import note_failure, read_failures
from badc_core.stages.stage import STAGES
from badc_core.stages.step_records import commit_corpus, commit_leftovers
from badc_core.stages.work import Work
from badc_dagster import finished_outputs
from badc_dagster.failures import RECORDINGS_FAILED
from badc_dagster.run_events import faults

IDS = ("rec_1", "rec_2", "rec_3")


def save_recordings(graph):
    run_in(graph.root, "datalad", "create", "--force", "-D", "Field recordings")
    run_in(graph.root, "datalad", "save", "-m", "Add recordings")
    graph.scan()


@pytest.fixture(scope="session")
def saved_once(build_graph):
    """Returns the folder of `recorded`."""
    return build_graph("recorded", save_recordings)


@pytest.fixture
def recorded(saved_once, copy_graph):
    """Returns a graph whose dataset is one of DataLad, with its recordings saved."""
    return copy_graph(saved_once)


def commits(graph):
    """Returns the first lines of all commits since the recordings were saved, oldest first."""
    subjects = run_in(graph.root, "git", "log", "--reverse", "--format=%s").splitlines()
    return subjects[subjects.index("Add recordings") + 1 :]


def status(graph):
    return run_in(graph.root, "git", "status", "--porcelain")


def leftovers(graph):
    """Returns the files of results that are not committed."""
    words = ("git", "status", "--porcelain", "--untracked-files=all", "artifacts", "manifests")
    return [line[3:] for line in run_in(graph.root, *words).splitlines()]


def commit_leftovers_of(graph):
    commit_leftovers(graph.dataset, Commits(graph.dataset, pytest.fail))


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
    assert recorded.run_range("recording", *IDS).success
    again = run_in(recorded.root, "git", "rev-parse", "HEAD").strip()
    assert again == head, "the same results again make no new commit"


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


def test_failures_are_committed_also_where_the_step_ends_early(recorded, monkeypatch):
    class Full(finished_outputs.FinishedOutputs):
        def add(self, outcome, _output):
            raise StorageFull("the disk is full", outcome.recording_id)

    monkeypatch.setattr("badc_dagster.recording_step.FinishedOutputs", Full)
    (recorded.root / "audio" / "S1" / "rec_1.wav").unlink()
    (recorded.root / "audio" / "S1" / "rec_1.wav").write_bytes(b"RIFF")
    recorded.scan()
    assert "the disk is full" in "".join(faults(recorded.run_range("recording", *IDS).all_events))
    assert commits(recorded)[-1] == "recording: failed recordings"


def test_a_note_about_a_recording_that_another_run_is_at_work_on_is_left_to_that(recorded):
    begun = Work(recorded.dataset.work_folder).begin("recording", "rec_2")
    note_failure(recorded.dataset, "rec_2", "recording", BadcError("for the other to judge"))
    recorded.run_range("recording", *IDS)
    begun.leave()
    assert "failed recordings" not in "".join(commits(recorded))
    assert recorded.dataset.failure("rec_2").exists()


def test_results_of_a_run_that_was_killed_before_its_commit_are_committed_by_the_next(recorded):
    recorded.configure('[datalad]\nrecord = "off"\n')
    recorded.run_range("recording", *IDS)
    assert status(recorded) != ""
    work = Work(recorded.dataset.work_folder)
    for one in IDS:
        work.begin("recording", one).leave()
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


def test_settings_edited_during_a_step_change_nothing_in_its_commits(recorded, monkeypatch):
    class Editing(finished_outputs.FinishedOutputs):
        def add(self, outcome, output):
            (recorded.root / "badc.toml").write_text("[detector\n", encoding="utf-8")
            super().add(outcome, output)

    monkeypatch.setattr("badc_dagster.recording_step.FinishedOutputs", Editing)
    assert recorded.run_range("recording", *IDS).success
    assert commits(recorded)[-1] == "[DATALAD RUNCMD] recording: rec_1 to rec_3, 3 recordings"
    assert "artifacts" not in status(recorded)


def test_leftovers_are_committed_beside_recordings_that_failed_or_are_damaged(recorded):
    recorded.configure('[datalad]\nrecord = "off"\n')
    path = recorded.root / "audio" / "S1" / "rec_2.wav"
    path.unlink()
    path.write_bytes(b"no sound")
    recorded.scan()
    recorded.run_range("recording", *IDS)
    assert set(read_failures(recorded.dataset)) == {"rec_2"}
    recorded.configure("")
    work = Work(recorded.dataset.work_folder)
    work.begin("recording", "rec_3").leave()
    with work.analysing("rec_1"):
        commit_leftovers_of(recorded)
        assert "artifacts/recordings/rec_1.json" in leftovers(recorded)
    (recorded.root / "artifacts/my_notes.txt").touch()
    with work.writing_corpus():
        commit_leftovers_of(recorded)
        assert "artifacts/recordings/rec_1.json" in leftovers(recorded)
    commit_leftovers_of(recorded)
    assert leftovers(recorded) == [
        "artifacts/fingerprints/rec_3.json",
        "artifacts/my_notes.txt",
        "artifacts/recordings/rec_3.json",
    ]


def test_a_corpus_is_committed_before_another_run_can_replace_it(recorded, monkeypatch):
    locked = []

    def note(step, dataset, commits):
        locked.append(Work(dataset.work_folder).is_corpus_in_work())
        return commit_corpus(step, dataset, commits)

    monkeypatch.setattr("badc_dagster.assets.corpus.commit_corpus", note)
    assert recorded.execute("corpus_job").success
    assert locked == [True, True]
    assert [one for one in commits(recorded) if "corpus" in one] == [
        "[DATALAD RUNCMD] corpus_detections: all recordings",
        "[DATALAD RUNCMD] corpus_report: all recordings",
    ]


def test_a_table_of_stations_outside_the_dataset_is_read_and_not_committed(recorded, tmp_path):
    (tmp_path / "outside").mkdir()
    (recorded.root / "elsewhere").symlink_to(tmp_path / "outside")
    places = (f"{tmp_path}/stations.csv", "../stations.csv", "elsewhere/stations.csv")
    for latitude, place in enumerate(places, start=51):
        table = f"location,latitude\nS1,{latitude}\n"
        (recorded.root / place).write_text(table, encoding="utf-8")
        recorded.configure(f'[recordings]\ndeployments = "{place}"\n')
        assert recorded.run_range("recording", "rec_1").success
        assert f'"latitude": {latitude}' in recorded.dataset.recording("rec_1").read_text("utf-8")
        message = run_in(recorded.root, "git", "log", "-1", "--format=%B")
        assert "stations.csv" not in message
        assert status(recorded).splitlines() == ["?? elsewhere"]
    assert sum("RUNCMD" in one for one in commits(recorded)) == len(places)
