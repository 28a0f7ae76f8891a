"""A stage whose work comes in parts leaves one record, whoever of them ends first or is killed."""

import json
import re
import socket
from contextlib import closing
from pathlib import Path

import pytest
from support.disks import small_disk
from support.forbidden import forbidden

from badc_core.errors import OutputUnwritable, StorageFull
from badc_core.jobs import load_manifest
from badc_core.jobs.job_states import find_work
from badc_core.jobs.layout import CANCELED, COMPLETED, FAILED
from badc_core.jobs.manifest_files import read_job
from badc_core.jobs.places import JobPlaces
from badc_core.jobs.recording_tables import WrittenFile as File
from badc_core.jobs.recording_tables import (
    open_outputs,
    outputs_table,
    read_failures,
    read_outputs,
    read_recordings,
)
from badc_core.jobs.run_job import RunJob
from badc_core.jobs.stage_part import Part
from badc_core.jobs.unfailing import Unfailing


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.setenv("LAKE_TOKEN", "zebra-17-secret")
    return RunJob.create(JobPlaces(tmp_path / "jobs"), {"started_by": "a test"}, print)


def append_outputs(folder, stage, rows):
    with closing(open_outputs(folder, stage)) as table:
        table.append(rows)


def record(job, stage="count"):
    return load_manifest(job.folder)["stages"][stage]


def status(job):
    return load_manifest(job.folder)["pipeline"]["status"]


def test_batches_are_one_attempt_and_a_recording_done_later_clears_its_failure(job, tmp_path):
    first = job.start(Part("count", "run-1"), {"list": tmp_path / "list.csv"})
    assert (record(job)["status"], status(job)) == ("running", "running")
    first.add_written("r1", [(tmp_path / "r1.txt", 3, "abc")])
    first.add_failed("r2", "cannot be read with zebra-17-secret")
    first.count("audio_s", 60.0)
    first.end()
    assert record(job)["status"] == "failed"
    table = record(job)["outputs"]["outputs"]
    assert (table["exists"], table["sha256"]) == (True, None)
    assert record(job)["error"] == "r2 failed: cannot be read with ***"

    second = job.start(Part("count", "run-2"), {})
    second.add_written("r2", [(tmp_path / "r2.txt", 4, "def")])
    second.count("audio_s", 30.0)
    second.end()
    found = record(job)
    assert (found["status"], found["attempt"], "error" in found) == ("success", 1, False)
    assert found["metadata"]["recordings_done"] == 2
    assert found["metadata"]["audio_s"] == 90.0
    assert found["duration_seconds"] > 0
    assert read_failures(job.folder, "count") == {}
    assert list(read_outputs(job.folder, "count")) == [
        File("r1", str(tmp_path / "r1.txt"), 3, "abc"),
        File("r2", str(tmp_path / "r2.txt"), 4, "def"),
    ]
    job.finish(COMPLETED)
    assert status(job) == "completed"
    assert job.read()["ended"]["status"] == "completed"


def test_a_stage_runs_until_the_last_of_its_parts_has_ended(job):
    parts = [job.start(Part("count", name), {}) for name in ("run-1", "run-2")]
    parts[0].end("the disk is full")
    assert (record(job)["status"], status(job)) == ("running", "running")
    log = Path(read_job(job.folder)["log_dir"], "count.log").read_text(encoding="utf-8")
    assert re.search(r"ERROR the disk is full\n\S+ INFO run-1 ended after \S+ s: failed\n$", log)
    gone = {**record(job)["ran_by"], "host": socket.gethostname(), "pid": 2**22 + 1}
    began_last = {"stages": {"count": {**record(job), "ran_by": gone}}}
    assert find_work(began_last) == "count (run run-2)"
    job.end_lost(["run-2"], "killed")
    assert "killed" in record(job)["error"]
    parts[1].end()  # it was not
    assert (record(job)["status"], record(job)["error"]) == ("failed", "the disk is full")

    job.start(Part("count", "run-3", replaces=frozenset({"run-1"})), {}).end()
    assert (record(job)["status"], record(job)["attempt"]) == ("success", 2)


def test_what_two_processes_of_a_run_say_is_all_kept(job):
    first, second = (job.start(Part("count", "run-1"), {}) for _ in range(2))
    first.add_failed("r1", "no sound")
    first.end("the disk is full")
    assert (record(job)["status"], status(job)) == ("running", "running")
    third = job.start(Part("count", "run-1"), {})
    second.end("the network is down")
    third.end()
    assert record(job)["status"] == "failed"
    for said in ("the disk is full", "the network is down", "r1 failed: no sound"):
        assert record(job)["error"].count(said) == 1
    again = job.start(Part("count", "run-1"), {})  # the step is tried again
    again.add_written("r1", [])
    again.end()
    assert (record(job)["status"], "error" in record(job)) == ("success", False)


def test_what_a_killed_process_left_is_ended_and_the_next_attempt_clears_it(job):
    job.start(Part("count", "run-1"), {})
    job.finish(CANCELED)
    assert (record(job)["status"], record(job)["error"]) == ("failed", "canceled")
    assert (status(job), job.read()["ended"]["status"]) == ("failed", "canceled")

    assert job.begin_again() == 2
    assert RunJob(job.folder).attempt == 2
    job.start(Part("count", "run-2", job.attempt), {}).end()
    job.finish(COMPLETED)
    assert (status(job), record(job)["attempt"]) == ("completed", 2)


def test_a_recording_that_failed_and_was_done_elsewhere_since_is_forgiven(job):
    failing = job.start(Part("count", "run-1"), {})
    for one in ("r1", "r2"):
        failing.add_failed(one, "the disk is full")
    failing.end()
    assert record(job)["error"] == "2 recordings, such as r1, failed: the disk is full"
    job.begin_again()
    again = job.start(Part("count", "run-2", job.attempt), {})
    again.add_written("r2", [])
    again.end()
    job.settle("count", {"r2"})
    assert record(job)["status"] == "failed"
    job.settle("count", {"r1", "r2"})
    assert (record(job)["status"], read_failures(job.folder, "count")) == ("success", {})


@pytest.mark.parametrize("torn", ["r2,/data/r2", 'r2,"/data/r,', "r2,/data/r2,4,ab", 'r2,"a,\n'])
def test_a_row_that_a_killed_process_did_not_finish_is_not_read(job, torn):
    append_outputs(job.folder, "count", [File("r1", "/data/r1", 3, "abc")])
    with outputs_table(job.folder, "count").open("a") as table:
        table.write(torn)
    assert [one.recording_id for one in read_outputs(job.folder, "count")] == ["r1"]
    append_outputs(job.folder, "count", [File("r3", "/data/r3", 5, "def")])
    append_outputs(job.folder, "count", [File("r1", "/data/r1", 9, "new")])
    found = {one.recording_id: one.size_bytes for one in read_outputs(job.folder, "count")}
    assert found == {"r1": 9, "r3": 5}


def test_any_name_of_a_file_is_read_as_it_was_written(job):
    odd = ["/a\nb", "/a\r\n,b", "/a\\nb", '/"', "=a\\", "\n=a"]
    append_outputs(job.folder, "count", [File("r1", one, 1, "abc") for one in odd])
    assert [one.path for one in read_outputs(job.folder, "count")] == odd
    assert outputs_table(job.folder, "count").read_bytes().count(b"\n") == 1 + len(odd)


def test_on_a_full_disk_rows_are_written_whole_or_reported(tmp_path):
    with small_disk(tmp_path / "disk", 64):
        folder = tmp_path / "disk"
        append_outputs(folder, "count", [File("r1", "/data/r1", 3, "abc")])
        with pytest.raises(StorageFull):
            append_outputs(folder, "count", [File("r2", "/x" * 500, 3, "abc")] * 100)
        append_outputs(folder, "count", [File("r3", "/data/r3", 3, "abc")])
        assert [one.recording_id for one in read_outputs(folder, "count")] == ["r1", "r3"]


def test_the_snapshot_of_a_dataset_is_masked_and_kept_as_it_was(job, tmp_path):
    settings = {"detector": {"name": "x", "api_token": "zebra-17-secret", "timezone": None}}
    job.add_dataset("pond", tmp_path, settings, {"detector": "x 1"})
    job.add_dataset("pond", tmp_path, {"detector": {"name": "y"}}, {})
    job.add_dataset("lake", tmp_path, {"detector": {"name": "z"}}, {})
    job.add_recordings("pond", ["r1", "r2"])
    job.add_run("id-1", "pipeline_job", ["count"], {"token": "zebra-17-secret"})
    assert job.read_settings("pond") == {"detector": {"name": "x", "api_token": "***"}}
    assert job.read_settings("lake") == {"detector": {"name": "z"}}
    assert read_recordings(job.folder) == {"pond": {"r1", "r2"}}
    assert load_manifest(job.folder)["input"]["title"] == "pond"
    assert json.loads((job.folder / "run_config.json").read_text()) == {"token": "***"}
    assert "id-1,/runs/id-1,1," in (job.folder / "runs.csv").read_text()
    for path in filter(lambda one: one.is_file(), tmp_path.rglob("*")):
        assert b"zebra-17" not in path.read_bytes(), path


def test_a_secret_of_the_settings_that_jobs_copy_is_in_no_file_of_runs(tmp_path):
    places = JobPlaces(tmp_path / "jobs")
    places.manager()
    (places.config_dir / ".env").write_text("SEA_TOKEN=walrus-23-secret\n")
    job = RunJob.create(places, {"command": "badc run --note=walrus-23-secret"}, print)
    job.add_run("id-1", "pipeline_job", ["count"], {"note": "walrus-23-secret"})
    part = job.start(Part("count", "id-1"), {})
    part.add_failed("r1", "401 for walrus-23-secret")
    part.end("no answer to walrus-23-secret")
    job.finish(FAILED, ["no answer to walrus-23-secret"])
    assert places.secrets().mask_command(["--note", "walrus-23-secret"]) == "--note ***"
    assert job.read()["errors"] == ["no answer to ***"]
    for path in filter(lambda one: one.is_file(), tmp_path.rglob("*")):
        assert b"walrus" not in path.read_bytes() or path.name == ".env", path


def test_a_damaged_record_of_runs_is_set_aside_and_one_that_cannot_be_read_stays(job):
    path = job.folder / "runs.json"
    before = path.read_bytes()
    with forbidden(path), pytest.raises(OutputUnwritable):
        job.finish(COMPLETED)
    assert path.read_bytes() == before
    job.begin_again()
    path.write_bytes(before[:40])
    job.add_run("id-1", "pipeline_job", ["count"])
    job.finish(COMPLETED)
    assert (job.job_id, job.read()["attempt"]) == (job.folder.name, 2)
    assert [one.read_bytes() for one in job.folder.glob("runs.json.damaged-*")] == [before[:40]]


def test_a_folder_that_cannot_be_written_costs_one_warning():
    warnings = []
    record = Unfailing(warnings.append)

    def fail():
        raise OutputUnwritable("cannot be written", "/out", "Make it writable")

    assert [record(fail), record(lambda: 1)] == [None, None]
    assert len(warnings) == 1
    assert "/out: cannot be written" in warnings[0]
