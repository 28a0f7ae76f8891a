"""Recordings that another run is at work on, as a step of the asset graph meets them."""

from badc_core.recordings.failures import read_failures
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
