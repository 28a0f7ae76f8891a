"""`badc slurm logs`: whose log is where, from the files of runs."""

import json
import os

import pytest
from support.commands import run_badc
from support.detecting import cut_recordings, step_inputs
from support.sounds import write_tone

from badc_core.datasets.dataset import Dataset
from badc_core.slurm.node import EventLog
from badc_core.slurm.run_folder import RunFolder
from badc_core.slurm.run_folders import runs_folder


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


def start(folder, task, job, code=None, text="", at_s=1000):
    """Has a job of a task start, print a text, and end with a code."""
    events = EventLog(folder.events(task, f"{job}.0"), {"job": job, "node": "n1"})
    events.add("started")
    if code is not None:
        events.add("ended", code=code)
    folder.log(job).write_text(text)
    os.utime(folder.log(job), (at_s, at_s))


def logs(dataset, *words, code=0):
    return run_badc("slurm", "logs", dataset.root, *words, folder=dataset.root, code=code)


def test_without_a_run_it_says_so(dataset):
    done = logs(dataset)
    assert "No task was submitted yet." in done.stdout
    assert "what is in the queue is not known" in done.stderr


def test_tasks_are_listed_with_state_and_log(dataset, run):
    start(run, 0, "17_0", 0, "fine\n")
    start(run, 1, "17_1", 75)
    found = json.loads(logs(dataset, "--json").stdout)
    assert [(one["job"], one["state"]) for one in found] == [
        ("17_0", "ended"),
        ("17_1", "ended with code 75"),
        ("18_0", "submitted"),
    ]
    assert found[0]["log"] == str(run.log("17_0"))
    lines = logs(dataset).stdout.splitlines()
    assert str(run.log("17_0")) in next(one for one in lines if "17_0" in one)
    assert ".out" not in next(one for one in lines if "18_0" in one)


def test_the_log_of_a_recordings_task_is_printed_the_last_one_first(dataset, run):
    start(run, 0, "17_0", 0, "about a and b\n")
    start(run, 1, "17_1", 1, "c: out of luck\n", at_s=1000)
    done = logs(dataset, "b")
    assert done.stdout == "about a and b\n"
    start(run, 1, "18_0", 0, "c: [red]better :x:\n", at_s=2000)
    done = logs(dataset, "c")
    assert done.stdout == "c: [red]better :x:\n"
    assert f"Earlier: job 17_1 (ended with code 1): {run.log('17_1')}" in done.stderr


def test_a_task_that_has_printed_nothing_is_named(dataset, run):
    assert "Job 17_0 (submitted) has printed nothing yet." in logs(dataset, "a").stdout


def test_of_a_run_that_is_done_logs_are_listed_and_the_way_to_them_is_told(dataset, run):
    start(run, 0, "17_0", 0, "fine\n")
    run.shrink()
    found = json.loads(logs(dataset, "--json").stdout)
    assert [(one["job"], one["state"]) for one in found] == [("17_0", "done")]
    done = logs(dataset, "a", code=1)
    assert len(done.stderr.splitlines()) == 2
    assert "a: no task of a run that is not done had it. Logs of runs that are done:" in done.stderr
