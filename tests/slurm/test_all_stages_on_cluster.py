"""Every stage on a real cluster gives what it gives here."""

import pytest
from support.slurm_steps import ids

from badc_core.datasets.dataset import Dataset
from badc_core.outcomes import Outcome
from badc_core.slurm.step_launcher import SlurmStepLauncher
from badc_core.stages.stage import STAGES
from badc_core.steps import BODIES, inputs_from_files

pytestmark = pytest.mark.slurm


def files(dataset: Dataset, n: int) -> dict[str, bytes]:
    """Returns the content of what all stages have written."""
    paths = [
        path for stage in STAGES.values() for one in ids(n) for path in stage.outputs(dataset, one)
    ]
    return {str(one): one.read_bytes() for one in paths}


def test_every_stage_gives_what_it_gives_here(archive) -> None:
    dataset = archive.make(2, stages=list(STAGES))
    found: dict[str, dict[str, Outcome]] = {"there": {}, "here": {}}
    content = {}
    for place, outcomes in found.items():
        for stage in STAGES:
            inputs = inputs_from_files(dataset, stage, ids(2), "a-run")
            body = (
                SlurmStepLauncher(inputs).outcomes() if place == "there" else BODIES[stage](inputs)
            )
            for outcome in list(body):
                outcome.require()
                outcome.commit()
                outcomes[f"{stage} {outcome.recording_id}"] = outcome
        content[place] = files(dataset, 2)
    assert len(found["there"]) == 2 * len(STAGES)
    assert content["there"] == content["here"]
    there, here = (it["detections r0"].require() for it in found.values())
    assert there.table.num_rows > 0
    assert there.table == here.table
