"""Launching where there is no cluster, and the speeds that tasks are packed by."""

import json
import os
import socket

import pytest
from support.commands import run_typed
from support.detecting import cut_recordings, step_inputs
from support.forbidden import forbidden
from support.sounds import write_tone

from badc_core.datasets.dataset import Dataset
from badc_core.errors import (
    ProgramMissing,
    RecordingBusy,
    SlurmRefused,
    SlurmSilent,
    StorageFull,
)
from badc_core.settings import Settings
from badc_core.slurm import run_folders, submitting
from badc_core.slurm.binds import list_binds
from badc_core.slurm.commands import Slurm
from badc_core.slurm.run_folder import RunFolder
from badc_core.slurm.run_folders import (
    end_run,
    end_runs_of_other_stages,
    following,
    list_run_folders,
)
from badc_core.slurm.speeds import Speeds
from badc_core.slurm.step_launcher import SlurmStepLauncher
from badc_core.stages import work
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


def test_a_run_whose_host_ends_it_just_now_is_not_called_unattended(tmp_path, monkeypatch) -> None:
    owner = Work(tmp_path)
    owner.give_to_task("r", "/runs/a")

    def end(_: object) -> bool:
        owner.take_from_task("r", "/runs/a")
        return False

    monkeypatch.setattr(work, "is_locked", end)
    owner.begin("detections", "r").commit()


def test_marks_of_runs_that_are_gone_are_removed_on_request(app, tmp_path) -> None:
    (tmp_path / "audio").mkdir()
    dataset = Dataset(tmp_path, Settings())
    work = Work(dataset.work_folder)
    work.give_to_task("r", str(tmp_path / "gone"))
    assert list_run_folders(dataset) == []
    with following(RunFolder(tmp_path / "gone"), work):  # it is being made
        assert "0 runs ended" in run_typed(app, "slurm", "cancel", tmp_path).output
        assert work.given_to_tasks() == {"r": str(tmp_path / "gone")}
    assert "0 runs ended" in run_typed(app, "slurm", "cancel", tmp_path).output
    assert work.given_to_tasks() == {}


def test_runs_are_found_where_settings_no_longer_lead(tmp_path) -> None:
    dataset = Dataset(tmp_path / "ds", Settings())
    elsewhere = tmp_path / "scratch" / "run"
    (elsewhere / "tasks").mkdir(parents=True)
    Work(dataset.work_folder).give_to_task("r", str(elsewhere))
    assert [one.path for one in list_run_folders(dataset)] == [elsewhere]
    assert not RunFolder(elsewhere).is_shrunk


def test_speeds_follow_long_tasks_and_never_leap(tmp_path) -> None:
    speeds = Speeds(tmp_path)
    assert speeds.of("raw_detections") == 20.0
    speeds.note("raw_detections", 0.0, 7200.0, 0.0)  # all was known, or nothing could be read
    assert speeds.source("raw_detections") == "assumed"
    speeds.note("raw_detections", 300.0, 30.0, 10.0)  # most of it to load the model
    assert (speeds.of("raw_detections"), speeds.source("raw_detections")) == (30.0, "short tasks")
    speeds.note("raw_detections", 1e9, 100.0, 90.0)
    assert (speeds.of("raw_detections"), speeds.source("raw_detections")) == (120.0, "measured")
    speeds.note("raw_detections", 300.0, 30.0, 1.0)
    assert speeds.of("raw_detections") == 120.0
    speeds.note("raw_detections", 1.0, 7200.0, 7100.0)
    assert speeds.of("raw_detections") == 30.0
    for _ in range(40):
        speeds.note("raw_detections", 1e-6, 7200.0, 7100.0)
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


def test_nothing_is_said_of_a_run_of_another_person_where_a_stage_is_due(cut, monkeypatch) -> None:
    folder, work, said = RunFolder(cut.root / "run"), Work(cut.work_folder), []
    folder.create(step_inputs(cut, ["a"]), [["a"]])
    work.give_to_task("a", str(folder.path))
    with forbidden(folder.path), monkeypatch.context() as theirs:
        theirs.setattr(os, "geteuid", lambda: 12345)
        end_runs_of_other_stages(step_inputs(cut, ["a"]), said.append)
    assert said == []
    assert work.run_of("a") == str(folder.path)


@pytest.fixture
def cut(tmp_path) -> Dataset:
    """A dataset of two recordings."""
    for name in "ab":
        write_tone(tmp_path / "ds" / "audio" / "A" / f"{name}.wav", 3.0)
    dataset = Dataset.open(tmp_path / "ds", {"detector": {"name": "band_energy"}})
    cut_recordings(dataset)
    return dataset


def test_recordings_are_marked_before_there_is_a_folder(cut, answers, monkeypatch) -> None:
    answers("scontrol", "MaxArraySize = 1001\n")
    work, marked = Work(cut.work_folder), []

    def fill_the_disk(folder: RunFolder, *_: object) -> None:
        folder.path.mkdir(parents=True)
        marked.extend(work.given_to_tasks())
        raise StorageFull("no space left", folder.path)

    monkeypatch.setattr(RunFolder, "create", fill_the_disk)
    with pytest.raises(StorageFull):
        list(SlurmStepLauncher(step_inputs(cut, ["a", "b"])).outcomes())
    assert marked == ["a", "b"]
    assert work.given_to_tasks() == {}
    assert list(cut.root.glob(".badc/slurm/*")) == []


def test_it_is_said_how_many_recordings_are_ready_where_that_takes_long(
    cut, answers, monkeypatch
) -> None:
    answers("scontrol", "MaxArraySize = 1001\n")
    answers("sbatch", err="sbatch: error: invalid partition specified: x\n", code=1)
    answers("squeue")
    said: list[str] = []

    def run() -> list[str]:
        said.clear()
        with pytest.raises(SlurmRefused):
            list(SlurmStepLauncher(step_inputs(cut, ["a", "b"]), said.append).outcomes())
        return [one for one in said if "fetched" in one]

    assert run() == []
    monkeypatch.setattr(submitting, "_BETWEEN_WORDS_S", 0.0)
    assert run()[1].startswith("1 of 2 recordings fetched")
    begun = Work(cut.work_folder).begin("raw_detections", "a")  # by another run, so it fails here
    assert run()[1].startswith("0 of 2 recordings fetched")
    begun.leave()


def test_what_another_machine_follows_is_left_to_it(cut, answers, monkeypatch) -> None:
    answers("scontrol", "MaxArraySize = 1001\n")
    answers("squeue")
    answers("sacct")
    answers("scancel")
    folder, work = RunFolder(cut.root / ".badc" / "slurm" / "run"), Work(cut.work_folder)
    with monkeypatch.context() as there:
        there.setattr(socket, "gethostname", lambda: "login01")
        folder.create(step_inputs(cut, ["a"]), [["a"]])
    (outcome,) = SlurmStepLauncher(step_inputs(cut, ["a"])).outcomes()
    assert isinstance(outcome.error, RecordingBusy)
    assert "a run of login01 that this machine cannot see may be at work" in str(outcome.error)
    with pytest.raises(SlurmRefused, match="On login01, run: badc slurm cancel"):
        end_run(folder, Slurm(), work, print)
    assert not folder.is_shrunk
    work.give_to_task("a", str(folder.path))  # both have one work folder, so locks are seen
    end_run(folder, Slurm(), work, print)
    assert folder.is_shrunk


def test_every_run_is_ended_that_may_be_and_others_are_named(app, cut, answers, monkeypatch):
    for name in ("squeue", "sacct", "scancel"):
        answers(name)
    runs = [RunFolder(cut.root / ".badc" / "slurm" / name) for name in "abc"]
    work = Work(cut.work_folder)
    with monkeypatch.context() as there:
        there.setattr(socket, "gethostname", lambda: "login01")
        runs[0].create(step_inputs(cut, ["a"]), [["a"]])
    for one in runs[1:]:
        one.create(step_inputs(cut, ["b"]), [["b"]])
    with following(runs[1], work):
        done = run_typed(app, "slurm", "cancel", cut.root, "--json", code=1)
    told = json.loads(done.stdout)
    assert told["ended"] == ["c"]
    assert "a run of login01" in told["left"]["a"]
    assert "press Ctrl-C there" in told["left"]["b"]
    assert done.stderr.count("not ended: ") == 2
    assert [one.is_shrunk for one in runs] == [False, False, True]
    assert "1 run ended, 1 not" in run_typed(app, "slurm", "cancel", cut.root, code=1).stdout


def test_only_jobs_of_the_run_are_cancelled_and_waited_for_in_few_words(
    tmp_path, answers, monkeypatch
) -> None:
    monkeypatch.setattr(run_folders, "_FIRST_LOOK_S", 0.0)
    monkeypatch.setattr(run_folders, "_LOOK_S", 0.1)
    monkeypatch.setattr(run_folders, "_ENDING_S", 1.0)
    folder, said = RunFolder(tmp_path / "run"), []
    (folder.path / "submissions").mkdir(parents=True)
    folder.note_job(folder.note_intent("badc-run", [0]), "17")  # a number that Slurm gave again
    folder.note_intent("badc-run", [0])
    answers("squeue", "18|RUNNING\n")
    cancelled = answers("scancel")
    with pytest.raises(SlurmSilent, match="jobs 18 do not end"):
        end_run(folder, Slurm(), Work(tmp_path / "work"), said.append)
    assert cancelled.read_text() == "--quiet 18\n"
    assert said == ["waiting for jobs 18 to end"]
    assert folder.claim(1, "19_0") == "host"  # if sbatch should be accepted now


def test_a_container_sees_what_links_and_settings_lead_to(tmp_path) -> None:
    for name in ("project/A", "models", "runtime", "git/ds", "ds/audio", "run"):
        (tmp_path / name).mkdir(parents=True)
    write_tone(tmp_path / "project" / "A" / "a.wav", 1.0)
    (tmp_path / "ds" / "audio" / "A").symlink_to(tmp_path / "project" / "A")
    (tmp_path / "ds" / ".git").write_text("gitdir: ../git/ds\n")
    (tmp_path / "short").symlink_to(tmp_path / "ds")
    (tmp_path / "models" / "m.onnx").touch()
    model = {"file": str(tmp_path / "models" / "m.onnx"), "function": "a.module:f"}
    detector = {"name": "onnx", "model": model, "runtime": str(tmp_path / "runtime")}
    dataset = Dataset.open(tmp_path / "short", {"detector": detector})
    cut_recordings(dataset)
    found = list_binds(step_inputs(dataset, ["a"]), tmp_path / "run", tmp_path / "ds" / "audio")
    names = ("ds", "git/ds", "models", "project/A", "run", "runtime", "short")
    assert found == [tmp_path / one for one in names]
