"""Steps on a cluster with accounting and limits, where others may take nodes away."""

import re
import time
from collections.abc import Iterator
from datetime import datetime

import pytest
from support.slurm_cluster import Cluster
from support.slurm_steps import TWO_TASKS, Step, as_here, begin_at_once, ids, jobs, wait_for_state
from support.waiting import wait_until

from badc_core.errors import SlurmRefused
from badc_core.slurm import queue_watch, submitting
from badc_core.slurm.commands import Slurm
from badc_core.slurm.queue_watch import QueueWatch
from badc_core.slurm.task import Task
from badc_core.stages.work import Work

pytestmark = pytest.mark.slurm

_LIMITS = ("MaxSubmitJobs", "MaxJobs", "MaxTRESPerJob=cpu")


@pytest.fixture(scope="module")
def cluster(accounting_cluster: Cluster) -> Cluster:
    """The cluster of this module."""
    return accounting_cluster


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """This cluster is fast, so nothing has to settle for long."""
    monkeypatch.setattr(queue_watch, "_SOONEST_S", 2.0)
    monkeypatch.setattr(queue_watch, "_SETTLING_S", 2.0)
    monkeypatch.setattr(submitting, "_FIRST_REST_S", 1.0)


@pytest.fixture
def limit(cluster: Cluster) -> Iterator[object]:
    """Sets limits of the one account; they are gone afterwards."""
    root = ("modify", "user", "root", "where", "account=birds", "set")

    def set_limits(*limits: str) -> None:
        cluster.account(*root, *limits)
        time.sleep(1)  # slurmdbd tells the controller

    yield set_limits
    set_limits(*(f"{one}=-1" for one in _LIMITS))


def test_what_tasks_used_is_told_with_recordings_and_in_the_end(archive, cluster) -> None:
    asked = {"gres": "gpu:1", "cpus_per_task": 1, "setup": ["sleep 2"]}
    dataset = archive.make(8, slow_s=0.5, target_minutes=TWO_TASKS, **asked)
    before = jobs(cluster)
    step = Step(dataset, ids(8)).run()
    assert len(jobs(cluster) - before) == 2  # arrays of three tasks, and of one
    assert step.errors == {}
    for place in step.places.values():
        assert place["node"] == "n1"
        assert 2 <= place["setup_s"] < place["elapsed_s"] < 60
        assert place["max_rss_mib"] > 50
        assert place["gpu_hours"] > 0
    tasks = step.launcher.list_tasks()
    assert len({one["job"] for one in tasks}) == 4
    for one in tasks:
        assert (one["state"], one["exit_code"]) == ("COMPLETED", 0)
        own = [it for it in step.places.values() if it["job"] == one["job"]]
        assert one["elapsed_s"] > max(it["elapsed_s"] for it in own) - 1
        assert one["gpu_hours"] == pytest.approx(one["elapsed_s"] / 3600, abs=1e-4)
        times = ("sacct", "-nPX", "-o", "Submit,Start,End", "-j", one["job"])
        moments = map(datetime.fromisoformat, cluster.call(*times).strip().split("|"))
        submitted, started, ended = (it.timestamp() for it in moments)
        assert (one["queue_wait_s"], one["elapsed_s"]) == (started - submitted, ended - started)
        for it in own:  # on a busy machine, a node is slow to launch a script
            assert it["queue_wait_s"] == pytest.approx(one["queue_wait_s"], abs=10)
        told = cluster.call("sacct", "-nP", "--units=M", "-o", "MaxRSS", "-j", one["job"])
        assert one["max_rss_mib"] >= max(float(it[:-1]) for it in told.split()) - 1


def test_accounting_that_is_away_is_done_without(archive, cluster) -> None:
    dies = 'if [ "$SLURM_ARRAY_TASK_ID" = 1 ]; then sleep 1; exit 3; fi'
    dataset = archive.make(4, target_minutes=TWO_TASKS, setup=[dies])
    cluster.stop("slurmdbd")
    try:
        step = Step(dataset, ids(4)).run()
    finally:
        cluster.start_accounting()
    assert step.good == {"r0", "r2"}
    assert "its task ended with FAILED 3:0" in step.errors["r1"]
    assert [one["state"] for one in step.launcher.list_tasks()] == ["COMPLETED"]


@pytest.mark.parametrize("partition", ["main", "cheap"])
def test_preempted_by_requeue_or_by_cancel_it_goes_on_where_it_was(
    archive, cluster, partition
) -> None:
    dataset = archive.make(3, slow_s=0.8, partition=partition, gres="gpu:1")
    before = jobs(cluster)
    urgent: list[str] = []

    def take_nodes() -> None:
        wait_for_state(cluster, "RUNNING")
        wait_until(lambda: list(dataset.root.glob("artifacts/raw_detections/*")), 120)
        words = ("sbatch", "--parsable", "-p", "urgent", "-N2", "-n4", "-o", "/dev/null")
        urgent.append(cluster.call(*words, "--wrap", "true").strip())
        wait_until(lambda: urgent[0] not in cluster.call("squeue", "-h", "-o", "%i").split(), 120)
        if partition == "main":
            begin_at_once(cluster)

    step = Step(dataset, ids(3)).run(take_nodes)
    assert step.errors == {}
    assert step.good == set(ids(3))
    # The chunk that it was at is begun twice, no other.
    assert sum(step.started().values()) <= 7
    (task,) = step.launcher.list_tasks()
    is_requeued = partition == "main"
    assert (task["restart"], task["submissions"]) == ((1, 1) if is_requeued else (0, 2))
    assert len(jobs(cluster) - before - set(urgent)) == (1 if is_requeued else 2)
    assert any("ended with PREEMPTED; resubmitted" in one for one in step.said) != is_requeued
    # Of both starts: the second had three chunks to do at least.
    first = next(iter(step.places.values()))
    assert task["elapsed_s"] >= first["elapsed_s"] + 3 * 0.8
    assert task["gpu_hours"] == pytest.approx(task["elapsed_s"] / 3600, abs=1e-3)
    assert as_here(dataset, 3)


def test_what_slurm_itself_kills_for_its_memory_says_so(archive, cluster) -> None:
    archive.root = archive.root.with_name("plain")  # in a folder with a % Slurm cannot say why
    dataset = archive.make(4, target_minutes=TWO_TASKS, mem="600M", greedy_mib=700)
    step = Step(dataset, ids(4)).run()
    assert step.good == {"r1", "r3"}
    for why in step.errors.values():
        assert re.search(
            r"its task ran out of memory: it had 600M, and was seen with [6-9]\d\d", why
        )
        assert "Set slurm.mem to more" in why
    used = {one["job"][-2:]: one["max_rss_mib"] for one in step.launcher.list_tasks()}
    assert used["_0"] > 600 > used["_1"]


def test_more_tasks_than_there_may_be_jobs_are_submitted_as_others_end(
    archive, cluster, limit
) -> None:
    limit("MaxSubmitJobs=2", "MaxJobs=1")
    dataset = archive.make(6, target_minutes=TWO_TASKS)
    most: list[int] = []
    step = Step(dataset, ids(6))

    def watch() -> None:
        while not step.is_over:
            most.append(len(cluster.call("squeue", "-h", "-r", "-o", "%i").split()))
            time.sleep(0.5)

    step.run(watch)
    assert step.good == set(ids(6))
    assert max(most) == 2
    assert any("wait until others have ended: sbatch: AssocMaxSubmit" in one for one in step.said)
    assert step.started() == dict.fromkeys(step.started(), 1)


def test_refused_or_never_to_start_it_says_what_to_change(archive, cluster, limit) -> None:
    cluster.account("add", "qos", "tight", "maxwall=1", "flags=DenyOnLimit")
    cluster.account("modify", "user", "root", "where", "account=birds", "set", "qos+=tight")
    limit("MaxTRESPerJob=cpu=1")
    cluster.call("sbatch", "-o", "/dev/null", "-H", "--wrap", "true")  # there are other jobs
    for settings, what in (
        ({"account": "nosuch"}, r"Invalid account.*slurm\.account"),
        ({"qos": "nosuch"}, r"Invalid qos.*slurm\.qos"),
        ({"qos": "tight", "time": "10"}, r"QOSMaxWallDurationPerJobLimit.*slurm\.time"),
        ({"gres": "tpu:1"}, r"generic resource.*slurm\.gres"),
        ({"mem": "1T"}, r"Memory specification.*slurm\.mem"),
    ):
        dataset = archive.make(1, **settings)
        with pytest.raises(SlurmRefused, match=what):
            Step(dataset, ids(1)).run()
        assert Work(dataset.work_folder).given_to_tasks() == {}
    never = {
        "PartitionTimeLimit): slurm.time is more than the partition": ("-p", "short", "-t", "10"),
        "slurm.cpus_per_task, slurm.mem or slurm.gres is not what the account": ("-n2",),
        "PartitionConfig): the partition has no node for such jobs": ("-c", "99"),
    }
    words = ("sbatch", "--parsable", "-o", "/dev/null", "--array=0")
    asked = [cluster.call(*words, *options, "--wrap", "true") for options in never.values()]
    tasks = {f"{job.strip()}_0": Task(0, set()) for job in asked}
    said: list[str] = []
    watch = QueueWatch(Slurm())
    wait_until(lambda: watch.find_gone(tasks, said.append) or len(said) == len(never))
    assert all(any(what in one for one in said) for what in never), said
