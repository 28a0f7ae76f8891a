"""Two people who have the cluster work on one dataset."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from support.commands import run_badc
from support.detecting import IMPORTABLE
from support.slurm_cluster import Cluster
from support.slurm_steps import Step, as_here, ids, jobs, wait_for_state

from badc_core.stages.work import Work

pytestmark = pytest.mark.slurm

_NOBODY = 65534
_MAY_READ = "+dac_read_search"
"""So that the other one can start this Python, wherever it is."""

_STEP = """
import os
from pathlib import Path
from badc_core.datasets.dataset import Dataset
from badc_core.settings import Settings
from support.slurm_steps import Step

os.umask(0)
settings = Settings.model_validate_json({settings!r})
Step(Dataset(Path({root!r}), settings), {ids!r}, "other").run()
"""
_CANCEL = """
import sys
from badc_core.cli.main import main

sys.argv = ["badc", "slurm", "cancel", {root!r}]
main()
"""


@pytest.fixture
def shared_root() -> Iterator[Path]:
    """A folder that both may enter and write."""
    before = os.umask(0)
    with TemporaryDirectory(prefix="badc-shared-") as name:
        Path(name).chmod(0o777)
        yield Path(name) / "dataset"
    os.umask(before)


def start_as_other(program: str) -> subprocess.Popen[str]:
    """Starts a program of another user's, who may write only what everybody may."""
    words = ("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")
    caps = (f"--inh-caps={_MAY_READ}", f"--ambient-caps={_MAY_READ}")
    return subprocess.Popen(
        [*words, *caps, sys.executable, "-c", IMPORTABLE + program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
    )


def test_nobody_takes_up_or_submits_again_what_is_anothers(
    archive, cluster: Cluster, shared_root: Path
) -> None:
    archive.root = shared_root
    dataset = archive.make(4)
    held = archive.make(4, extra=["--hold"])
    given = {"root": str(held.root), "ids": ids(2)}
    step_of_other = _STEP.format(settings=held.settings.model_dump_json(), **given)
    with start_as_other(step_of_other) as other:
        job = wait_for_state(cluster, "PENDING")
        before = jobs(cluster)
        meanwhile = Step(dataset, ids(4), "own").run()
        assert meanwhile.good == {"r2", "r3"}
        assert "another run is at work on this recording" in meanwhile.errors["r0"]
        other.send_signal(signal.SIGKILL)
        other.communicate()
    assert len(jobs(cluster) - before) == 1
    for _ in range(2):
        again = Step(dataset, ids(2), "own").run()
        assert again.good == set()
        assert "a run of nobody's on the cluster is not finished" in again.errors["r1"]
    assert "nobody's" in run_badc("slurm", "status", shared_root, folder=shared_root).stdout
    refused = run_badc("slurm", "cancel", shared_root, folder=shared_root, code=1)
    assert "only nobody can end them" in refused.stdout + refused.stderr
    assert job in cluster.call("squeue", "-hr", "-o", "%i").split()
    with start_as_other(_CANCEL.format(root=str(shared_root))) as other:
        said, _ = other.communicate(timeout=120)
    assert "1 run ended" in said
    assert not cluster.call("squeue", "-h").strip()
    assert Work(dataset.work_folder).given_to_tasks() == {}
    assert Step(dataset, ids(2), "own").run().good == {"r0", "r1"}
    assert as_here(dataset, 4)
