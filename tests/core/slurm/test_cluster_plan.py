"""What a plan for the cluster says before anything is spent."""

import json
import resource

import pytest
from support.commands import run_badc, run_typed
from support.sounds import write_tone

from badc_core.datasets.dataset import Dataset
from badc_core.recordings.describe import describe_recording
from badc_core.recordings.registry import register_recordings
from badc_core.slurm import plan, speeds
from badc_core.slurm.packing import most_recordings
from badc_core.slurm.plan import Workload, estimate, explain_lack_of_room, read_workload
from badc_core.slurm.speeds import Speeds, lengths_s
from badc_core.slurm_settings import SlurmSettings
from badc_core.stages.work import Work

SIXTY_TB = Workload(500_000, 170_000.0, 100.0, "measured", files=21.0, size_bytes=300_000.0)


def test_sixty_terabytes_on_forty_gpus(monkeypatch) -> None:
    monkeypatch.setattr(plan, "most_recordings", lambda: 10_000)
    settings = SlurmSettings(gres="gpu:1", target_minutes=60, max_running_tasks=40)
    found = estimate(SIXTY_TB, settings, "raw_detections")
    # 50 steps, one after another, of 34 tasks each.
    assert (found.tasks, found.at_once) == (1700, 34)
    assert found.gpu_h == found.task_h == pytest.approx(1700 + 1700 * 20 / 3600)
    assert found.wall_h == pytest.approx(50 * (1 + 20 / 3600))
    assert (found.files, found.size_bytes) == (10_500_000, 150_000_000_000)


def test_fewer_tasks_at_a_time_take_several_rounds_of_each_step(monkeypatch) -> None:
    monkeypatch.setattr(plan, "most_recordings", lambda: 10_000)
    settings = SlurmSettings(gres="gpu:1", target_minutes=60, max_running_tasks=20)
    found = estimate(SIXTY_TB, settings, "raw_detections")
    assert (found.at_once, found.wall_h) == (20, pytest.approx(100 * (1 + 20 / 3600)))


@pytest.mark.parametrize(
    ("allowed", "most"),
    [(1024, 1_500), (4_096, 1_548), (20_000, 9_500), (1 << 20, 10_000), (-1, 10_000)],
)
def test_a_step_has_as_many_recordings_as_files_may_be_open(monkeypatch, allowed, most) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, allowed))
    assert most_recordings() == most


def test_more_recordings_have_as_much_sound_each(tmp_path) -> None:
    for name in ("a", "b"):
        write_tone(tmp_path / "audio" / "A" / f"{name}.wav", 36.0)
    dataset = Dataset.open(tmp_path)
    for registered in register_recordings(dataset).registry:
        recording = describe_recording(dataset, registered)
        recording.write(dataset.recording(registered.recording_id))
    left = read_workload(dataset, "raw_detections")
    assert (left.recordings, left.audio_h) == (2, pytest.approx(0.02))
    more = read_workload(dataset, "raw_detections", 500)
    assert (more.recordings, more.audio_h) == (500, pytest.approx(5.0))


def test_the_registry_is_read_once_for_all_that_nobody_decoded(tmp_path, monkeypatch) -> None:
    for number in range(20):
        write_tone(tmp_path / "audio" / "A" / f"{number}.wav", 0.5)
    dataset = Dataset.open(tmp_path)
    ids = [one.recording_id for one in register_recordings(dataset).registry]
    reads = []
    read = speeds.read_rows
    monkeypatch.setattr(speeds, "read_rows", lambda *some: reads.append(some) or read(*some))
    assert len(lengths_s(dataset, ids)) == 20
    assert len(reads) == 1


@pytest.mark.parametrize(
    ("gres", "n"),
    [("", 0), ("gpu", 1), ("gpu:2", 2), ("gpu:a100:4", 4), ("lscratch:10,gpu:v100", 1)],
)
def test_gpus_of_a_task_are_counted(gres, n) -> None:
    assert SlurmSettings(gres=gres).n_gpus == n


@pytest.mark.parametrize(("n", "audio_h", "n_tasks"), [(3, 300.0, 3), (1, 0.0, 1), (0, 0.0, 0)])
def test_there_are_no_more_tasks_than_recordings(n, audio_h, n_tasks) -> None:
    work = Workload(n, audio_h, 1.0, "assumed")
    found = estimate(work, SlurmSettings(target_minutes=1), "raw_detections")
    assert (found.tasks, found.at_once) == (n_tasks, n_tasks)
    assert bool(found.wall_h) == bool(n)


def test_a_lack_of_room_is_told(tmp_path) -> None:
    huge = estimate(
        Workload(10**12, 1.0, 1.0, "measured", files=1e3, size_bytes=1e9),
        SlurmSettings(),
        "raw_detections",
    )
    lacking = explain_lack_of_room(huge, tmp_path / "not" / "yet")
    assert any("GB free" in one for one in lacking)
    little = estimate(Workload(1, 1.0, 1.0, "measured"), SlurmSettings(), "raw_detections")
    assert explain_lack_of_room(little, tmp_path) == []


def test_the_command_says_what_its_speed_is_from(app, tmp_path, monkeypatch) -> None:
    write_tone(tmp_path / "audio" / "A" / "a.wav", 36.0)
    run_typed(app, "scan", tmp_path)
    with monkeypatch.context() as patched:
        patched.delattr(plan, "list_folders")  # the archive is not searched for a number of them
        said = run_typed(app, "slurm", "plan", tmp_path, "--recordings", 100, "--audio-hours", 20)
    assert "20 x real time, assumed" in said.output
    assert "no task has analysed recordings of this dataset yet" in said.stderr
    speeds = Speeds(Dataset.open(tmp_path).work_folder)
    speeds.note("raw_detections", 300.0, 25.0, 10.0)
    said = run_typed(app, "slurm", "plan", tmp_path)
    assert "30 x real time, measured on short tasks" in said.output
    assert "all tasks so far took less than a minute" in said.stderr
    speeds.note("raw_detections", 5000.0, 100.0, 90.0)
    said = run_typed(app, "slurm", "plan", tmp_path)
    assert "50 x real time, measured" in said.output
    assert said.stderr == ""
    found = json.loads(run_typed(app, "slurm", "plan", tmp_path, "--json").output)
    assert found["workload"]["audio_h"] == pytest.approx(0.01, rel=0.7)  # guessed from its size
    assert found["estimate"]["tasks"] == 1


def test_the_command_says_what_was_never_scanned_and_what_is_on_the_cluster(app, tmp_path) -> None:
    write_tone(tmp_path / "audio" / "A" / "a.wav", 1.0)
    said = run_typed(app, "slurm", "plan", tmp_path)
    assert said.stdout == ""
    assert "1 audio file not scanned yet" in said.stderr
    assert "badc scan" in said.stderr
    assert "no task" not in said.stderr
    run_typed(app, "scan", tmp_path)
    said = run_typed(app, "slurm", "plan", tmp_path)
    assert "not scanned" not in said.stderr
    assert "0.33 s" in next(one for one in said.stdout.splitlines() if "Sound" in one)  # guessed
    assert "on the cluster: badc" not in said.stdout
    Work(tmp_path / ".badc").give_to_task("a", "run")
    said = run_typed(app, "slurm", "plan", tmp_path)
    assert "1 of them is on the cluster now: badc slurm status" in said.stdout
    refused = run_badc(
        "slurm", "plan", tmp_path, "--set", "slurm.time=lots", folder=tmp_path, code=2
    )
    assert "Invalid value for --set slurm.time: 'lots' is not a Slurm time" in refused.stderr
