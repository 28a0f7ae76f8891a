"""What a host makes of what tasks and Slurm say."""

import os
from pathlib import Path

import pytest

from badc_core.errors import DetectorFailed, OutOfMemory, RecordingBusy
from badc_core.slurm import memory
from badc_core.slurm.answers import TaskState
from badc_core.slurm.task import Task


def event(minute: int, **content: object) -> dict[str, object]:
    at = f"2030-01-01T10:{minute:02}:00+00:00"
    return {"at": at, "node": "n1", "job": "17_0", "restart": 0, **content}


def used(hours: float, rss_mib: float = 100.0) -> dict[str, float]:
    return {"elapsed_s": 3600 * hours, "gpus": 2, "max_rss_mib": rss_mib}


START_S = 1893492000.0
"""10:00 on that day."""


def test_what_a_task_used_adds_up_over_its_starts() -> None:
    task = Task(0, {"r"})
    task.submitted("17_0", 0, START_S)
    task.started(event(5))
    assert task.about["queue_wait_s"] == 300.0
    task.used(used(0.5))
    task.ended(event(20, code=75, **used(1.0, 900.0)))
    task.started(event(30, restart=1))  # queued again by Slurm
    assert task.about["queue_wait_s"] == 600.0
    task.used(used(0.5))
    task.used(used(2.0))
    assert task.about["elapsed_s"] == 3 * 3600
    assert task.about["gpu_hours"] == 6.0
    task.entered(TaskState("NODE_FAIL", "", "0:0", None, 9000.0, "4G", 2))
    assert task.about["elapsed_s"] == 3.5 * 3600
    assert task.about["exit_code"] == "0:0"
    assert task.about["max_rss_mib"] == 900


def test_setting_a_task_up_is_not_waiting() -> None:
    task = Task(0, {"r"})
    task.submitted("17_0", 0, START_S)
    task.started(event(5, setup_s=60.0))
    assert (task.about["queue_wait_s"], task.about["setup_s"]) == (240.0, 60.0)
    task.ended(event(20, code=0, **used(0.5)))
    task.entered(TaskState("COMPLETED", "", "0:0", elapsed_s=1805.0, waited_s=238.0))
    assert (task.about["queue_wait_s"], task.about["elapsed_s"]) == (238.0, 1805.0)
    assert task.about["gpu_hours"] == pytest.approx(2 * 1805 / 3600, abs=1e-4)


def test_a_wait_that_nobody_knows_is_not_told() -> None:
    task = Task(0, {"r"})
    task.submitted("17_0", 0, START_S)
    task.started(event(5))
    task.started(event(30, restart=1))  # it was killed without a word
    assert "queue_wait_s" not in task.about


@pytest.mark.parametrize(
    ("state", "printed"),
    [
        ("OUT_OF_MEMORY", ""),
        ("FAILED", "slurmstepd-n1: error: Exceeded job memory limit\n"),
        ("FAILED", "StepId=2.batch exceeded memory limit (306806784 > 209715200), being killed"),
        ("FAILED", "error: Detected 1 oom-kill event(s) in StepId=2.batch."),
    ],
)
def test_a_lack_of_memory_is_told_by_what_slurm_says_or_prints(tmp_path, state, printed) -> None:
    (log := tmp_path / "17_0.out").write_text(printed)
    why = Task(0, {"r"}, job="17_0").explain(TaskState(state, "", "0:9", memory="8G"), log)
    assert isinstance(why, OutOfMemory)
    assert "ran out of memory: it had 8G" in str(why)
    assert "slurm.mem" in str(why)


@pytest.mark.parametrize(("version", "kills"), [(1, 1), (2, 1), (2, 0)])
def test_a_killed_worker_is_a_lack_of_memory_if_the_kernel_says_so(
    tmp_path, monkeypatch, version, kills
) -> None:
    path, name = (
        ("memory/slurm/task_0", "memory.oom_control")
        if version == 1
        else ("slurm/task_0", "memory.events")
    )
    (tmp_path / path).mkdir(parents=True)
    (tmp_path / path / name).write_text(f"under_oom 0\noom_kill {kills}\n")
    groups = "9:memory:/slurm/task_0\n1:cpu:/x\n" if version == 1 else "0::/slurm/task_0\n"
    (tmp_path / "groups").write_text(groups)
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    monkeypatch.setattr(memory, "_OWN", tmp_path / "groups")
    died = DetectorFailed("worker cpu-0 ended with exit code -9", "r0")
    told = memory.explain_kill(died, 400)
    assert isinstance(told, OutOfMemory) == bool(kills)
    assert told.where == "r0"
    assert memory.explain_kill(busy := RecordingBusy("exit code -9", "r0"), 400) is busy


def test_the_memory_of_a_task_is_what_slurm_says(monkeypatch) -> None:
    for name in [one for one in os.environ if one.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    assert memory.given_mib() is None
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "500")
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "4")
    assert memory.given_mib() == 2000
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "900")
    assert memory.given_mib() == 900


def test_a_node_that_cannot_write_where_the_run_is_is_said_so(tmp_path) -> None:
    task, state = Task(0, {"r"}, job="17_0"), TaskState("FAILED", "", "1:0")
    assert "node could not write this log" in str(task.explain(state, tmp_path / "17_0.out"))
    assert "slurm.folder" in str(task.explain(state, tmp_path / "17_0.out"))
    (tmp_path / "17_0.out").write_text("no module named badc\n")
    assert "no module named badc" in str(task.explain(state, tmp_path / "17_0.out"))


def test_where_nothing_is_known_of_groups_nothing_is_said(monkeypatch) -> None:
    monkeypatch.setattr(memory, "_OWN", Path("/nowhere"))
    died = DetectorFailed("worker cpu-0 ended with exit code -9", "r0")
    assert memory.explain_kill(died, None) is died


def test_nobody_waits_for_the_words_of_a_task_that_was_cancelled() -> None:
    task = Task(0, {"r"}, job="17_0")
    assert task.may_speak_yet(TaskState("FAILED", "", "75:0"))
    assert not task.may_speak_yet(TaskState("CANCELLED", "", "75:0"))
