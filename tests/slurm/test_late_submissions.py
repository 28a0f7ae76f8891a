"""Submissions that Slurm accepts after nobody believed it any more, on a real cluster."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.detecting import IMPORTABLE
from support.slurm_cluster import Cluster
from support.slurm_steps import Step, as_here, ids, jobs
from support.waiting import wait_until

from badc_core.datasets.dataset import Dataset

pytestmark = pytest.mark.slurm

_SBATCH = """\
#!/bin/sh
cd "{folder}"
if mkdir first 2>/dev/null; then
  {first}
fi
exec {sbatch} {options} "$@"
"""
_LATER = '{{ sleep {delay_s}; exec {sbatch} "$@"; }} >answer 2>&1 &'
_HOST = """
from pathlib import Path
from badc_core.settings import Settings
from badc_core.datasets.dataset import Dataset
from support.slurm_steps import Step

settings = Settings.model_validate_json({settings!r})
Step(Dataset(Path({root!r}), settings), {ids!r}, "killed").run()
"""


@pytest.fixture
def slow_sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a sbatch on PATH whose first call is accepted late; returns the folder it works in."""
    folder, real = tmp_path / "bin", shutil.which("sbatch")
    folder.mkdir()

    def put(delay_s: float, then: str, options: str = "") -> Path:
        later = _LATER.format(delay_s=delay_s, sbatch=real)
        text = _SBATCH.format(
            folder=folder, first=f"{later}\n  {then}", sbatch=real, options=options
        )
        (folder / "sbatch").write_text(text)
        (folder / "sbatch").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return folder

    return put


def started_once(step: Step, n: int) -> bool:
    return step.started() == dict.fromkeys(
        (f"r{number}_chunk_{s}_{s + 3000}" for number in range(n) for s in (0, 3000)), 1
    )


def test_tasks_follow_the_job_that_was_accepted_late(
    archive, cluster: Cluster, slow_sbatch
) -> None:
    dataset = archive.make(3, slow_s=9.0, target_minutes=0.001, max_running_tasks=1)
    before = jobs(cluster)
    silent = "echo 'sbatch: error: Socket timed out on send/recv operation' >&2; exit 1"
    slow_sbatch(6, silent, "--begin=now+25")
    step = Step(dataset, ids(3)).run()
    assert step.errors == {}
    assert len(jobs(cluster) - before) == 2
    assert not any("resubmitted" in one for one in step.said)
    assert started_once(step, 3)
    assert len({step.launcher.metadata(one)["job"].partition("_")[0] for one in ids(3)}) == 1


def test_a_job_that_is_accepted_after_its_host_was_killed_does_nothing(
    archive, cluster: Cluster, slow_sbatch
) -> None:
    dataset: Dataset = archive.make(2, slow_s=4.0)
    before = jobs(cluster)
    folder = slow_sbatch(8, "wait; exit 1")
    given = {"root": str(dataset.root), "ids": ids(2)}
    program = IMPORTABLE + _HOST.format(settings=dataset.settings.model_dump_json(), **given)
    with subprocess.Popen([sys.executable, "-c", program]) as host:
        wait_until((folder / "first").exists, 120)
        host.send_signal(signal.SIGKILL)
    step = Step(dataset, ids(2)).run()
    assert step.errors == {}
    assert started_once(step, 2)
    wait_until(lambda: (folder / "answer").read_text().strip(), 60)
    late = (folder / "answer").read_text().strip()
    assert jobs(cluster) - before == {late, step.launcher.metadata("r0")["job"].partition("_")[0]}
    wait_until(lambda: late not in cluster.call("squeue", "-h", "-o", "%F").split(), 120)
    assert as_here(dataset, 2)
