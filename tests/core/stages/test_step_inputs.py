"""A step's inputs: plain data that travels as text, and a loop over recordings that commits."""

import json

import pytest

from badc_core.datasets.dataset import Dataset
from badc_core.errors import BadcError, RecordingBusy
from badc_core.recordings.registry import RegisteredRecording
from badc_core.stages.step_inputs import RecordingInput, StepInputs, each_recording


@pytest.fixture
def inputs(tmp_path):
    (tmp_path / "audio").mkdir()
    detector = {"name": "hawkears", "score_floor": 0.2, "thresholds": {"Wren": 0.9}}
    dataset = Dataset.open(tmp_path, {"detector": detector})
    row = RegisteredRecording("é", "audio/é.wav", 5, 7, "f00")
    return StepInputs(
        stage="recording",
        root=dataset.root,
        settings=dataset.settings,
        work_folder=dataset.work_folder,
        run_id="run",
        recordings=(
            RecordingInput("a", "fp@0.1"),
            RecordingInput("é", registered=row),
        ),
    )


def test_inputs_are_the_same_after_travelling_as_text(inputs):
    text = inputs.to_json()
    assert StepInputs.from_json(text) == inputs
    assert json.loads(text)["recordings"][0]["fingerprint"] == "fp@0.1"
    assert inputs.dataset == Dataset(inputs.root, inputs.settings)


def test_each_recording_is_in_work_until_it_is_committed(inputs):
    outcomes = each_recording(inputs, lambda one: one.recording_id.upper())
    first = next(outcomes)
    assert (first.recording_id, first.value) == ("a", "A")
    assert inputs.work.dirty("recording") == {"a"}
    first.commit()
    assert inputs.work.dirty("recording") == set()
    assert [one.value for one in outcomes] == ["É"]
    assert inputs.work.dirty("recording") == {"é"}


def test_commits_may_come_after_the_last_outcome(inputs):
    outcomes = list(each_recording(inputs, lambda one: one.recording_id, n_threads=2))
    assert inputs.work.dirty("recording") == {"a", "é"}
    with pytest.raises(RecordingBusy):
        inputs.work.begin("recording", "a")
    for one in outcomes:
        one.commit()
    assert inputs.work.dirty("recording") == set()


def test_a_failed_recording_is_dirty_and_free_and_costs_no_other(inputs):
    def make(one):
        if one.recording_id == "a":
            raise BadcError("bad", "a")
        return 1

    bad, good = each_recording(inputs, make)
    good.commit()
    assert str(bad.error) == "a: bad"
    bad.commit()
    assert inputs.work.dirty("recording") == {"a"}
    inputs.work.begin("recording", "a").commit()


def test_a_recording_in_work_elsewhere_is_left_to_that_run(inputs):
    begun = inputs.work.begin("recording", "a")
    busy, good = each_recording(inputs, lambda _: 1)
    assert isinstance(busy.error, RecordingBusy)
    assert good.value == 1
    begun.commit()
