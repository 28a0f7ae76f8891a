"""What Slurm's commands answer, as Debian's 22.05 wrote it, and what it means."""

import re

import pytest

from badc_core.errors import ProgramMissing, SlurmRefused, SlurmSilent
from badc_core.slurm.answers import TaskState
from badc_core.slurm.commands import Slurm, TooManyJobs

_ANY_LIMIT = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"


def test_the_queue_is_read_task_by_task(answers) -> None:
    answers(
        "squeue",
        "17_0|RUNNING|None\n17_1|PENDING|JobHeldUser\n17_2|CANCELLED|None\n9_N/A|RUNNING|None\n",
    )
    queue = Slurm().read_queue()
    assert "17_2" not in queue
    assert queue["17_0"] == TaskState("RUNNING")
    assert queue["17_1"] == TaskState("PENDING", "JobHeldUser")


def test_what_ended_is_found_with_and_without_accounting(answers) -> None:
    answers(
        "scontrol",
        "JobId=18 ArrayJobId=17 ArrayTaskId=1 JobName=a UserId=root(0) JobState=TIMEOUT "
        "Reason=TimeLimit ExitCode=0:15 NodeList=n1 BatchHost=n1\n"
        "JobId=17 ArrayJobId=17 ArrayTaskId=2-4 JobState=PENDING Reason=Priority NodeList=\n",
    )
    answers("sacct", err="Slurm accounting storage is disabled\n", code=1)
    slurm = Slurm()
    ended = TaskState("TIMEOUT", "TimeLimit", "0:15")
    assert slurm.find_ended({"17_1", "17_2"}) == {"17_1": ended}
    answers(
        "sacct",
        "17_1|RUNNING|0:0|\n17_1.batch|CANCELLED|0:15|812.50M\n17_1.extern|COMPLETED|0:0|3M\n"
        "17_5|OUT_OF_MEMORY|0:125||1-02:00:05|billing=1,cpu=1,gres/gpu=2,mem=8G,node=1"
        "|2030-01-01T23:59:00|2030-01-02T00:01:30\n"
        "17_9|COMPLETED|0:0|\n17_[6-8,11%2]|CANCELLED by 0|0:0|\n"
        "17_12|RUNNING|0:0|\n",
    )
    found = Slurm().find_ended({"17_1", "17_5", "17_7", "17_11", "17_12"})
    used = {"elapsed_s": 93605.0, "memory": "8G", "n_gpus": 2, "waited_s": 150.0}
    assert found == {
        "17_1": TaskState("TIMEOUT", "TimeLimit", "0:15", 812.5),  # the controller knows better
        "17_5": TaskState("OUT_OF_MEMORY", "", "0:125", **used),
        "17_7": TaskState("CANCELLED", "", "0:0"),
        "17_11": TaskState("CANCELLED", "", "0:0"),
    }


def test_the_name_of_a_folder_says_nothing_about_a_task(answers) -> None:
    answers(
        "scontrol",
        "JobId=18 ArrayJobId=17 ArrayTaskId=1 JobState=FAILED Reason=JobLaunchFailure ExitCode=0:9 "
        "SubmitTime=2030-01-01T10:00:00 RunTime=00:01:30 StartTime=2030-01-01T10:00:07 "
        "TRES=cpu=1,mem=400M,node=1,gres/gpu=1 "
        "WorkDir=/a ArrayTaskId=2 JobState=RUNNING ExitCode=0:0 TRES=mem=1M\n",
    )
    answers("sacct", err="Slurm accounting storage is disabled\n", code=1)
    ended = TaskState("FAILED", "JobLaunchFailure", "0:9", None, 90.0, "400M", 1, 7.0)
    assert Slurm().find_ended({"17_1"}) == {"17_1": ended}


def test_tasks_that_were_cancelled_before_they_began_are_found(answers) -> None:
    words = "JobId=17 ArrayJobId=17 ArrayTaskId=0-2,4%2 JobState=CANCELLED Reason=None ExitCode=0:0"
    answers("scontrol", f"{words}\n")
    answers("sacct", err="Slurm accounting storage is disabled\n", code=1)
    ended = TaskState("CANCELLED", "", "0:0")
    assert Slurm().find_ended({"17_1", "17_3", "17_4"}) == {"17_1": ended, "17_4": ended}


def test_accounting_that_does_not_answer_is_done_without(answers) -> None:
    answers("scontrol", "JobId=17 ArrayJobId=17 ArrayTaskId=0 JobState=FAILED ExitCode=1:0\n")
    answers("sacct", err="sacct: error: Connection refused\n", code=1)
    assert Slurm().find_ended({"17_0"}) == {"17_0": TaskState("FAILED", "", "1:0")}


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        ("invalid partition specified: gpus", "partition"),
        ("Invalid account or account/partition combination specified", "account"),
        ("Invalid qos specification", "qos"),
        ("Invalid generic resource (gres) specification", "gres"),
        ("Requested time limit is invalid (missing or exceeds some limit)", "time"),
        ("Requested node configuration is not available", "mem"),
        ("Invalid feature specification", "constraint"),
        ("Memory specification can not be satisfied", "mem"),
        (f"QOSMaxWallDurationPerJobLimit {_ANY_LIMIT}", "time"),
        (f"AssocMaxCpuPerJobLimit {_ANY_LIMIT}", "qos"),
    ],
)
def test_a_refusal_names_the_setting_to_change(answers, tmp_path, words, setting) -> None:
    answers("sbatch", err=f"sbatch: error: Batch job submission failed: {words}\n", code=1)
    with pytest.raises(SlurmRefused, match=rf"slurm\.{setting}") as refused:
        Slurm().submit([], tmp_path / "task.sh")
    assert words.split()[-1] in str(refused.value)
    assert re.search(r"\. To [a-z ]+, run: (sinfo|sacctmgr) [^:]+$", str(refused.value))
    assert not isinstance(refused.value, TooManyJobs)


@pytest.mark.parametrize(
    "words",
    [
        _ANY_LIMIT,
        f"AssocGrpSubmitJobsLimit {_ANY_LIMIT}",
        "QOSMaxSubmitJobPerUserLimit",
        "AssocMaxSubmitJobLimit",
    ],
)
def test_too_many_jobs_are_a_refusal_of_their_own(answers, tmp_path, words) -> None:
    answers("sbatch", err=f"sbatch: error: {words}\n", code=1)
    with pytest.raises(TooManyJobs):
        Slurm().submit([], tmp_path / "task.sh")


@pytest.mark.parametrize("program", ["sbatch", "squeue", "scontrol"])
def test_no_answer_is_no_news(answers, tmp_path, program) -> None:
    words = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"
    answers(program, err=words, code=1)
    slurm = Slurm()
    asked = {
        "sbatch": lambda: slurm.submit([], tmp_path / "task.sh"),
        "squeue": slurm.read_queue,
        "scontrol": lambda: slurm.find_ended({"17_1"}),
    }
    with pytest.raises(SlurmSilent):
        asked[program]()


def test_a_machine_without_a_cluster_is_refused_and_not_waited_for(answers) -> None:
    answers("scontrol", err="fatal: Could not establish a configuration source\n", code=1)
    with pytest.raises(SlurmRefused, match="configuration source"):
        Slurm().largest_array()


def test_an_answer_without_a_job_id_is_none(answers, tmp_path) -> None:
    answers("sbatch", "Welcome to the cluster\n")
    with pytest.raises(SlurmRefused, match="job id"):
        Slurm().submit([], tmp_path / "task.sh")
    answers("sbatch", "Welcome to the cluster\n42\n")
    assert Slurm().submit([], tmp_path / "task.sh") == "42"
    answers("sbatch", "42\nThis will cost you 12 hours\n")
    assert Slurm().submit([], tmp_path / "task.sh") == "42"


def test_without_slurm_it_says_where_to_run(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProgramMissing, match="login node"):
        Slurm().read_queue()


def test_a_job_id_is_taken_from_the_answer_of_a_federation_too(answers, tmp_path) -> None:
    answers("sbatch", "1234;sockeye\n")
    assert Slurm().submit([], tmp_path / "task.sh") == "1234"


def test_once_slurm_has_answered_trouble_is_no_news(answers, tmp_path, monkeypatch) -> None:
    slurm = Slurm()
    answers("squeue", "17_0|RUNNING|None\n")
    slurm.read_queue()
    asked = {
        "squeue": slurm.read_queue,
        "scontrol": lambda: slurm.find_ended({"17_1"}),
        "scancel": lambda: slurm.cancel({"17"}),
        "sbatch": lambda: slurm.submit([], tmp_path / "task.sh"),
    }
    for program, question in asked.items():
        for words in (
            "slurm_load_jobs error: Protocol authentication error",
            "fatal: Could not establish a configuration source",
            "error: Transport endpoint is not connected",
        ):
            answers(program, err=f"{program}: {words}\n", code=1)
            with pytest.raises(SlurmSilent):
                question()
    monkeypatch.setenv("PATH", "")  # Slurm is being replaced
    with pytest.raises(SlurmSilent, match="not on PATH"):
        slurm.read_queue()


@pytest.mark.parametrize(
    "words",
    ["Please set --account and try again", "Your last job timed out: see our communication of May"],
)
def test_what_a_site_says_of_a_job_is_a_refusal(answers, tmp_path, words) -> None:
    answers("sbatch", err=f"sbatch: error: {words}\n", code=1)
    with pytest.raises(SlurmRefused, match=words):
        Slurm().submit([], tmp_path / "task.sh")


def test_only_a_job_that_the_controller_does_not_know_is_forgotten(answers) -> None:
    answers("sacct", err="Slurm accounting storage is disabled\n", code=1)
    answers("scontrol", err="slurm_load_jobs error: Invalid job id specified\n", code=1)
    slurm = Slurm()
    assert slurm.find_ended({"17_1"}) == {}
    answers("scontrol", err="slurm_load_jobs error: Invalid user id\n", code=1)
    with pytest.raises(SlurmSilent):
        slurm.find_ended({"17_1"})


def test_variables_of_the_job_that_badc_is_in_are_not_passed_on(
    answers, tmp_path, monkeypatch
) -> None:
    for name in ("SLURM_RESTART_COUNT", "SLURM_JOB_GPUS", "SLURM_CLUSTERS", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("SLURM_CONF", "/etc/slurm.conf")
    asked = answers("sbatch", "1\n")
    Slurm().submit([], tmp_path / "task.sh")
    given = asked.with_suffix(".env").read_text().splitlines()
    assert [one for one in given if one.startswith(("SLURM", "OMP"))] == [
        "SLURM_CONF=/etc/slurm.conf"
    ]


def test_a_job_that_another_cluster_has_taken_is_not_over(answers) -> None:
    answers("squeue", "17_0|REVOKED|None\n")
    assert Slurm().read_queue() == {"17_0": TaskState("REVOKED")}
