"""The table of stages: consistent in itself, whatever is added to it."""

from pathlib import Path

from badc_core.datasets.dataset import Dataset
from badc_core.settings import Settings
from badc_core.stages.stage import STAGES, stages_after

DATASET = Dataset(Path("/data"), Settings.model_validate({"detector": {"name": "band_energy"}}))


def test_every_stage_comes_after_those_it_is_made_from():
    for position, stage in enumerate(STAGES.values()):
        assert set(stage.inputs) <= set(list(STAGES)[:position]), stage.name


def test_every_stage_has_a_batch_size_of_its_own():
    assert len({stage.batch_size for stage in STAGES.values()}) == len(STAGES)


def test_no_two_stages_write_the_same_file():
    paths = [path for stage in STAGES.values() for path in stage.outputs(DATASET, "rec")]
    assert len(set(paths)) == len(paths)
    assert all("rec" in path.name for path in paths)


def test_what_is_made_from_a_stage_follows_it_in_order():
    assert stages_after("detections") == ("detections", "report_bundle")
    assert stages_after("recording") == tuple(STAGES)


def test_only_the_stage_that_runs_the_detector_is_decided_by_the_model():
    def changed(**detector):
        settings = Settings.model_validate({"detector": {"name": "band_energy", **detector}})
        other = Dataset(Path("/data"), settings)
        return [
            stage.name
            for stage in STAGES.values()
            if stage.settings(other) != stage.settings(DATASET)
        ]

    assert changed(sensitivity=1.2) == ["raw_detections"]
    for selection in (
        {"min_score": 0.5},
        {"thresholds": {"4-8 kHz": 0.4}},
        {"exclude": ("4-8 kHz",)},
        {"label_length": "variable"},
    ):
        assert changed(**selection) == ["detections"], selection
    assert changed(score_floor=0.05) == []
