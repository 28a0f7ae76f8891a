"""Why tasks wait, as people read it: on the terminal of badc run, and in badc slurm status."""

import pytest
from support.commands import run_typed
from support.detecting import step_inputs
from support.sounds import write_tone

from badc_core.datasets.dataset import Dataset
from badc_core.slurm import queue_watch
from badc_core.slurm.answers import TaskState
from badc_core.slurm.commands import Slurm
from badc_core.slurm.queue_watch import QueueWatch
from badc_core.slurm.reasons import describe_states, explain_reason, what_to_change
from badc_core.slurm.run_folder import RunFolder
from badc_core.slurm.task import Task

_QOS = "the quality of service"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("PartitionTimeLimit", "slurm.time is more than the partition allows"),
        ("ReqNodeNotAvail, UnavailableNodes:n[1-2]", "the nodes it needs are down or reserved"),
        ("AssocGrpCPUMinutesLimit", "the account has used up its allocation"),
        ("QOSGrpGRESMinutes", "the quality of service has used up its allocation"),
        ("AssocGrpBillingMinutes", "the account has used up its allocation"),
        ("QOSMaxWallDurationPerJobLimit", "slurm.time is not what the quality of service allows"),
        (
            "AssocMaxCpuPerJobLimit",
            "slurm.cpus_per_task, slurm.mem or slurm.gres is not what the account allows",
        ),
        *(
            (
                f"QOSMin{what}",
                f"slurm.cpus_per_task, slurm.mem or slurm.gres is not what {_QOS} allows",
            )
            for what in ("GRES", "Memory", "CpuNotSatisfied")
        ),
        ("QOSNotAllowed", "the quality of service is not for this account or partition: slurm.qos"),
        ("QOSTimeLimit", "the quality of service has no time left"),
        ("AssociationTimeLimit", "the account has no time left"),
    ],
)
def test_what_never_starts_names_what_to_change(reason, words):
    assert what_to_change(reason) == words
    assert explain_reason(reason) == words


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Priority", "other jobs come first"),
        ("Nodes required for job are DOWN, DRAINED or reserved", "no node that it may use is up"),
        ("JobHeldUser", "held; to release it, run: scontrol release JOB"),
        ("launch failed requeued held", "held; to release it, run: scontrol release JOB"),
        ("AssocGrpCpuLimit", "all jobs of the account together use as much as they may"),
        *(
            (f"AssocGrp{what}", "all jobs of the account together use as much as they may")
            for what in ("CPURunMinutesLimit", "GRESRunMinutes", "BillingRunMinutes")
        ),
        ("QOSUsageThreshold", ""),
        ("AssociationJobLimit", ""),
        (
            "QOSMaxJobsPerUserLimit",
            "your jobs use as much at a time as the quality of service allows",
        ),
        ("AssocMaxJobsLimit", "your jobs use as much at a time as the account allows"),
        ("SomethingNew", ""),
    ],
)
def test_what_starts_in_time_or_is_held_is_explained(reason, words):
    assert what_to_change(reason) == ""
    assert explain_reason(reason) == words


def test_states_are_counted_with_slurms_word_and_plain_ones():
    states = [TaskState("PENDING", one) for one in ("Priority", "Priority", "New", "")]
    assert describe_states([*states, TaskState("RUNNING")]) == (
        "1 pending, 1 pending (New), 2 pending (Priority: other jobs come first), 1 running"
    )


def test_states_are_said_when_they_change_and_numbers_seldom(answers, monkeypatch):
    monkeypatch.setattr(queue_watch, "_SOONEST_S", 0.0)
    tasks = {f"17_{n}": Task(n, {f"r{n}"}, job=f"17_{n}") for n in range(3)}
    watch, said = QueueWatch(Slurm()), []

    def look(*lines):
        answers("squeue", "".join(f"{one}\n" for one in lines))
        watch.find_gone(tasks, said.append)
        watch.count("x", tasks.values(), said.append)
        watch.count("x", tasks.values(), said.append)  # no look, no news
        found, said[:] = list(said), []
        return found

    pending = [f"17_{n}|PENDING|Priority" for n in range(3)]
    line = "3 pending (Priority: other jobs come first)"
    assert look(*pending) == [f"tasks of run x: {line}"]
    assert look(*pending) == []
    two = "tasks of run x: 2 pending (Priority: other jobs come first), 1 running"
    assert look(*pending[:2], "17_2|RUNNING|None") == [two]
    del tasks["17_2"]
    assert look(pending[0], "17_1|RUNNING|None") == []  # other numbers, within a minute
    monkeypatch.setattr(queue_watch, "_BETWEEN_COUNTS_S", 0.0)
    tasks["17_0"].left.clear()
    tasks["17_2"] = Task(2, {"r2"})
    assert look("17_1|RUNNING|None") == ["tasks of run x: 1 running, 1 ended, 1 not submitted"]


def test_the_status_of_a_run_says_why_its_tasks_wait(app, answers, tmp_path):
    write_tone(tmp_path / "audio" / "A" / "a.wav", 3.0)
    dataset = Dataset.open(tmp_path, {"detector": {"name": "band_energy"}})
    folder = RunFolder(tmp_path / ".badc" / "slurm" / "raw_detections-1")
    folder.create(step_inputs(dataset, []), [[]])
    folder.note_job(folder.note_intent("badc-run", [0]), "17")
    answers("squeue", "17_0|PENDING|PartitionTimeLimit\n18_0|RUNNING|None\n")
    said = run_typed(app, "slurm", "status", tmp_path).output
    assert "slurm.time is more than the partition allows" in said
    assert "PartitionTimeLimit" in said
    assert "running" not in said
