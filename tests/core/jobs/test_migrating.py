"""Folders of the layout before there were jobs become jobs, once, whole, and whatever they hold."""

import json
import os
import random
import signal
import stat
import time
from pathlib import Path

import pytest
from support.commands import run_badc
from support.disks import small_disk
from support.forbidden import forbidden
from support.forked import fork, run_forked

from badc_core.jobs import load_manifest
from badc_core.jobs.finding import JobFinder
from badc_core.jobs.job_details import read_details
from badc_core.jobs.migrating import migrate
from badc_core.jobs.old_layout import find_old_jobs, parse_title
from badc_core.jobs.places import JobPlaces

PLANTED = "hf_3f9ab77c21d0"
FIRST = {
    "version": "1.0.0",
    "created_at": "2024-10-29T20:00:00",
    "updated_at": "2024-10-29T20:30:00",
    "movie_dir": "/app/out/Inception_2010",
    "stages": {
        "demux": {
            "status": "success",
            "started_at": "2024-10-29T20:00:00",
            "completed_at": "2024-10-29T20:01:30",
            "duration_seconds": 90.5,
            "outputs": {
                "audio": {
                    "path": "/app/out/Inception_2010/audio/audio.wav",
                    "exists": True,
                    "size_bytes": 5,
                }
            },
            "metadata": {"channels": 1},
        }
    },
    "pipeline": {
        "status": "completed",
        "current_stage": None,
        "completed_stages": ["demux"],
        "failed_stages": [],
    },
}
SECOND = {
    **{key: one for key, one in FIRST.items() if key not in {"movie_dir", "updated_at"}},
    "created_at": "2025-10-30T15:44:30.123456",
    "job_id": "20251030-001",
    "user_id": 7,
    "input": {"file": "in/movie.mp4", "title": "The Movie", "year": 2023},
    "output_dir": "out/2025/10/30/1/20251030-001",
    "timing": {
        "started_at": "2025-10-30T15:44:30.123456",
        "completed_at": "2025-10-30T17:30:45.678901",
        "total_seconds": 6375.5,
    },
}


@pytest.fixture
def places(tmp_path: Path, monkeypatch) -> JobPlaces:
    monkeypatch.setenv("BADC_JOBS", str(tmp_path / "jobs"))
    return JobPlaces(tmp_path / "jobs")


def _old_job(root: Path, name: str, manifest: object) -> Path:
    folder = root / name
    (folder / "audio").mkdir(parents=True)
    (folder / "audio" / "audio.wav").write_bytes(b"sound")
    (folder / "new\nline" / "deep").mkdir(parents=True)
    (folder / os.fsdecode(b"not-utf8-\xff")).write_text("odd")
    (folder / "relative").symlink_to("audio/audio.wav")
    (folder / "absolute").symlink_to(folder / "audio" / "audio.wav")
    (folder / "dangling").symlink_to("/nowhere")
    (folder / "job.env").write_text(f"A=1\nHF_TOKEN={PLANTED}\n")
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    (folder / "manifest.json").write_text(text)
    return folder


def _contents(folder: Path) -> dict[str, object]:
    return {
        str(one.relative_to(folder)): (
            os.readlink(one)  # noqa: PTH115
            if one.is_symlink()
            else one.read_bytes() if one.is_file() else None
        )
        for one in folder.rglob("*")
    }  # fmt: skip


def test_both_kinds_of_manifests_become_jobs_and_a_second_time_changes_nothing(
    places, tmp_path
) -> None:
    old = tmp_path / "old out"
    folders = [_old_job(old, "Inception_2010", FIRST), _old_job(old, "Movie_2023", SECOND)]
    (old / "2025" / "10" / "30").mkdir(parents=True)
    (old / "notes").mkdir()
    before = _contents(old)
    done = run_badc("job", "migrate", old, "--json", folder=tmp_path)
    found = json.loads(done.stdout)
    assert [one["job_id"] for one in found] == ["20241029-001", "20251030-001"]
    assert _contents(old) == before
    assert "notes has no year" in done.stderr
    assert f"{old / '2025'}" not in done.stderr
    everything = _contents(places.root)
    again = json.loads(run_badc("job", "migrate", old, "--json", folder=tmp_path).stdout)
    assert [(one["job_id"], one["is_new"]) for one in again] == [
        ("20241029-001", False), ("20251030-001", False),
    ]  # fmt: skip
    assert _contents(places.root) == everything
    shown = [read_details(one) for one in JobFinder(places).jobs()]
    assert [(one.state, one.input["title"], one.input["year"]) for one in shown] == [
        ("completed", "The Movie", 2023), ("completed", "Inception", 2010),
    ]  # fmt: skip
    assert shown[0].user == "7"
    assert shown[1].outputs[0].path == f"{shown[1].output_dir}/audio/audio.wav"
    assert shown[1].outputs[0].exists
    assert shown[0].info["migrated"]["from"] == str(folders[1])
    assert load_manifest(shown[0].output_dir)["job_id"] == "20251030-001"
    new = shown[1].output_dir
    assert json.loads((new / "manifest.original.json").read_text()) == FIRST
    assert (new / "audio" / "audio.wav").read_bytes() == b"sound"
    assert (new / os.fsdecode(b"not-utf8-\xff")).read_text() == "odd"
    assert (new / "new\nline" / "deep").is_dir()
    assert (new / "absolute").resolve() == new / "audio" / "audio.wav"
    assert os.readlink(new / "dangling") == "/nowhere"  # noqa: PTH115
    assert (new / "job.env").read_text() == "A=1\nHF_TOKEN=***\n"


@pytest.mark.parametrize("manifest", ["", "{", "[]", '{"stages": {"asr": 3}}', "\0" * 9])
def test_a_damaged_manifest_is_reported_and_its_job_still_comes_over(
    places, tmp_path, manifest
) -> None:
    folder = _old_job(tmp_path, "Dawn.Chorus_1999", manifest)
    os.utime(folder / "audio" / "audio.wav", (1e9, 1e9))
    done = run_badc("job", "migrate", folder, folder=tmp_path)
    assert f"{folder / 'manifest.json'} is" in done.stderr
    (job,) = JobFinder(places).jobs()
    assert job.job_id == "20010909-001"
    details = read_details(job)
    assert (details.input["title"], details.input["year"]) == ("Dawn Chorus", 1999)
    assert (job.output_dir / "manifest.original.json").read_text() == manifest
    assert (job.output_dir / "audio" / "audio.wav").read_bytes() == b"sound"


def test_folders_that_nobody_may_write_to_come_over_as_they_are(places, tmp_path) -> None:
    folder = _old_job(tmp_path, "Inception_2010", FIRST)
    for one in (folder / "audio", folder):
        one.chmod(0o555)
    (tmp_path / "other").touch()
    with forbidden(tmp_path / "other"):  # so that root, too, obeys
        done = migrate(places, folder)
    assert done.error == ""
    assert stat.S_IMODE((done.output_dir / "audio").stat().st_mode) == 0o555
    assert (done.output_dir / "audio" / "audio.wav").read_bytes() == b"sound"
    assert load_manifest(done.output_dir)["job_id"] == done.job_id


def test_moving_removes_what_was_copied_and_nothing_else(places, tmp_path) -> None:
    folder = _old_job(tmp_path, "Inception_2010", FIRST)
    first = migrate(places, folder)
    (folder / "later.txt").write_text("written since")
    done = migrate(places, folder, move=True)
    assert (done.job_id, done.is_new, done.error) == (first.job_id, False, "")
    # The settings with secrets are nowhere else.
    assert {one.name for one in folder.iterdir()} == {"later.txt", "job.env"}
    assert sorted(done.left) == [str(folder / "job.env"), str(folder / "later.txt")]
    assert PLANTED in (folder / "job.env").read_text()


def test_what_cannot_be_read_is_reported_and_the_others_come_over(places, tmp_path) -> None:
    old = tmp_path / "old"
    bad = _old_job(old, "Bad_2010", FIRST)
    _old_job(old, "Good_2011", FIRST)
    with forbidden(bad / "audio" / "audio.wav"):
        done = run_badc("job", "migrate", old, folder=tmp_path, code=1)
    why = f"{bad / 'audio' / 'audio.wav'}: cannot be read (Permission denied)"
    assert f"{bad} was not migrated: {why}" in done.stderr
    assert len(list(JobFinder(places).jobs())) == 1
    run_badc("job", "migrate", old, folder=tmp_path)
    assert [one.job_id for one in JobFinder(places).jobs()] == ["20241029-002", "20241029-001"]
    for wrong in (tmp_path / "missing", places.root):
        assert "Error: " in run_badc("job", "migrate", wrong, folder=tmp_path, code=1).stderr


def test_a_full_disk_leaves_no_half_job(tmp_path) -> None:
    folder = _old_job(tmp_path, "Inception_2010", FIRST)
    (folder / "big").write_bytes(os.urandom(600_000))
    with small_disk(tmp_path / "disk", 500):
        places = JobPlaces(tmp_path / "disk" / "jobs")
        assert "no space left" in migrate(places, folder, move=True).error
        assert list(JobFinder(places).jobs()) == []
    assert (folder / "audio" / "audio.wav").exists()


def test_several_at_once_make_one_job(places, tmp_path) -> None:
    folder = _old_job(tmp_path, "Inception_2010", FIRST)
    results = run_forked(lambda _: migrate(places, folder), 5)
    assert sum(one.is_new for one in results) == 1
    assert {(one.job_id, one.error) for one in results} == {("20241029-001", "")}


def test_killed_at_any_moment_there_is_one_whole_job_in_the_end(places, tmp_path) -> None:
    chance = random.Random(4)
    n_killed = 0
    for number in range(6):
        folder = _old_job(tmp_path / "old", f"Movie {number}_2010", FIRST)
        for name in range(10):
            (folder / f"file_{name}").write_bytes(os.urandom(10_000))
        before = _contents(folder)
        for _ in range(3):
            pid = fork(lambda folder=folder: migrate(places, folder, move=True))
            time.sleep(chance.uniform(0, 0.03))
            os.kill(pid, signal.SIGKILL)
            n_killed += os.waitpid(pid, 0)[1] == signal.SIGKILL
        done = migrate(places, folder, move=True)
        assert done.error == ""
        copied = _contents(done.output_dir)
        assert {name for name in before if name != "manifest.json"} <= copied.keys()
        assert all(copied[f"file_{name}"] == before[f"file_{name}"] for name in range(10))
        assert not list(done.output_dir.parent.glob(".*.part"))
    assert n_killed > 0
    jobs = [read_details(one) for one in JobFinder(places).jobs()]
    assert len({one.info["migrated"]["from"] for one in jobs}) == len(jobs) == 6


@pytest.mark.parametrize(
    ("name", "title", "year"),
    [
        ("Inception_2010", "Inception", 2010),
        ("The_Big_Year_2011", "The Big Year", 2011),
        ("Dawn (1999)", "Dawn", 1999),
        ("Blade.Runner.2049.2017", "Blade Runner", 2049),
        ("2001_A_Space_Odyssey_1968", "2001 A Space Odyssey", 1968),
        ("20240601_053000", "20240601 053000", None),
        ("2025", "2025", None),
    ],
)
def test_title_and_year_are_read_from_a_name(name, title, year) -> None:
    assert parse_title(name) == (title, year)


def test_a_single_folder_may_be_named(places, tmp_path) -> None:
    folder = _old_job(tmp_path, "no year", FIRST)
    assert find_old_jobs(folder) == ([folder], [])
    assert migrate(places, folder).job_id == "20241029-001"
