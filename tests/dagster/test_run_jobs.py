"""Every run belongs to a job, whose files say what became of it; the run never fails for them."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from support.commands import run_typed

from badc_core.errors import JobBusy, RecordingBusy
from badc_core.jobs import load_manifest
from badc_core.jobs.archive import archive_job
from badc_core.jobs.finding import JobFinder
from badc_core.jobs.places import job_places
from badc_core.jobs.recording_tables import read_outputs, read_recordings
from badc_core.jobs.run_job import RunJob
from badc_core.jobs.stage_part import Part
from badc_core.stages.corpus_outputs import CORPUS_ASSETS
from badc_core.stages.stage import STAGES
from badc_dagster.command_job import CommandJob
from badc_dagster.run_jobs import (
    FOLDER_TAG,
    JOB_TAG,
    close_lost_jobs,
    create_job,
    finish,
    following,
    is_last_run,
    join_job,
    resuming,
)

PLANTED = "zebra-17-secret"


def jobs():
    """Returns all jobs, the oldest first."""
    return [RunJob(one.parent) for one in sorted(job_places().output_root.glob("**/runs.json"))]


def status(job):
    return load_manifest(job.folder)["pipeline"]["status"]


def new_run(graph, **tags):
    """Returns a run with some of Dagster's own tags."""
    return graph.instance.create_run_for_job(
        graph.defs.resolve_job_def("corpus_job"),
        tags={f"dagster/{name}": value for name, value in tags.items()},
    )


def join(graph, run):
    """Returns the job of a run of the report of all recordings."""
    return join_job(graph.instance, run, CORPUS_ASSETS)


def test_one_command_is_one_job_without_secrets_which_says_what_each_stage_did(
    graph, home, app, monkeypatch, tmp_path
):
    monkeypatch.setenv("LAKE_API_TOKEN", PLANTED)
    monkeypatch.setenv("LAKE_PASSWORD", 'say "zebra-19"\ngrüße-zebra-20')
    monkeypatch.setenv("LAKE_URL", "https://me:zebra-18@host/lake")
    words = ["badc", "run", "--set", "x_token=zebra-16", "https://me:zebra-15@host"]
    monkeypatch.setattr(sys, "argv", [*words, os.environ["LAKE_PASSWORD"]])
    (graph.root / "audio" / "S1" / "bad.wav").write_bytes(b"no sound")
    done = run_typed(app, "run", graph.root, code=1)
    (job,) = jobs()
    assert done.stderr.count(f"Job {job.job_id}: {job.folder}\n") == 1
    stages = load_manifest(job.folder)["stages"]
    assert {name: one["status"] for name, one in stages.items()} == {
        **dict.fromkeys((*STAGES, "corpus_detections", "corpus_report"), "success"),
        "recording": "failed",
    }
    assert stages["recording"]["error"].startswith("bad failed: ")
    assert status(job) == "failed"
    for stage, entry in STAGES.items():
        written = {one.path: one.size_bytes for one in read_outputs(job.folder, stage)}
        files = [path for one in (1, 2, 3) for path in entry.files(graph.dataset, f"rec_{one}")]
        assert written == {str(path): path.stat().st_size for path in files}
        assert stages[stage]["metadata"]["recordings_done"] == 3
    assert read_recordings(job.folder) == {"dataset": {"bad", "rec_1", "rec_2", "rec_3"}}
    assert job.read_settings("dataset")["detector"]["name"] == "band_energy"

    logs = run_typed(app, "job", "logs", job.job_id).stdout
    assert f"INFO began: {job.read()['command']}\n" in logs
    assert "ERROR failed\n" in logs
    logs = run_typed(app, "job", "logs", job.job_id, "recording").stdout
    assert "ERROR bad failed: " in logs
    assert "3 recordings done, 1 failed\n" in logs
    assert "began: " in run_typed(app, "job", "logs", job.job_id, "orchestrator").stdout

    runs = graph.instance.get_runs()
    tags = {JOB_TAG: job.job_id, FOLDER_TAG: str(job.folder)}
    assert all(tags.items() <= run.tags.items() for run in runs)
    with (job.folder / "runs.csv").open() as table:
        assert {one["run_id"] for one in csv.DictReader(table)} == {one.run_id for one in runs}
    for path in filter(lambda one: one.is_file(), tmp_path.rglob("*")):
        assert b"zebra-" not in path.read_bytes(), path

    (graph.root / "audio" / "S1" / "bad.wav").unlink()
    done = run_typed(app, "run", graph.root, "--json")
    assert json.loads(done.stdout)["job_id"] == jobs()[-1].job_id
    later = load_manifest(jobs()[-1].folder)["pipeline"]
    assert (later["status"], later["skipped_stages"]) == ("completed", list(STAGES))
    assert list((home / "open_jobs").glob("*")) == []


def test_a_run_goes_on_without_a_job_where_none_can_be_written(cut, app, monkeypatch, tmp_path):
    (tmp_path / "occupied").write_text("a file")
    monkeypatch.setenv("BADC_JOBS", str(tmp_path / "occupied"))
    done = run_typed(app, "run", cut.root)
    assert done.output.count("The job's files are incomplete") == 1
    assert "3 of 3 recordings complete" in done.output


def test_an_interrupted_command_cancels_its_job_and_one_without_runs_has_none(graph):
    with CommandJob(graph.connection, pytest.fail):
        assert jobs() == []

    def work():
        with CommandJob(graph.connection, pytest.fail) as command:
            assert JOB_TAG in command.add_run("id-1", "pipeline_job", ["recording"], {})
            jobs()[0].start(Part("recording", "id-1"), {})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    (job,) = jobs()
    assert (status(job), job.read()["ended"]["status"]) == ("failed", "canceled")
    assert load_manifest(job.folder)["stages"]["recording"]["error"] == "interrupted"


def test_a_job_that_a_killed_process_left_open_is_closed_once_nobody_follows_it(graph, home):
    job = create_job("badc run")
    with following(job.folder):
        job.start(Part("recording", "id-1"), {})
        close_lost_jobs(graph.instance, pytest.fail)
        assert status(job) == "running"
    close_lost_jobs(graph.instance, pytest.fail)
    assert status(job) == "failed"
    assert "killed" in load_manifest(job.folder)["stages"]["recording"]["error"]
    assert list((home / "open_jobs").glob("[!.]*")) == []


def test_only_of_a_command_that_was_typed_is_the_text_kept(graph, monkeypatch, tmp_path):
    # A server of Dagster has the home's configuration, passwords and all, among its arguments.
    monkeypatch.setattr(sys, "argv", ["dagster", "--instance-ref", '{"postgres_db": "pw-of-home"}'])
    join(graph, new_run(graph))
    assert "command" not in jobs()[0].read()
    assert not any(b"pw-of-home" in one.read_bytes() for one in jobs()[0].folder.glob("*.*"))
    monkeypatch.setenv("LAKE_API_TOKEN", PLANTED)
    monkeypatch.setattr(sys, "argv", ["badc", "run", "pond", f"--note={PLANTED}"])
    with CommandJob(graph.connection, pytest.fail) as command:
        command.add_run("id-1", "pipeline_job", ["recording"], {})
    assert jobs()[1].read()["command"] == "badc run pond --note=***"


def test_a_re_execution_and_a_backfill_are_one_job_and_other_runs_have_their_own(graph):
    first = join(graph, new_run(graph))
    run = graph.instance.get_runs(limit=1)[0]
    again = new_run(graph, parent_run_id=run.run_id, root_run_id=run.run_id)
    assert join(graph, again).job_id == first.job_id
    backfill = {join(graph, new_run(graph, backfill="b1")).job_id for _ in "ab"}
    other = join(graph, new_run(graph, sensor_name="new_audio_sensor"))
    assert len({first.job_id, *backfill, other.job_id}) == 3
    assert [one.read()["started_by"] for one in jobs()] == ["dagster", "backfill b1", "sensor"]
    assert graph.instance.get_run_by_id(again.run_id).tags[JOB_TAG] == first.job_id


def test_what_a_run_left_queued_keeps_its_job_open(graph):
    run = new_run(graph)
    job = join(graph, run)
    close_lost_jobs(graph.instance, pytest.fail)
    assert job.read().get("ended") is None
    graph.instance.report_run_failed(run)
    close_lost_jobs(graph.instance, pytest.fail)
    assert job.read()["ended"]["status"] == "failed"


def test_a_job_that_a_run_joins_is_open_again_and_one_that_was_archived_is_not_joined(graph):
    first = new_run(graph, backfill="b1")
    job = join(graph, first)
    found = JobFinder(job_places()).find(job.job_id)
    with following(job.folder) as lock:
        finish(job, lock, "completed")
    join(graph, new_run(graph, backfill="b1"))
    with pytest.raises(JobBusy, match="runs started by backfill b1"):
        archive_job(job_places(), found, remove=True)
    with following(job.folder) as lock:
        job.finish("completed")
        with pytest.raises(JobBusy, match="by another process"):
            archive_job(job_places(), found, remove=True)
        finish(job, lock, "completed")
    archive_job(job_places(), found, remove=True)
    again = new_run(graph, parent_run_id=first.run_id, root_run_id=first.run_id)
    assert join(graph, again).job_id != job.job_id
    with pytest.raises(JobBusy, match="in its archive"), following(job.folder):
        pass


def test_jobs_of_several_homes_with_one_id_are_told_apart(graph, monkeypatch, tmp_path):
    job = create_job("dagster")
    monkeypatch.setenv("BADC_JOBS", str(tmp_path / "of_another_home"))
    other = join(graph, new_run(graph))
    assert other.job_id == job.job_id
    assert is_last_run(graph.instance, job, "")
    assert not is_last_run(graph.instance, other, "")


def test_a_job_that_two_processes_follow_is_ended_by_the_last(graph):
    job = create_job("badc run")
    with following(job.folder) as last:
        part = job.start(Part("recording", "id-1"), {})
        with following(job.folder) as first:
            finish(job, first, "completed")
        assert job.read().get("ended") is None
        with pytest.raises(RecordingBusy), resuming(job):
            pass
        part.end()
        finish(job, last, "completed")
    assert status(job) == "completed"
    with resuming(job), pytest.raises(RecordingBusy), resuming(job):
        pass


def test_a_job_left_open_ended_as_all_its_runs_did(graph, home):
    ended = []
    for is_done_again in (False, True):
        runs = [new_run(graph, backfill=f"b{is_done_again}") for _ in "ab"]
        if is_done_again:
            first = runs[0].run_id
            runs.append(new_run(graph, parent_run_id=first, root_run_id=first))
        jobs_of_runs = [join(graph, one) for one in runs]
        graph.instance.report_run_failed(runs[0])
        for one in runs[1:]:
            event = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, one.job_name)
            graph.instance.report_dagster_event(event, one.run_id)
        close_lost_jobs(graph.instance, pytest.fail)
        ended.append(jobs_of_runs[0].read()["ended"]["status"])
    assert ended == ["failed", "completed"]
    assert list((home / "open_jobs").glob(".backfill-*")) == []


def test_a_job_is_closed_once_its_disk_is_there_again(graph, tmp_path):
    job = create_job("badc run")  # killed before its first run
    root = job_places().root
    root.rename(tmp_path / "away")
    close_lost_jobs(graph.instance, pytest.fail)
    (tmp_path / "away").rename(root)
    close_lost_jobs(graph.instance, pytest.fail)
    assert job.read()["ended"]["status"] == "failed"


@pytest.mark.soak
def test_two_people_at_once_have_trees_of_their_own_under_one_root(
    in_fresh_home, tmp_path, field_audio
):
    commands = {
        "ana": ["badc", "run"],
        "ben": ["dagster", "job", "execute", "-m", "badc_dagster", "-j", "pipeline_job"],
    }
    processes = []
    for user, words in commands.items():
        root = tmp_path / f"of_{user}"
        (root / "audio").mkdir(parents=True)
        shutil.copyfile(field_audio / "aru_1.wav", root / "audio" / "a.wav")
        (root / "badc.toml").write_text('[detector]\nname = "band_energy"\n', "utf-8")
        in_fresh_home(root, f"home_{user}").scan()
        more = [root] if user == "ana" else ["--tags", '{"dagster/partition": "a"}']
        environment = {
            **os.environ,
            "LOGNAME": user,
            "BADC_JOBS": str(tmp_path / "jobs"),
            "LAKE_API_TOKEN": PLANTED,
        }
        program = Path(sys.executable).with_name(words[0])
        processes.append(
            subprocess.Popen(
                [program, *words[1:], *more],
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )
    assert [one.wait() for one in processes] == [0, 0]
    found = sorted((tmp_path / "jobs" / "out").glob("**/runs.json"))
    assert [one.parent.parent.name for one in found] == ["ana", "ben"]
    assert len({one.parent.name for one in found}) == 2
    for one, other in zip(found, ("of_ben", "of_ana"), strict=True):
        assert load_manifest(one.parent)["pipeline"]["status"] == "completed"
        for path in filter(lambda path: path.is_file(), one.parent.rglob("*")):
            assert other.encode() not in path.read_bytes()
    for path in filter(lambda one: one.is_file(), tmp_path.rglob("*")):
        assert PLANTED.encode() not in path.read_bytes(), path
