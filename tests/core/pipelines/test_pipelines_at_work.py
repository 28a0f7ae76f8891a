"""A job whose pipeline runs says so also between two stages."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.pipeline_lab import stage

from badc_core.jobs.job_states import quick_manifest, state_of
from badc_core.jobs.work_lock import having_alone, is_worked_on, working_on
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


def test_no_job_seems_to_be_at_work_because_others_look_at_it_too(lab) -> None:
    """Neither to several lists of jobs at once, nor to who archives it meanwhile."""
    with working_on(lab.folder):
        pass
    with ThreadPoolExecutor(4) as pool:
        assert not any(pool.map(lambda _: is_worked_on(lab.folder), range(1000)))
        looks = [pool.submit(is_worked_on, lab.folder) for _ in range(1000)]
        while not all(one.done() for one in looks):
            with having_alone(lab.folder):  # never refused because somebody looks
                pass
