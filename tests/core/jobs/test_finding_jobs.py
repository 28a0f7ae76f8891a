"""Finding jobs, and what a list says of each."""

import json
import os
import socket
import subprocess
import tracemalloc
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from support.commands import run_badc
from support.forbidden import forbidden

from badc_core.errors import JobUnknown
from badc_core.jobs import PipelineManifest, StageManifest
from badc_core.jobs.finding import JobFinder
from badc_core.jobs.job_states import find_work, quick_manifest, state_of, summarize
from badc_core.jobs.places import JobPlaces, job_places
from badc_core.jobs.run_job import RunJob
from badc_core.jobs.stage_part import Part
from badc_core.jobs.work_lock import working_on


@pytest.fixture
def places(tmp_path: Path, monkeypatch) -> JobPlaces:
    monkeypatch.setenv("BADC_JOBS", str(tmp_path / "jobs"))
    return job_places()


def _job(places: JobPlaces, user: str = "ana") -> Path:
    return Path(places.manager().create_job(user)["output_dir"])


def _list(folder: Path, *words: str) -> list[dict]:
    return json.loads(run_badc("job", "list", "--json", *words, folder=folder).stdout)


def test_jobs_are_listed_newest_first_with_what_they_do(places, tmp_path) -> None:
    done, failed, killed, running, fresh = (_job(places, one) for one in "abcde")
    with StageManifest("asr", done):
        pass
    PipelineManifest(done / "manifest.json").set_input("in/dawn.wav", "Dawn\nchorus")
    PipelineManifest(done / "manifest.json").finalize()
    StageManifest("asr", failed).save("failed")
    StageManifest("asr", killed)
    record = json.loads((killed / "stages" / "asr.json").read_text())
    record["ran_by"]["pid"] = _ended_process()
    (killed / "stages" / "asr.json").write_text(json.dumps(record))
    (killed / "manifest.json").write_text("damaged")
    StageManifest("asr", running)
    found = _list(tmp_path)
    assert [one["state"] for one in found] == [
        "created", "running", "unfinished", "failed", "completed",
    ]  # fmt: skip
    assert [one["user"] for one in found] == [*"edcba"]
    assert found[1]["stage"] == "asr"
    assert (killed / "manifest.json").read_text() == "damaged"  # a list changes nothing
    assert [one["user"] for one in _list(tmp_path, "--status", "failed")] == ["b"]
    assert [one["user"] for one in _list(tmp_path, "--user", "a")] == ["a"]
    assert _list(tmp_path, "--day", "2020-01-01") == []
    assert len(_list(tmp_path, "--day", f"{datetime.now().astimezone():%Y-%m-%d}")) == 5
    text = run_badc("job", "list", "--limit", "1", folder=tmp_path).stdout
    assert text.splitlines()[1].split()[0] == fresh.name
    assert "newest 1" in text
    assert "Dawn?chorus" in run_badc("job", "list", folder=tmp_path).stdout
    assert "use one of" in run_badc("job", "list", "--status", "x", folder=tmp_path, code=2).stderr


def test_without_jobs_the_list_says_where_it_looked(places, tmp_path) -> None:
    places.root.mkdir()
    assert str(places.output_root) in run_badc("job", "list", folder=tmp_path).stdout
    assert _list(tmp_path) == []


def test_an_unknown_id_gets_similar_ones(places) -> None:
    names = [_job(places).name for _ in range(2)]
    finder = JobFinder(places)
    assert finder.find(names[0]).output_dir.is_dir()
    for typed in (names[0][:-1], names[0].replace("-", ""), f"{names[0]}0", names[0][-6:]):
        with pytest.raises(JobUnknown, match=names[0]):
            finder.find(typed)
    for typed in ("", "../../etc", "20261399-001", "x" * 500, "\0", "\u0662" * 8 + "-001"):
        with pytest.raises(JobUnknown):
            finder.find(typed)


def test_folders_that_cannot_be_read_are_named(places, tmp_path) -> None:
    ours, theirs = _job(places), _job(places, "bob")
    with forbidden(theirs):
        assert [one["state"] for one in _list(tmp_path)] == ["unreadable", "created"]
    with forbidden(theirs.parent):
        done = run_badc("job", "list", folder=tmp_path)
        assert ours.name in done.stdout
        assert f"{theirs.parent} cannot be read" in done.stderr
        with pytest.raises(JobUnknown, match="bob"):
            JobFinder(places).find(theirs.name)


def _ended_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def _running(pid: int, host: str, since: datetime) -> dict:
    by = {"pid": pid, "host": host}
    return {"stages": {"asr": {"status": "running", "ran_by": by, "started_at": since.isoformat()}}}


def test_a_process_that_got_the_number_of_an_earlier_one_is_no_work() -> None:
    here, now = socket.gethostname(), datetime.now(UTC)
    assert find_work(_running(os.getpid(), here, now))
    assert not find_work(_running(os.getpid(), here, now - timedelta(days=30)))
    assert find_work(_running(os.getpid(), "elsewhere", now - timedelta(days=6)))
    assert not find_work(_running(os.getpid(), "elsewhere", now - timedelta(days=8)))


def _left(job: Path, **changes: object) -> str:
    """Returns the state of a job of runs that is open, whose process did not end it."""
    by = {"host": socket.gethostname(), "pid": _ended_process(), "started_at": "2026-01-01"}
    attempt = {**by, **{key: one for key, one in changes.items() if key in by}}
    runs = {"started_by": changes.get("started_by", "badc run"), "attempts": [attempt]}
    (job / "runs.json").write_text(json.dumps(runs))
    return state_of(job, quick_manifest(job))


def test_runs_that_nobody_follows_any_more_are_not_shown_as_running(places, monkeypatch) -> None:
    job, now = _job(places), datetime.now(UTC).isoformat()
    assert _left(job) == "unfinished"
    with working_on(job):
        assert _left(job) == "running"
    assert _left(job, started_by="sensor") == "unfinished"
    assert _left(job, started_by="backfill abc") == "running"  # its next run is yet to come
    assert state_of(job, {"stages": {"asr": {}}}) == "running"  # somebody edited the manifest
    assert _left(job, host="elsewhere") == "unfinished"
    assert _left(job, host="elsewhere", started_at=now) == "running"
    RunJob(job).start(Part("count", "run-1"), {})
    assert _left(job, started_by="backfill abc") == "unfinished"
    shown = json.loads(run_badc("job", "show", job.name, "--json", folder=places.root).stdout)
    assert (shown["state"], shown["stages"][0]["status"]) == ("unfinished", "unfinished")
    # Where there are no locks, a process that is alive counts.
    monkeypatch.setattr("badc_core.jobs.job_states.is_worked_on", lambda _: None)
    assert _left(job) == "running"
    record = json.loads((job / "stages" / "count.json").read_text())
    record["ran_by"]["pid"] = _ended_process()
    (job / "stages" / "count.json").write_text(json.dumps(record))
    (job / "manifest.json").unlink()
    assert _left(job) == "unfinished"


def test_many_jobs_are_listed_one_after_the_other(places) -> None:
    content = json.dumps({"job_id": "x", "created_at": "2026-01-01T00:00:00+00:00"})
    for n_days in range(20):
        day = date(2024, 1, 1) + timedelta(days=n_days)
        for number in range(1, 51):
            folder = places.output_root / f"{day:%Y/%m/%d}" / "ana" / f"{day:%Y%m%d}-{number:03}"
            folder.mkdir(parents=True)
            (folder / "job_info.json").write_text(content)
    tracemalloc.start()
    n_jobs, last = 0, ""
    for job in map(summarize, JobFinder(places).jobs()):
        assert last == "" or job.job_id < last
        n_jobs, last = n_jobs + 1, job.job_id
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (n_jobs, last) == (1000, "20240101-001")
    assert peak_bytes < 500_000
