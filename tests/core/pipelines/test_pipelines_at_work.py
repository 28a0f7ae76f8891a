"""A job whose pipeline runs says so also between two stages."""

from pathlib import Path

import pytest
from support.pipeline_lab import stage

from badc_core.jobs.job_states import quick_manifest, state_of
from badc_core.jobs.work_lock import having_alone, is_worked_on
from badc_core.pipelines.definition import read_pipeline
from badc_core.pipelines.run import run_pipeline


def test_a_pipeline_has_its_job_from_the_first_stage_to_the_last(lab, tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    path.write_text(stage("first", "echo", "") + stage("second", "echo", ""))
    states = []

    def look(_line: str) -> None:
        states.append((is_worked_on(lab.folder), state_of(lab.folder, quick_manifest(lab.folder))))

    assert not is_worked_on(lab.folder)
    run_pipeline(read_pipeline(path), lab.job, look, pytest.fail)
    assert states == [(True, "running")] * 4
    assert state_of(lab.folder, quick_manifest(lab.folder)) == "completed"
    with having_alone(lab.folder):
        assert is_worked_on(lab.folder)
    assert not is_worked_on(lab.folder)
