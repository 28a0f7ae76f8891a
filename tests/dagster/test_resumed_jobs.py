"""A job is resumed by its files: what is whole stays as it is, the rest is done again."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.commands import BADC, run_typed
from support.waiting import wait_until

from badc_core.accounts import user_name
from badc_core.errors import ConfigInvalid, DatasetInvalid
from badc_core.hashing import sha256_file
from badc_core.jobs import load_manifest
from badc_core.jobs.places import JobPlaces, job_places
from badc_core.jobs.run_job import RunJob
from badc_core.settings import Settings
from badc_core.stages.stage import STAGES
from badc_dagster.resuming import as_overrides
from badc_dagster.run_jobs import join_job

HELD = """
import time
from pathlib import Path

import numpy as np

here = Path(__file__).parent


def score(windows):
    (here / "begun").touch()
    until_s = time.monotonic() + 30
    while not (here / "go").exists() and time.monotonic() < until_s:
        time.sleep(0.02)
    return np.sqrt(np.mean(windows**2, axis=1, keepdims=True)).clip(0, 1)
"""
SETTINGS = """
[detector]
name = "python"
min_score = 0.001
[detector.model]
function = "held.py:score"
labels = "held.csv"
sample_rate_hz = 48000
window_s = 3.0
[inference]
cpu_workers = 1
"""


BANDS = '[detector]\nname = "band_energy"\nmin_score = {}\n'
IDS = ("rec_1", "rec_2", "rec_3")
DAGSTER = Path(sys.executable).with_name("dagster")
PARTITION = json.dumps({"dagster/partition": "rec_2"})


def only_job():
    (runs,) = job_places().output_root.glob("**/runs.json")
    return runs.parent


def begin_job(graph, *stages):
    """Returns the job of a run that failed before its first step; of all stages by default."""
    chosen = {graph.key(one) for one in stages} or None
    run = graph.instance.create_run_for_job(
        graph.defs.resolve_job_def("pipeline_job"), asset_selection=chosen
    )
    job = join_job(graph.instance, run, [*stages])
    graph.instance.report_run_failed(run)
    settings = graph.dataset.settings.model_dump(mode="json")
    job.add_dataset("dataset", graph.root, settings, {})
    job.add_recordings("dataset", IDS)
    return job


def states(dataset, *stages, ids=IDS):
    """Returns path -> time of the last change and content, of what stages wrote."""
    paths = [path for one in ids for stage in stages for path in STAGES[stage].files(dataset, one)]
    assert paths
    return {path: (path.stat().st_mtime_ns, sha256_file(path)) for path in paths}


@pytest.mark.parametrize(
    ("command", "ids"),
    [
        ([BADC, "run", "dataset"], IDS),
        pytest.param(
            [
                *(DAGSTER, "job", "execute", "-m", "badc_dagster", "-j", "pipeline_job"),
                *("--tags", PARTITION),
            ],
            ["rec_2"],
            marks=pytest.mark.soak,
        ),
    ],
)
def test_after_a_kill_in_the_third_stage_the_first_two_are_left_as_they_are(
    graph, app, command, ids
):
    graph.configure("", SETTINGS)
    (graph.root / "held.py").write_text(HELD, encoding="utf-8")
    (graph.root / "held.csv").write_text("name\nSound\n", encoding="utf-8")
    graph.scan()
    process = subprocess.Popen(
        command,
        cwd=graph.root.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until((graph.root / "begun").exists)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    (graph.root / "go").touch()
    folder = only_job()
    manifest = load_manifest(folder)
    assert manifest["stages"]["raw_detections"]["status"] == "running"
    (listed,) = json.loads(run_typed(app, "job", "list", "--json").stdout)
    assert (listed["state"], listed["stage"]) == ("unfinished", "raw_detections")
    before = states(graph.dataset, "recording", "chunk_manifest", ids=ids)
    # The job's settings count, not those of now.
    graph.configure("")

    done = run_typed(app, "job", "resume", folder.name)
    n_kept = f"{len(ids)} recording{'s' * (len(ids) > 1)} kept"
    assert f"recording: {n_kept}, 0 done" in done.output
    assert f"raw_detections: 0 recordings kept, {len(ids)} done" in done.output
    assert f"Job {folder.name}: completed" in done.output
    assert states(graph.dataset, "recording", "chunk_manifest", ids=ids) == before
    manifest = load_manifest(folder)
    assert manifest["pipeline"]["status"] == "completed"
    assert manifest["pipeline"]["failed_stages"] == []
    attempts = {name: one["attempt"] for name, one in manifest["stages"].items()}
    assert (attempts["recording"], attempts["raw_detections"]) == (1, 2)
    assert not any("error" in one for one in manifest["stages"].values())
    logs = run_typed(app, "job", "logs", folder.name, "orchestrator").stdout
    assert logs.count("killed or crashed") <= 1
    runs = json.loads((folder / "runs.json").read_text())
    assert runs["attempt"] == 2
    assert [one["account"] for one in runs["attempts"]] == [user_name()] * 2
    assert runs["attempts"][1]["pid"] == os.getpid() != runs["attempts"][0]["pid"]
    graph.configure("", SETTINGS)
    assert not any(one in ids for due in graph.due().values() for one in due)


@pytest.mark.soak
def test_a_step_whose_process_is_killed_has_failed_and_later_ones_are_skipped(graph, app):
    graph.configure("", SETTINGS)
    kills = "import os\n\n\ndef fail():\n    os.kill(os.getppid(), 9)\n"
    held = HELD.replace('    (here / "begun").touch()', '    (here / "go").exists() or fail()')
    (graph.root / "held.py").write_text(kills + held, encoding="utf-8")
    (graph.root / "held.csv").write_text("name\nSound\n", encoding="utf-8")
    graph.scan()
    words = ("job", "execute", "-m", "badc_dagster", "-j", "pipeline_job", "--tags", PARTITION)
    subprocess.run([DAGSTER, *words], cwd=graph.root.parent, capture_output=True, check=False)
    folder = only_job()
    with (folder / "runs.csv").open() as table:
        assert [one["stages"].split() for one in csv.DictReader(table)] == [list(STAGES)]
    manifest = load_manifest(folder)
    assert manifest["pipeline"]["failed_stages"] == ["raw_detections"]
    assert manifest["pipeline"]["skipped_stages"] == ["detections", "report_bundle"]
    assert "killed or crashed" in manifest["stages"]["raw_detections"]["error"]

    (graph.root / "go").touch()
    run_typed(app, "job", "resume", folder.name)
    pipeline = load_manifest(folder)["pipeline"]
    assert (pipeline["status"], pipeline["skipped_stages"]) == ("completed", [])


@pytest.mark.soak
def test_a_step_that_fails_before_it_begins_has_failed_and_its_cause_is_recorded(graph):
    graph.scan()
    graph.configure("nonsense = 1\n")
    words = ("job", "execute", "-m", "badc_dagster", "-j", "pipeline_job", "--tags", PARTITION)
    subprocess.run([DAGSTER, *words], cwd=graph.root.parent, capture_output=True, check=False)
    manifest = load_manifest(only_job())
    assert manifest["pipeline"]["failed_stages"] == ["recording"]
    assert "nonsense" in json.dumps(manifest)


def test_only_what_is_damaged_or_gone_is_made_again(cut, app):
    run_typed(app, "run", cut.root)
    folder = only_job()
    dataset = cut.dataset
    before = states(dataset, *STAGES)
    detections = dataset.detections("rec_2")
    detections.write_bytes(detections.read_bytes()[:-1] + b"?")
    dataset.bundle("rec_3").html.unlink()

    done = run_typed(app, "job", "resume", folder.name)
    assert "detections: 2 recordings kept, 1 done" in done.output
    # The same bytes were written again, so the bundle of rec_2 is still right.
    assert "report_bundle: 2 recordings kept, 1 done\n" in done.output
    assert "raw_detections: 3 recordings kept, 0 done" in done.output
    after = states(dataset, *STAGES)
    early = states(dataset, "recording", "chunk_manifest", "raw_detections")
    kept = [one for one in before if one in early or "rec_1" in str(one)]
    assert {one: after[one] for one in kept} == {one: before[one] for one in kept}
    assert after[detections][1] == before[detections][1]
    assert after.keys() == before.keys()


def test_what_only_a_later_job_can_make_again_is_left_to_it(graph, app):
    graph.configure("", BANDS.format(0.5))
    graph.scan()
    run_typed(app, "run", graph.root)
    older = only_job()
    graph.configure("", BANDS.format(0.9))
    run_typed(app, "run", graph.root)
    (newer,) = (one.parent for one in older.parent.glob("*/runs.json") if one.parent != older)
    page = graph.dataset.bundle("rec_2").html
    page.unlink()

    left = run_typed(app, "job", "resume", older.name, code=1).output
    assert "report_bundle: 2 recordings kept, 0 done, 1 left" in left
    assert "Nothing to do" not in left
    assert f"Run: badc run {graph.root}, which makes it again" in left
    assert not page.exists()
    done = run_typed(app, "job", "resume", newer.name).output
    assert "report_bundle: 2 recordings kept, 1 done" in done
    assert page.exists()
    assert "failed" not in done


def test_settings_with_a_secret_in_them_are_left_to_those_of_now(monkeypatch, tmp_path):
    monkeypatch.setenv("PGPASSWORD", "birds")
    monkeypatch.setenv("LAKE_TOKEN", "zebra-17-secret")
    job = RunJob.create(JobPlaces(tmp_path / "jobs"), {}, print)
    settings = Settings().model_dump(mode="json")
    settings["recordings"]["roots"] = ["audio/birds"]
    settings["recordings"]["templates"] = ["{site}/zebra-17-secret"]
    settings["detector"]["command"] = "find --from https://me:pw@host"
    settings["detector"]["thresholds"] = {"Secretarybird": 0.5}
    job.add_dataset("pond", tmp_path, settings, {})
    overrides = as_overrides(job.read_settings("pond"), Settings)
    assert overrides["recordings"]["roots"] == ["audio/birds"]
    assert overrides["detector"]["thresholds"] == {"Secretarybird": 0.5}
    assert "templates" not in overrides["recordings"]
    assert "command" not in overrides["detector"]


@pytest.mark.soak
def test_what_a_later_run_made_and_what_no_run_was_to_make_is_left(graph, app):
    graph.configure("", BANDS.format(0.5))
    (graph.root / "audio" / "S1" / "rec_3.wav").rename(graph.root / "rec_3.wav")
    (graph.root / "audio" / "S1" / "rec_3.wav").write_bytes(b"no sound")
    graph.scan()
    run_typed(app, "run", graph.root, code=1)
    folder = only_job()
    (graph.root / "rec_3.wav").rename(graph.root / "audio" / "S1" / "rec_3.wav")
    graph.configure("", BANDS.format(0.9))
    run_typed(app, "run", graph.root)
    before = states(graph.dataset, *STAGES)
    corpus = graph.dataset.corpus.html.stat().st_mtime_ns
    run_typed(app, "job", "resume", folder.name)
    assert states(graph.dataset, *STAGES) == before
    assert graph.dataset.corpus.html.stat().st_mtime_ns == corpus
    assert load_manifest(folder)["pipeline"]["status"] == "completed"


@pytest.mark.soak
def test_files_that_were_only_put_in_place_again_are_not_those_of_a_later_run(graph, app):
    """`git checkout` and `git annex get` give old files new times."""
    graph.configure("", BANDS.format(0.9))
    graph.scan()
    run_typed(app, "run", graph.root)
    (earlier,) = job_places().output_root.glob("**/runs.json")
    graph.configure("", BANDS.format(0.001))
    (graph.root / "audio" / "S1" / "rec_3.wav").rename(graph.root / "rec_3.wav")
    job = begin_job(graph)
    now_ns = time.time_ns() + 10**9
    for path in states(graph.dataset, *STAGES):
        os.utime(path, ns=(now_ns, now_ns))
    before = states(graph.dataset, "recording", "raw_detections")
    done = run_typed(app, "job", "resume", job.job_id, "--json", code=1)
    told = json.loads(done.stdout)
    after = states(graph.dataset, "recording", "raw_detections")
    remade = {path.name for path in before if before[path][1] != after[path][1]}
    assert {one.partition(".")[0] for one in remade} == {"rec_1", "rec_2"}
    assert told["kept"]["raw_detections"] == 0
    assert told["done_again"]["raw_detections"] == 2
    assert told["left"]["raw_detections"] == 1
    assert earlier.exists()


def test_no_stage_is_run_that_the_runs_of_a_job_were_not_to_run(graph, app):
    graph.scan()
    job = begin_job(graph, "recording")
    run_typed(app, "job", "resume", job.job_id)
    assert states(graph.dataset, "recording")
    assert STAGES["chunk_manifest"].list_made(graph.dataset) == set()
    assert not graph.dataset.corpus.html.exists()


def test_a_job_that_cannot_be_resumed_here_says_why(cut, app, monkeypatch, tmp_path):
    (cut.root / "audio" / "S1" / "rec_4.wav").write_bytes(b"no sound")
    run_typed(app, "run", cut.root, "--limit", 1)
    folder = only_job()
    moved = cut.root.with_name("moved")
    cut.root.rename(moved)
    with pytest.raises(DatasetInvalid, match="has gone"):
        run_typed(app, "job", "resume", folder.name)
    moved.rename(cut.root)
    monkeypatch.setenv("BADC_JOBS", str(job_places().root))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "another"))
    with pytest.raises(ConfigInvalid, match="in another Dagster home"):
        run_typed(app, "job", "resume", folder.name)
    shutil.rmtree(folder / "stages")
    (folder / "runs.json").unlink()
    with pytest.raises(ConfigInvalid, match="not Dagster runs"):
        run_typed(app, "job", "resume", folder.name)
