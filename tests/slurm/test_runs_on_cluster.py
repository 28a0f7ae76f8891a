"""`badc run` on a real cluster, with the real detector: as here, and after being killed."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import dagster as dg
import pytest
from support.commands import BADC
from support.slurm_cluster import Cluster
from support.slurm_steps import jobs
from support.sounds import write_tone
from support.waiting import wait_until

from badc_core.jobs import load_manifest

pytestmark = pytest.mark.slurm

_SETTINGS = """\
[slurm]
mem = "1500M"
gres = "gpu:1"
cpus_per_task = 1
target_minutes = 0.003
"""


class Home:
    """A dataset of real recordings, where there are any, and a Dagster home."""

    def __init__(self, folder: Path, audio: list[Path]) -> None:
        self.dataset = folder / "ds"
        self._home = folder / "home"
        self._home.mkdir(parents=True)
        target = self.dataset / "audio" / "A1"
        target.mkdir(parents=True)
        for path in audio:
            shutil.copy2(path, target)
        (self.dataset / "badc.toml").write_text(_SETTINGS)

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [BADC, *words, *([] if words[0] == "job" else [self.dataset])],
            env={**os.environ, "DAGSTER_HOME": str(self._home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, code: int = 0) -> str:
        """Returns what a command prints."""
        with self.start(*words) as process:
            said, _ = process.communicate(timeout=300)
        assert process.returncode == code, said
        return said

    def job(self) -> Path:
        """Returns the folder of the only job."""
        (manifest,) = self._home.glob("jobs/out/**/manifest.json")
        return manifest.parent

    def results(self) -> dict[str, bytes]:
        folder = self.dataset / "artifacts" / "raw_detections"
        return {one.name: one.read_bytes() for one in sorted(folder.iterdir())}

    def materialisations(self) -> list[dg.AssetMaterialization]:
        """Returns the events of the detector's asset, oldest first."""
        with dg.DagsterInstance.from_config(str(self._home)) as instance:
            records = instance.fetch_materializations(dg.AssetKey("raw_detections"), 100).records
        return [one.asset_materialization for one in reversed(records)]

    def observed(self) -> dict[str, dg.MetadataValue]:
        """Returns the metadata of the last observation of the detector's asset."""
        with dg.DagsterInstance.from_config(str(self._home)) as instance:
            records = instance.fetch_observations(dg.AssetKey("raw_detections"), 1).records
        return dict(records[0].asset_observation.metadata)


@pytest.fixture
def recordings(field_audio: Path, tmp_path: Path) -> list[Path]:
    """Real recordings, and one with something for nobody."""
    return [*sorted(field_audio.glob("aru_*.wav")), write_tone(tmp_path / "tone.wav", 7.0)]


def test_a_run_on_the_cluster_gives_what_a_run_here_gives(
    recordings: list[Path], tmp_path: Path
) -> None:
    here, there = Home(tmp_path / "here", recordings), Home(tmp_path / "there", recordings)
    here.run("run")
    assert "4 of 4 recordings complete" in there.run("run", "--slurm")
    assert there.results() == here.results()
    events = there.materialisations()
    assert len(events) == 4
    for one in events:
        assert one.metadata["slurm_node"].value == "n1"
        assert one.metadata["slurm_queue_wait_s"].value >= 0
        assert one.metadata["slurm_elapsed_s"].value > 0
        assert one.metadata["slurm_max_rss_mib"].value > 100
        assert one.metadata["slurm_gpu_hours"].value > 0
    assert len({one.metadata["slurm_job"].value for one in events}) == 4
    recorded = load_manifest(there.job())["stages"]["raw_detections"]["metadata"]
    assert (recorded["slurm_tasks"], recorded["slurm_nodes"]) == (4, ["n1"])
    observed = there.observed()
    assert observed["slurm_tasks"].value == 4
    assert observed["slurm_gpu_hours"].value > 0
    table = observed["slurm_table"].value
    assert all(one in table for one in ("| state |", "COMPLETED", "exit_code", "elapsed_s"))
    assert "Nothing to do" in there.run("run", "--slurm")


@pytest.mark.parametrize("resumes", [False, True])
def test_a_run_that_was_killed_is_taken_up_by_the_next(
    recordings: list[Path], tmp_path: Path, cluster: Cluster, resumes: bool
) -> None:
    home = Home(tmp_path / "a", recordings)
    process = home.start("run", "--slurm")
    wait_until(lambda: cluster.call("squeue", "-h", "-t", "R").strip(), 120)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    known = jobs(cluster)
    time.sleep(1)
    job = home.job()
    if not resumes:
        assert "4 of 4 recordings complete" in home.run("run", "--slurm")
    else:
        said = home.run("job", "resume", job.name)
        assert "raw_detections: 0 recordings kept, 4 done" in said
        manifest = load_manifest(job)
        attempts = {name: one["attempt"] for name, one in manifest["stages"].items()}
        assert (attempts["chunk_manifest"], attempts["raw_detections"]) == (1, 2)
        assert manifest["pipeline"]["status"] == "completed"
    assert jobs(cluster) <= known
    assert len({one.partition for one in home.materialisations()}) == 4
    assert len(home.materialisations()) == 4


def test_a_killed_run_is_ended_by_the_next_if_an_earlier_stage_has_other_settings(
    recordings: list[Path], tmp_path: Path, cluster: Cluster
) -> None:
    home = Home(tmp_path / "a", recordings[:2])
    process = home.start("run", "--slurm", "--set", 'slurm.extra=["--hold"]')
    assert process.stdout
    said = next(line for line in process.stdout if "is held" in line)
    job = cluster.call("squeue", "-h", "-o", "%F").strip()
    assert said == f"job {job} is held (JobHeldUser). To release it, run: scontrol release {job}\n"
    said = process.stdout.readline()
    assert ": 2 pending (JobHeldUser: held; to release it, run: scontrol release JOB)" in said
    assert "to release it, run" in home.run("slurm", "status")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    settings = home.dataset / "badc.toml"
    settings.write_text(f"{settings.read_text()}\n[chunks]\nduration_s = 9\n")
    said = home.run("run", "--slurm", "--set", "slurm.partition=nowhere", code=1)
    assert "which nobody follows any more" in said
    assert not cluster.call("squeue", "-h").strip()
    assert "refused: invalid partition" in said
    assert "0 of 2 recordings complete, 2 not done\n" in said
    assert "earlier run" not in said
    assert "2 of 2 recordings complete" in home.run("run", "--slurm")


def test_ctrl_c_cancels_the_jobs(recordings: list[Path], tmp_path: Path, cluster: Cluster) -> None:
    home = Home(tmp_path / "a", recordings)
    process = home.start("run", "--slurm")
    wait_until(lambda: cluster.call("squeue", "-h", "-t", "R").strip(), 120)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    wait_until(lambda: not cluster.call("squeue", "-h").strip(), 90)
    assert "4 of 4 recordings complete" in home.run("run")
