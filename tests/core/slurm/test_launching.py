"""Launching where there is no cluster, and the speeds that tasks are packed by."""

import os

import pytest
from support.commands import run_typed
from support.detecting import cut_recordings, step_inputs
from support.forbidden import forbidden
from support.sounds import write_tone

from badc_core.datasets.dataset import Dataset
from badc_core.errors import ProgramMissing, RecordingBusy, SlurmRefused
from badc_core.settings import Settings
from badc_core.slurm.commands import Slurm
from badc_core.slurm.run_folder import RunFolder
from badc_core.slurm.run_folders import end_run, list_folders
from badc_core.slurm.speeds import Speeds
from badc_core.slurm.step_launcher import SlurmStepLauncher
from badc_core.stages.work import Work


def test_without_a_cluster_nothing_is_given_to_tasks(tmp_path, monkeypatch) -> None:
    write_tone(tmp_path / "audio" / "A" / "a.wav", 6.0)
    dataset = Dataset.open(tmp_path, {"detector": {"name": "band_energy"}})
    cut_recordings(dataset)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ProgramMissing, match="login node"):
        list(SlurmStepLauncher(step_inputs(dataset, ["a"])).outcomes())
    work = Work(dataset.work_folder)
    assert work.given_to_tasks() == {}
    assert not work.is_busy()


def test_a_recording_of_a_task_is_busy_until_its_run_gives_it_back(tmp_path) -> None:
    work = Work(tmp_path)
    work.give_to_task("r", "/runs/a")
    with pytest.raises(RecordingBusy, match="run a on the cluster"):
        work.begin("detections", "r")
    with pytest.raises(RecordingBusy), work.analysing("r"):
        pass
    assert work.is_busy()
    work.take_from_task("r", "/runs/b")
    assert work.run_of("r") == "/runs/a"
    work.begin("raw_detections", "r", takes_over_tasks=True).commit()
    work.take_from_task("r", "/runs/a")
    work.begin("detections", "r").commit()
    assert not work.is_busy()


def test_marks_of_runs_that_are_gone_are_removed_on_request(app, tmp_path) -> None:
    (tmp_path / "audio").mkdir()
    dataset = Dataset(tmp_path, Settings())
    work = Work(dataset.work_folder)
    work.give_to_task("r", str(tmp_path / "gone"))
    assert list_folders(dataset) == []
    assert "0 runs ended" in run_typed(app, "slurm", "cancel", tmp_path).output
    assert work.given_to_tasks() == {}


def test_runs_are_found_where_settings_no_longer_lead(tmp_path) -> None:
    dataset = Dataset(tmp_path / "ds", Settings())
    elsewhere = tmp_path / "scratch" / "run"
    (elsewhere / "tasks").mkdir(parents=True)
    Work(dataset.work_folder).give_to_task("r", str(elsewhere))
    assert [one.path for one in list_folders(dataset)] == [elsewhere]
    assert not RunFolder(elsewhere).is_shrunk


def test_speeds_follow_long_tasks_and_never_leap(tmp_path) -> None:
    speeds = Speeds(tmp_path)
    assert speeds.of("raw_detections") == 20.0
    speeds.note("raw_detections", 1e9, 30.0)  # over in no time
    speeds.note("raw_detections", 0.0, 7200.0)  # everything was known, or nothing could be read
    assert not speeds.is_measured("raw_detections")
    speeds.note("raw_detections", 1e9, 100.0)
    assert speeds.of("raw_detections") == 80.0
    speeds.note("raw_detections", 1.0, 7200.0)
    assert speeds.of("raw_detections") == 20.0
    for _ in range(40):
        speeds.note("raw_detections", 1e-6, 7200.0)
    assert speeds.of("raw_detections") > 0


def test_a_run_of_another_person_is_left_to_them(tmp_path, monkeypatch) -> None:
    dataset = Dataset(tmp_path / "ds", Settings())
    (tmp_path / "run" / "tasks").mkdir(parents=True)
    folder, work = RunFolder(tmp_path / "run"), Work(dataset.work_folder)
    assert folder.other_person == ""
    work.give_to_task("r", str(folder.path))
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    person = folder.path.owner()
    assert folder.other_person == person
    with forbidden(folder.path):  # as theirs are
        assert not folder.is_shrunk
        with pytest.raises(SlurmRefused, match=f"only {person} can end them"):
            end_run(folder, Slurm(), work, print)
    assert work.given_to_tasks() == {"r": str(folder.path)}
