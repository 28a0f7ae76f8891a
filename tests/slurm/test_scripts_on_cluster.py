"""What shows of tasks on a real cluster: of array scripts in Dagster, and the logs of all runs."""

import json
import os
import subprocess
from pathlib import Path

import dagster as dg
import pytest
from support.commands import BADC
from support.slurm_cluster import Cluster
from support.slurm_steps import begin_at_once
from support.sounds import write_tone
from support.waiting import wait_until

from badc_core.datasets.done_notes import list_notes

pytestmark = pytest.mark.slurm

_SETTINGS = (
    '[detector]\nname = "band_energy"\n[inference]\ncpu_workers = 1\n[slurm]\nmem = "900M"\n'
)


_HELD = """\
#!/bin/bash
# --input CHUNK.wav --output OUT.json
if [[ "$2" == *_3000_6000.wav ]]; then
  until [[ -e "${0%/*}/go" ]]; do sleep 0.1; done
fi
echo '{"detections": []}' >"$4"
"""


class Archive:
    """A dataset of three recordings, and a Dagster home."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a dataset's"
        self._home = folder / "home"
        self._home.mkdir()
        self.held = ("--runner-cmd", folder / "held")
        for number in range(3):
            write_tone(self.root / "audio" / "A" / f"r{number}.wav", 6.0, number)
        (self.root / "badc.toml").write_text(_SETTINGS)

    def start(self, *words: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [BADC, *map(str, words)],
            env={**os.environ, "DAGSTER_HOME": str(self._home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def badc(self, *words: object) -> str:
        """Returns what a command prints that ends well."""
        with self.start(*words) as process:
            said, errors = process.communicate(timeout=300)
        assert process.returncode == 0, said + errors
        return said

    def states(self) -> dict[str, str]:
        """Returns the states of tasks, as badc slurm logs says them."""
        found = json.loads(self.badc("slurm", "logs", self.root, "--json"))
        return {one["job"]: one["state"] for one in found}

    def submit(self, cluster: Cluster, group: str, *words: object) -> str:
        """Submits a script of a group's tasks to the cluster; returns its job."""
        script = self.root.parent / f"{group}.sh"
        self.badc(group, "orchestrate", self.root, *words, "--sockeye-script", script)
        log = f"--output={self.root.parent}/%A_%a.out"
        return cluster.call("sbatch", "--parsable", log, "--mem=900M", str(script)).strip()

    def submit_held(self, cluster: Cluster) -> str:
        """Submits a script whose one task waits with its second chunk until there is `go`."""
        self.badc("chunk", "orchestrate", self.root, "--chunk-duration", 3, "--limit", 1, "--apply")
        _, program = self.held
        program.write_text(_HELD)
        program.chmod(0o755)
        words = (*self.held, "--sockeye-time", "00:01:00")
        job = self.submit(cluster, "infer", *words, "--sockeye-log-dir", "$SCRATCH/badc")
        wait_until((self.root / "artifacts/infer/r0/r0_chunk_0_3000.json").exists, 60)
        return job

    def attempts(self) -> dict[str, int]:
        """Returns how often each chunk was tried, by the telemetry in the dataset."""
        summary = self.root / "artifacts/telemetry/infer/r0.jsonl.summary.json"
        jobs = json.loads(summary.read_text())["jobs"]
        return {chunk_id: one["attempts"] for chunk_id, one in jobs.items()}

    def latest(self, asset: str, recording_id: str) -> dg.AssetMaterialization:
        wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[recording_id])
        with dg.DagsterInstance.from_config(str(self._home)) as instance:
            (record,) = instance.fetch_materializations(wanted, 10).records
        return record.asset_materialization


def is_queued(cluster: Cluster, job: str) -> bool:
    """Returns whether a job waits, runs or ends."""
    return bool(cluster.call("squeue", "-h", "-j", job).strip())


def test_what_tasks_of_array_scripts_did_is_collected_with_node_and_job(
    tmp_path: Path, cluster: Cluster
) -> None:
    archive = Archive(tmp_path)
    cutting = archive.submit(cluster, "chunk", "--chunk-duration", 3)
    wait_until(lambda: not is_queued(cluster, cutting), 180)
    detecting = archive.submit(cluster, "infer")
    wait_until(lambda: not is_queued(cluster, detecting), 180)
    assert len(list_notes(archive.root)) == 6
    archive.badc("scan", archive.root)
    assert list_notes(archive.root) == []
    assert "Nothing new" in archive.badc("slurm", "collect", archive.root)
    for job, asset in ((cutting, "chunk_files"), (detecting, "chunk_detections")):
        shown = [archive.latest(asset, f"r{number}").metadata for number in range(3)]
        assert [one["slurm_job"].value for one in shown] == [f"{job}_{n}" for n in (1, 2, 3)]
        assert {one["host"].value for one in shown} <= {"n1", "n2"}
        assert all(" && badc " in one["command"].value for one in shown)
    ended = {f"{job}_{n}": "completed" for job in (cutting, detecting) for n in (1, 2, 3)}
    assert archive.states() == ended
    printed = (tmp_path / f"{detecting}_2.out").read_text()
    assert archive.badc("slurm", "logs", archive.root, "r1") == printed


def test_logs_of_tasks_are_found_while_they_are_at_work_and_later(
    tmp_path: Path, cluster: Cluster
) -> None:
    archive = Archive(tmp_path)
    cluster.call("scontrol", "update", "nodename=n[1-2]", "state=drain", "reason=test")
    with archive.start("run", "--slurm", archive.root) as run:
        wait_until(lambda: bool(archive.states()), 120)
        (job,) = archive.states()
        assert archive.states() == {job: "pending"}
        assert f"{job} (pending): has printed nothing" in archive.badc(
            "slurm", "logs", archive.root, "r1"
        )
        cluster.call("scontrol", "update", "nodename=n[1-2]", "state=resume")
        assert run.wait(timeout=300) == 0
    assert archive.states() == {job: "completed"}
    found = json.loads(archive.badc("slurm", "logs", archive.root, "r1", "--json"))
    assert [one["job"] for one in found["tasks"]] == [job]


def test_a_task_of_an_array_script_that_is_out_of_time_requeues_itself_and_goes_on(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRATCH", str(tmp_path / "scratch"))
    archive = Archive(tmp_path)
    job = archive.submit_held(cluster)
    log = tmp_path / f"{job}_1.out"
    # The controller looks at times every half minute; two minutes before the end of one are over.
    wait_until(lambda: "badc: out of time: requeued, to continue" in log.read_text(), 90)
    (tmp_path / "go").touch()
    begin_at_once(cluster)
    wait_until(lambda: not is_queued(cluster, job), 90)
    assert "chunks: 1 ok, 0 failed, 1 skipped" in log.read_text()
    assert "Restarts=1" in cluster.call("scontrol", "show", "job", job)
    assert archive.attempts() == {"r0_chunk_0_3000": 1, "r0_chunk_3000_6000": 1}
    assert (tmp_path / "scratch/badc" / f"{job}_1" / "r0.jsonl").is_file()


def test_a_cancelled_task_of_an_array_script_keeps_what_is_done(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRATCH", str(tmp_path / "scratch"))
    archive = Archive(tmp_path)
    job = archive.submit_held(cluster)
    cluster.call("scancel", job)
    wait_until(lambda: not is_queued(cluster, job), 60)
    assert archive.attempts()["r0_chunk_0_3000"] == 1
    assert set(archive.states().values()) == {"cancelled"}
    left = archive.badc("infer", "orchestrate", archive.root, *archive.held, "--json")
    (entry,) = json.loads(left)
    assert entry["n_left"] == 1
