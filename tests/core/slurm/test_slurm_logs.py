"""`badc slurm logs`: whose log is where, from the files of runs."""

import json
import os
import shlex
import subprocess
import tracemalloc

import pytest
from support.commands import run_badc
from support.detecting import cut_recordings, step_inputs
from support.sounds import write_tone

from badc_core.datasets.dataset import Dataset
from badc_core.slurm import run_tasks
from badc_core.slurm.answers import TaskState
from badc_core.slurm.commands import Slurm
from badc_core.slurm.node import EventLog
from badc_core.slurm.overview import list_runs
from badc_core.slurm.run_folder import RunFolder
from badc_core.slurm.run_folders import end_run, following, runs_folder
from badc_core.slurm.run_tasks import close_run, note_ends
from badc_core.slurm_array import NOTES_FOLDER
from badc_core.stages.work import Work
from badc_core.telemetry.log import Tail


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    """Returns a dataset on a machine without Slurm."""
    root = tmp_path / "l'été $(x)"
    for number, name in enumerate("abc"):
        write_tone(root / "audio" / "S" / f"{name}.wav", 6.0, number)
    opened = Dataset.open(root, {"detector": {"name": "band_energy"}})
    cut_recordings(opened)
    monkeypatch.setenv("PATH", str(tmp_path))
    return opened


@pytest.fixture
def run(dataset):
    """Returns the folder of a run of two tasks, the second of which was submitted twice."""
    folder = RunFolder(runs_folder(dataset) / "raw_detections-1")
    folder.create(step_inputs(dataset, ["a", "b", "c"]), [["a", "b"], ["c"]])
    for job, tasks in (("17", [0, 1]), ("18", [1])):
        folder.note_job(folder.note_intent("badc-x", tasks), job)
    return folder


def start(folder, task, job, code=None, text="", *, at_s=1000, outcomes=()):
    """Has a job of a task start, have outcomes, print a text, and end with a code."""
    events = EventLog(folder.events(task, f"{job}.0"), {"job": job, "node": "n1"})
    events.add("started")
    for recording_id, content in outcomes:
        events.add("outcome", recording_id=recording_id, **content)
    if code is not None:
        events.add("ended", code=code)
    folder.log(job).write_text(text)
    os.utime(folder.log(job), (at_s, at_s))


def logs(dataset, *words, code=0):
    return run_badc("slurm", "logs", dataset.root, *words, folder=dataset.root, code=code)


def states(dataset):
    """Returns job -> state, as shown."""
    return {one["job"]: one["state"] for one in json.loads(logs(dataset, "--json").stdout)}


def test_without_a_run_it_says_so(dataset):
    done = logs(dataset)
    assert "No task was submitted yet." in done.stdout
    assert "the queue cannot be read, so states may be old" in done.stderr


def test_tasks_are_listed_with_state_and_log(dataset, run):
    start(run, 0, "17_0", 0, "fine\n", outcomes=[("a", {"value": ""}), ("b", {"error": {}})])
    start(run, 1, "17_1", 75)
    found = json.loads(logs(dataset, "--json").stdout)
    assert [(one["job"], one["state"], one["failed"]) for one in found] == [
        ("17_0", "completed", ["b"]),
        ("17_1", "out of time", []),
        ("18_0", "submitted", []),
    ]
    assert found[0]["log"] == str(run.log("17_0"))
    lines = logs(dataset).stdout.splitlines()
    line = next(one for one in lines if "17_0" in one)
    assert str(run.log("17_0")) in line
    assert "2, 1 failed" in line
    assert "nothing" in next(one for one in lines if "18_0" in one)


def test_the_log_of_a_recordings_task_is_printed_the_last_one_first(dataset, run):
    start(run, 0, "17_0", 0, "about a and b\n")
    start(run, 1, "17_1", 1, "c: out of luck\n", at_s=1000)
    done = logs(dataset, "S/b.wav")
    assert done.stdout == "about a and b\n"
    start(run, 1, "18_0", 0, "c: [red]better :x:\n", at_s=2000)
    done = logs(dataset, "c")
    assert done.stdout == "c: [red]better :x:\n"
    assert f"Earlier: job 17_1 (failed with exit code 1): {run.log('17_1')}" in done.stderr


def test_a_task_that_has_printed_nothing_is_named(dataset, run):
    assert "Job 17_0 (submitted): has printed nothing." in logs(dataset, "a").stdout


def test_no_log_is_named_where_nothing_was_printed(dataset, run):
    start(run, 1, "18_0", 0)
    done = logs(dataset, "c")
    assert done.stdout == "Job 18_0 (completed): has printed nothing.\n"
    assert "Earlier: job 17_1 (submitted): has printed nothing" in done.stderr
    assert str(run.log("17_1")) not in done.stderr


def test_when_a_run_is_over_states_and_recordings_of_its_tasks_are_still_known(dataset, run):
    start(run, 0, "17_0", 0, "about a and b\n", outcomes=[("a", {"value": ""})])
    start(run, 1, "17_1", text="killed\n")
    start(run, 1, "18_0", 0, "c at last\n", at_s=2000, outcomes=[("c", {"value": ""})])
    note_ends(run, {"17_1": TaskState("TIMEOUT", "", "0:0")})
    close_run(run)
    assert run.is_shrunk
    assert states(dataset) == {"17_0": "completed", "17_1": "timeout", "18_0": "completed"}
    assert logs(dataset, "a").stdout == "about a and b\n"
    done = logs(dataset, "c")
    assert done.stdout == "c at last\n"
    assert f"Earlier: job 17_1 (timeout): {run.log('17_1')}" in done.stderr


def test_a_recording_that_was_done_is_not_of_the_next_try_of_its_task(dataset):
    folder = RunFolder(runs_folder(dataset) / "raw_detections-2")
    folder.create(step_inputs(dataset, ["a", "b"]), [["a", "b"]])
    for job in ("17", "18"):
        folder.note_job(folder.note_intent("badc-x", [0]), job)
    start(folder, 0, "17_0", 75, "a is done\n", at_s=1000, outcomes=[("a", {"value": ""})])
    start(folder, 0, "18_0", 0, "b too\n", at_s=2000, outcomes=[("b", {"value": ""})])
    assert logs(dataset, "a").stdout == "a is done\n"
    assert logs(dataset, "b").stdout == "b too\n"


def test_how_tasks_ended_that_nobody_follows_is_asked_of_slurm(dataset, run, answers):
    answers("squeue", "18_0|PENDING|Priority\n")
    said = "ArrayJobId=17 ArrayTaskId={} JobState={} Reason=None ExitCode={}\n".format
    answers("scontrol", said(0, "CANCELLED", "0:15") + said(1, "FAILED", "0:9"))
    answers("sacct", err="Slurm accounting storage is disabled\n", code=1)
    expected = {"17_0": "cancelled", "17_1": "ended by signal 9", "18_0": "pending"}
    assert states(dataset) == expected
    answers("squeue", "17|FAILED\n")
    answers("scancel")
    run_badc("slurm", "cancel", dataset.root, folder=dataset.root)
    assert states(dataset) == {**expected, "18_0": "unknown"}


def test_of_a_task_that_was_cancelled_at_its_very_end_slurms_word_counts(dataset, run, answers):
    start(run, 0, "17_0", 0, outcomes=[("a", {"value": ""}), ("b", {"value": ""})])
    answers("squeue", "17|CANCELLED\n")
    answers("scancel")
    answers("sacct")
    answers("scontrol", "ArrayJobId=17 ArrayTaskId=0 JobState=CANCELLED ExitCode=75:0\n")
    run_badc("slurm", "cancel", dataset.root, folder=dataset.root)
    assert states(dataset)["17_0"] == "cancelled"


def test_the_status_counts_what_failed_and_what_is_left(dataset, run, answers):
    answers("squeue", "17_1|RUNNING|None\n")
    start(run, 0, "17_0", 0, outcomes=[("a", {"value": ""}), ("b", {"error": {}})])
    words = ("slurm", "status", dataset.root)
    (found,) = json.loads(run_badc(*words, "--json", folder=dataset.root).stdout)
    assert (found["recordings"], found["failed"], found["left"]) == (3, 1, 1)
    typed = shlex.quote(str(dataset.root))
    nobody = f"No badc follows run raw_detections-1. To finish it: badc run --slurm {typed}."
    assert nobody in run_badc(*words, folder=dataset.root).stdout
    with following(run, Work(dataset.work_folder)):
        assert nobody not in run_badc(*words, folder=dataset.root).stdout
    run.shrink()
    said = run_badc(*words, folder=dataset.root).stdout
    assert "No run is on the cluster. Tasks of array scripts: squeue --me" in said
    words = ("slurm", "cancel", dataset.root)
    assert "array script, run: scancel JOB" in run_badc(*words, folder=dataset.root).stdout


def test_results_are_not_in_memory_where_only_tasks_count(dataset, run, answers, monkeypatch):
    answers("squeue")
    answers("sacct")
    answers("scancel")
    answers("scontrol")
    start(run, 0, "17_0", outcomes=[("a", {"value": "x" * 50_000})] * 200)
    opened = []
    monkeypatch.setattr(run_tasks, "Tail", lambda path: opened.append(path) or Tail(path))
    tracemalloc.start()
    try:
        list_runs(dataset, Slurm())
        end_run(run, Slurm(), Work(dataset.work_folder), print)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 5_000_000
    assert opened.count(run.events(0, "17_0.0")) == 2  # for the status, and for the end


def test_of_runs_of_an_older_badc_the_logs_are_listed(dataset, run):
    start(run, 0, "17_0", 0, "fine\n")
    run.shrink()
    assert states(dataset) == {"17_0": "unknown"}


def test_the_task_of_an_array_script_is_found_by_its_recording(dataset, tmp_path):
    script = tmp_path / "cut.sh"
    words = ("--sockeye-script", script, "--include-existing")
    run_badc("chunk", "orchestrate", dataset.root, *words, folder=tmp_path)
    badc = tmp_path / "badc"
    badc.write_text('#!/bin/sh\necho "at work: $*"\ncase "$*" in *S/b.wav) exit 1 ;; esac\n')
    badc.chmod(0o755)
    for index in (1, 2):
        job = {"SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": str(index)}
        with (tmp_path / f"slurm-40_{index}.out").open("w") as log:
            env = {"PATH": f"{tmp_path}:/usr/bin:/bin", **job}
            subprocess.run(["bash", script], env=env, stdout=log, check=False)
    assert states(dataset) == {"40_1": "completed", "40_2": "failed with exit code 1"}
    assert "no task on the cluster has worked on this" in logs(dataset, "c", code=1).stderr
    dataset.registry.unlink()  # its tasks know their recordings nevertheless
    assert "audio/S/b.wav" in logs(dataset, "b").stdout
    assert str(tmp_path / "slurm-40_2.out") in logs(dataset, "b").stderr
    assert "c: no recording of this name" in logs(dataset, "c", code=1).stderr


def leave_note(dataset, job, *lines):
    """Leaves what a task of an array script does."""
    path = dataset.root / NOTES_FOLDER / job
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{one}\n" for one in ("a", "/nowhere", *lines)))
    return path


def test_how_a_task_of_a_script_said_that_it_ended_is_not_asked_of_slurm(dataset, answers):
    answers("squeue", "40|COMPLETED\n")
    shown = answers("scontrol", "ArrayJobId=40 ArrayTaskId=1 JobState=COMPLETED ExitCode=0:0\n")
    asked = answers("sacct")
    leave_note(dataset, "40_1", 1)
    assert states(dataset) == {"40_1": "failed with exit code 1"}
    assert shown.read_text() == asked.read_text() == ""
    leave_note(dataset, "40_1", 143)
    assert states(dataset) == {"40_1": "completed"}
    for one in range(41, 50):
        leave_note(dataset, f"{one}_1")
    shown.write_text("")
    assert states(dataset)["41_1"] == "unknown"
    assert shown.read_text() == "show job -o 40\n"


def test_old_notes_of_tasks_are_removed_that_are_out_of_the_queue(dataset, answers):
    answers("squeue", "40_1|PENDING|Priority\n")
    notes = [leave_note(dataset, f"40_{index}", 0) for index in (1, 2, 3)]
    for one in notes[:2]:
        os.utime(one, (1000, 1000))
    assert states(dataset) == {"40_1": "pending", "40_3": "completed"}
    assert [one.exists() for one in notes] == [True, False, True]


def test_a_mistyped_recording_is_said_to_be_none(dataset, run):
    done = logs(dataset, "aa", code=1)
    assert "aa: no recording of this name in the dataset. Did you mean a?" in done.stderr
