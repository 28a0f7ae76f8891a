"""Steps on a real cluster: what they give, and what they survive."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.commands import run_badc
from support.detecting import IMPORTABLE, step_inputs
from support.slurm_cluster import Cluster
from support.slurm_steps import (
    TWO_TASKS,
    Step,
    as_here,
    begin_at_once,
    ids,
    jobs,
    locally,
    meanwhile,
    wait_for_state,
)
from support.telemetry import read_events
from support.waiting import wait_until

from badc_core.datasets.dataset import Dataset
from badc_core.errors import RecordingBusy, SlurmRefused
from badc_core.inference.detect import detect_recordings
from badc_core.slurm import script
from badc_core.stages.work import Work
from badc_core.telemetry.log import TelemetryLog

pytestmark = pytest.mark.slurm


def test_a_step_gives_what_it_gives_here(archive, cluster) -> None:
    dataset = archive.make(5, target_minutes=TWO_TASKS, gres="gpu:1", cpus_per_task=1)
    step = Step(dataset, ids(5)).run()
    assert step.errors == {}
    assert step.good == set(ids(5))
    assert as_here(dataset, 5)
    places = [step.launcher.metadata(one) for one in ids(5)]
    assert len({one["job"] for one in places}) == 3
    assert {one["node"] for one in places} == {"n1"}
    assert all(one["max_rss_mib"] > 50 and one["elapsed_s"] > 0 for one in places)
    assert all(one["gpu_hours"] > 0 and one["exit_code"] == 0 for one in places)
    assert step.started() == dict.fromkeys(
        (f"r{n}_chunk_{s}_{s + 3000}" for n in range(5) for s in (0, 3000)), 1
    )
    assert {one["worker"] for one in read_events(step.telemetry)} == {"n1/cpu-0"}
    assert Work(dataset.work_folder).dirty("raw_detections") == set()


def test_a_bad_recording_and_a_task_that_dies_cost_their_recordings_only(archive) -> None:
    dies = 'if [ "$SLURM_ARRAY_TASK_ID" = 1 ]; then echo out of luck; kill -9 $$; fi'
    dataset = archive.make(4, target_minutes=TWO_TASKS, setup=[dies])
    dataset.audio("audio/A/r0.wav").write_bytes(b"RIFF")
    step = Step(dataset, ids(4)).run()
    assert len(step.good) == 1
    lost = {one: why for one, why in step.errors.items() if one != "r0"}
    assert len(lost) == 2
    for why in lost.values():
        assert "its task ended with FAILED 0:9; it said last: out of luck" in why
    assert "r0.wav" in step.errors["r0"]


def test_a_task_out_of_time_goes_on_where_it_was(archive, monkeypatch) -> None:
    monkeypatch.setattr(script, "WARNING_S", 40)  # of the minute that is the least
    dataset = archive.make(5, slow_s=3.0, time="1")
    step = Step(dataset, ids(5)).run()
    assert step.errors == {}
    assert any("; resubmitted" in one for one in step.said)
    places = [step.launcher.metadata(one) for one in ids(5)]
    n_submissions = max(one["submissions"] for one in places)
    assert n_submissions >= 2
    # The chunk that it was at is begun twice, no other.
    assert sum(step.started().values()) <= 10 + n_submissions - 1
    assert as_here(dataset, 5)


def test_what_never_gets_done_is_given_up_with_advice(archive, monkeypatch) -> None:
    monkeypatch.setattr(script, "WARNING_S", 59)
    dataset = archive.make(1, slow_s=30.0, time="1", resubmissions=0)
    step = Step(dataset, ids(1)).run()
    assert "its task was submitted 1 time and did not end well" in step.errors["r0"]
    assert "slurm.time" in step.errors["r0"]


def test_cancelled_from_outside_it_says_so_and_the_next_step_goes_on(archive, cluster) -> None:
    dataset = archive.make(2, slow_s=1.5)

    def cancel() -> None:
        job = wait_for_state(cluster, "RUNNING")
        wait_until(lambda: bool(list(dataset.root.glob("artifacts/raw_detections/*"))), 120)
        cluster.call("scancel", job)

    step = Step(dataset, ids(2)).run(cancel)
    assert len(step.good) == 1
    (why,) = step.errors.values()
    assert "its task was cancelled" in why
    again = Step(dataset, list(step.errors), "b").run()
    assert again.errors == {}
    assert sum(again.started().values()) <= 2


def test_a_pending_array_that_is_cancelled_stays_cancelled(archive, cluster) -> None:
    dataset = archive.make(2, extra=["--hold"])
    before = jobs(cluster)

    def cancel() -> None:
        cluster.call("scancel", wait_for_state(cluster, "PENDING").partition("_")[0])

    step = Step(dataset, ids(2)).run(cancel)
    assert len(step.errors) == 2
    assert "its task was cancelled" in step.errors["r0"]
    assert len(jobs(cluster) - before) == 1
    assert Work(dataset.work_folder).given_to_tasks() == {}


def test_requeued_and_on_a_node_that_goes_down_it_begins_again(archive, cluster) -> None:
    dataset = archive.make(2, slow_s=1.0)

    def disturb() -> None:
        job = wait_for_state(cluster, "RUNNING")
        cluster.call("scontrol", "requeue", job)
        begin_at_once(cluster)
        job = wait_for_state(cluster, "RUNNING")
        node = cluster.call("squeue", "-h", "-j", job, "-o", "%N").strip()
        cluster.call("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
        begin_at_once(cluster)

    step = Step(dataset, ids(2)).run(disturb)
    assert step.errors == {}
    assert step.launcher.metadata("r1")["restart"] >= 1
    assert as_here(dataset, 2)


def test_held_jobs_are_told_of_and_a_controller_that_is_away_is_waited_for(
    archive, cluster
) -> None:
    dataset = archive.make(2, slow_s=1.0, extra=["--hold"])

    def disturb() -> None:
        job = wait_for_state(cluster, "PENDING")
        wait_until(lambda: any("is held" in one for one in step.said), 120)
        cluster.stop("slurmctld")
        time.sleep(8)
        cluster.start_controller()
        wait_for_state(cluster, "PENDING")
        cluster.call("scontrol", "release", job.partition("_")[0])

    step = Step(dataset, ids(2))
    step.run(disturb)
    assert step.errors == {}
    assert any("scontrol release" in one for one in step.said)


def test_refused_it_says_what_to_change(archive) -> None:
    dataset = archive.make(1, partition="nowhere")
    with pytest.raises(SlurmRefused, match=r"invalid partition.*slurm\.partition"):
        Step(dataset, ids(1)).run()
    assert not Work(dataset.work_folder).is_busy()


def test_whoever_stops_listening_cancels_and_keeps_what_was_found(archive, cluster) -> None:
    dataset = archive.make(1, slow_s=4.0)
    step = Step(dataset, ids(1))
    outcomes = step.launcher.outcomes()

    def interrupt() -> None:
        wait_for_state(cluster, "RUNNING")
        wait_until(lambda: bool(list(dataset.root.glob(".badc/slurm/*/work/0/*/journals/*"))), 120)
        os.kill(os.getpid(), signal.SIGINT)

    stop = meanwhile(interrupt)
    with pytest.raises(KeyboardInterrupt):
        list(outcomes)
    stop.join()
    wait_until(lambda: not cluster.call("squeue", "-h").strip(), 90)
    again = Step(dataset, ids(1), "b").run()
    assert again.errors == {}
    if again.telemetry.exists():  # else both chunks were known
        assert sum(again.started().values()) == 1


_FOLLOWER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from conftest import Archive
from support.commands import run_badc
from support.detecting import step_inputs
from badc_core.slurm.step_launcher import SlurmStepLauncher

dataset = Archive(Path(sys.argv[1])).make(3, slow_s=1.5)
for _ in SlurmStepLauncher(step_inputs(dataset, ["r0", "r1", "r2"]), print).outcomes():
    pass
"""


def killed_follower(tmp_path: Path, cluster: Cluster, dataset: Dataset) -> None:
    """Leaves a run whose host was killed while its task was at work."""
    program = IMPORTABLE + _FOLLOWER
    words = [sys.executable, "-c", program, str(tmp_path), str(Path(__file__).parent)]
    follower = subprocess.Popen(words, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    wait_for_state(cluster, "RUNNING", 60)
    wait_until(lambda: bool(list(dataset.root.glob("artifacts/raw_detections/*"))), 120)
    follower.kill()
    follower.wait()


def test_whoever_runs_here_leaves_recordings_alone_that_tasks_are_at_work_on(
    archive, cluster, tmp_path
) -> None:
    dataset = archive.make(3, slow_s=1.5)
    killed_follower(tmp_path, cluster, dataset)
    with TelemetryLog(dataset.root / "local.jsonl") as telemetry:
        outcomes = list(detect_recordings(step_inputs(dataset, ids(3)), telemetry))
    for outcome in outcomes:
        assert isinstance(outcome.error, RecordingBusy)
        assert "badc slurm cancel" in str(outcome.error)
    done = run_badc("slurm", "cancel", dataset.root, folder=tmp_path)
    assert "1 run ended" in done.stdout
    assert not cluster.call("squeue", "-h").strip()
    assert len(locally(dataset, 3)) == 3


def test_a_run_of_other_settings_is_ended_before_anything_else_is_submitted(
    archive, cluster, tmp_path
) -> None:
    dataset = archive.make(3, slow_s=1.5)
    killed_follower(tmp_path, cluster, dataset)
    settings = dataset.settings.detector.model_copy(update={"min_score": 0.05})
    other = Dataset(dataset.root, dataset.settings.model_copy(update={"detector": settings}))
    step = Step(other, ids(3)).run()
    assert step.errors == {}
    assert any("whose settings were others" in one for one in step.said)
    assert len(list(dataset.root.glob(".badc/slurm/*/tasks"))) == 0
    assert Work(dataset.work_folder).given_to_tasks() == {}
    assert as_here(dataset, 3, other)


@pytest.mark.parametrize("forgets", [False, True])
def test_after_the_host_was_killed_nothing_is_submitted_twice(
    archive, cluster, tmp_path, forgets
) -> None:
    before = jobs(cluster)
    dataset = archive.make(3, slow_s=1.5)
    killed_follower(tmp_path, cluster, dataset)
    if forgets:  # killed between sbatch and writing down its answer
        (noted,) = dataset.root.glob(".badc/slurm/*/submissions.jsonl")
        noted.write_text(noted.read_text().splitlines()[0] + "\n")
        for one in dataset.root.glob(".badc/slurm/*/submissions/*.owner"):
            one.unlink()
    step = Step(dataset, ids(3)).run()
    assert step.errors == {}
    assert step.good == set(ids(3))
    assert Work(dataset.work_folder).dirty("raw_detections") == set()
    assert list(dataset.root.glob(".badc/slurm/*/tasks")) == []
    assert len(jobs(cluster) - before) == 1
    assert any("resuming run" in one for one in step.said)
    assert as_here(dataset, 3)
