"""Recordings that another run is at work on, as a step of the asset graph meets them."""

from badc_core.inference.recording_run import STAGE
from badc_core.provenance.in_work import read_marks
from badc_core.recordings.failures import read_failures
from badc_core.stages.work import Work
from badc_dagster.runs import Project


def test_a_recording_that_is_left_to_another_run_has_not_failed_and_stays_what_it_was(finished):
    other = Work(finished.dataset.work_folder).begin(STAGE, "rec_2")
    result = finished.run_range("detections", "rec_1", "rec_2", "rec_3")
    other.commit()
    assert not result.success
    assert read_failures(finished.dataset) == {}
    assert read_marks(finished.dataset, "detections") == set()
    assert finished.due() == {}


def test_badc_run_counts_what_it_leaves_to_others_and_goes_on(graph):
    with Project.open(graph.root) as project:
        project.scan()
        other = Work(graph.dataset.work_folder).begin(STAGE, "rec_2")
        outcome = project.bring_up_to_date()
        other.commit()
        assert (outcome.n_finished, outcome.n_busy) == (2, 1)
        assert (outcome.failures, outcome.faults) == ((), ())
        again = project.bring_up_to_date()
        assert (again.n_finished, again.failures) == (3, ())
