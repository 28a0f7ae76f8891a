"""Recordings that another run is at work on, as a step of the asset graph meets them."""

import pytest
from support.commands import run_typed
from support.detecting import step_inputs

from badc_core.cli.app import build_app
from badc_core.recordings.failures import read_failures
from badc_core.slurm.run_folder import RunFolder
from badc_core.slurm.run_folders import following
from badc_core.stages.stage import STAGES
from badc_core.stages.work import Work
from badc_dagster.runs import Project


def test_a_recording_that_is_left_to_another_run_has_not_failed(finished):
    for stage in STAGES:
        begun = Work(finished.dataset.work_folder).begin(stage, "rec_2")
        assert not finished.run_range(stage, "rec_1", "rec_2").success
        assert read_failures(finished.dataset) == {}
        begun.commit()
    assert finished.due() == {}


def test_badc_run_counts_what_it_leaves_to_others_and_goes_on(cut):
    with Project.open(cut.root) as project:
        begun = Work(cut.dataset.work_folder).begin("raw_detections", "rec_2")
        outcome = project.bring_up_to_date()
        begun.leave()
        assert (outcome.n_finished, outcome.n_busy) == (2, 1)
        assert (outcome.failures, outcome.faults) == ((), ())
        again = project.bring_up_to_date()
        assert (again.n_finished, again.failures) == (3, ())


@pytest.fixture
def left_on_cluster(cut):
    """The folder of a run of the detector over two recordings, whose host was killed."""
    folder = RunFolder(cut.root / ".badc" / "slurm" / "raw_detections-1")
    for one in ("rec_1", "rec_2"):
        Work(cut.dataset.work_folder).give_to_task(one, str(folder.path))
    folder.create(step_inputs(cut.dataset, ["rec_1", "rec_2"]), [["rec_1"], ["rec_2"]])
    return folder


def test_a_killed_run_on_the_cluster_is_ended_where_an_earlier_stage_is_due(cut, left_on_cluster):
    cut.configure("[chunks]\nduration_s = 7\n")
    work = Work(cut.dataset.work_folder)
    work.give_to_task("rec_3", str(cut.root / "killed before its folder was made"))
    done = run_typed(build_app(), "run", cut.root)
    assert "ending run raw_detections-1, which nobody follows any more" in done.stderr
    assert "3 of 3 recordings complete, 0 failed" in done.stdout
    assert work.given_to_tasks() == {}
    assert left_on_cluster.is_shrunk


def test_a_run_on_the_cluster_that_somebody_follows_is_left_alone(cut, left_on_cluster):
    cut.configure("[chunks]\nduration_s = 7\n")
    with following(left_on_cluster, Work(cut.dataset.work_folder)):
        done = run_typed(build_app(), "run", cut.root)
    assert "2 recordings left to other runs, which work on them" in done.stdout
    assert "1 of 3 recordings complete, 2 not done" in done.stdout
    assert not left_on_cluster.is_shrunk


def test_whoever_leaves_recordings_that_nobody_works_on_says_so_and_fails(cut, left_on_cluster):
    done = run_typed(build_app(), "run", cut.root, code=1)
    assert (
        "2 recordings not done, rec_1 for example: run raw_detections-1 on the cluster is "
        "not finished, and no badc follows it. To finish it: badc run --slurm"
    ) in " ".join(done.stderr.split())
    assert "1 of 3 recordings complete, 2 not done" in done.stdout
    assert "left to other runs" not in done.stdout
    assert not left_on_cluster.is_shrunk
    status = run_typed(build_app(), "status", cut.root, code=1)
    assert f"2 recordings on the cluster: badc slurm status {cut.root}" in status.stdout
    assert "still due: run raw_detections-1 on the cluster is not finished" in status.stderr
