"""Dagster's own commands, line by line as `docs/ways-in.md` gives them."""

import re
import shlex
from pathlib import Path

import dagster as dg
import pytest

from badc_core.jobs import load_manifest
from badc_core.jobs.places import job_places
from badc_core.jobs.recording_tables import read_recordings
from badc_core.stages.stage import STAGES
from badc_dagster.run_jobs import JOB_TAG

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[2] / "docs" / "ways-in.md"
LINES = [
    line
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith(("dagster job", "dagster asset"))
]
TESTED = (
    *("--select recordings", "pipeline_job", "--select raw_detections"),
    *("infer_job", "select_job", "corpus_job"),
)
IDS = ["rec_1", "rec_2", "rec_3"]


@pytest.fixture
def documented(run_outside):
    """Runs the one documented line that has some words in it."""

    def run(words, **names):
        (line,) = [one for one in LINES if words in one]
        for name, value in names.items():
            line = line.replace(name, value)
        return run_outside(*shlex.split(line))

    return run


def materialized(graph):
    return {
        stage: [one for one, status in graph.statuses(stage).items() if status == "MATERIALIZED"]
        for stage in STAGES
    }


def test_every_documented_line_is_run_here():
    assert [sum(words in line for words in TESTED) for line in LINES] == [1] * len(TESTED)


def test_the_table_of_jobs_says_which_stages_they_take():
    rows = re.findall(
        r"^\| `(\w+_job)` \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    documented_stages = {job: re.findall(r"`(\w+)`", assets) for job, assets in rows}
    assert documented_stages.pop("pipeline_job") == list(STAGES)
    expected = {job: [] for job in ("scan_job", "corpus_job")}
    for stage in STAGES.values():
        expected.setdefault(stage.job, []).append(stage.name)
    taken = {
        job: [one for one in names if one in STAGES] for job, names in documented_stages.items()
    }
    of_no_stage = {job for job, stages in taken.items() if not stages}
    assert {job: taken[job] for job in expected} == expected
    assert of_no_stage >= taken.keys() - expected.keys()


def test_materialising_recordings_finds_files_and_makes_them_partitions(graph, documented):
    done = documented("--select recordings")
    assert done.returncode == 0, done.stderr
    assert graph.instance.get_dynamic_partitions("recordings") == IDS


@pytest.mark.soak
def test_one_job_takes_one_recording_from_file_to_report(graph, documented):
    graph.scan()
    done = documented("pipeline_job", KEY="rec_2")
    assert done.returncode == 0, done.stderr
    assert materialized(graph) == {stage: ["rec_2"] for stage in STAGES}
    assert graph.dataset.bundle("rec_2").html.exists()


@pytest.mark.soak
def test_one_asset_is_materialised_for_one_recording(cut, documented):
    done = documented("--select raw_detections", KEY="rec_3")
    assert done.returncode == 0, done.stderr
    assert materialized(cut)["raw_detections"] == ["rec_3"]
    assert materialized(cut)["detections"] == []


def test_a_job_takes_a_range_of_recordings_and_tells_what_it_was_leased(cut, documented):
    done = documented("infer_job", FIRST="rec_2", LAST="rec_3")
    assert done.returncode == 0, done.stderr
    assert materialized(cut)["raw_detections"] == ["rec_2", "rec_3"]
    told = cut.latest("raw_detections", "rec_2").metadata
    assert told["leased_devices"].value.startswith("cpu slot ")
    assert told["waited_for_device_s"].value >= 0
    (runs,) = job_places().output_root.glob("**/runs.json")
    (run,) = cut.instance.get_runs(dg.RunsFilter(tags={JOB_TAG: runs.parent.name}))
    assert run.run_id in runs.with_name("runs.csv").read_text()
    manifest = load_manifest(runs.parent)
    assert manifest["pipeline"]["status"] == "completed"
    assert manifest["stages"]["raw_detections"]["metadata"]["recordings_done"] == 2
    assert read_recordings(runs.parent) == {"dataset": {"rec_2", "rec_3"}}


@pytest.mark.soak
def test_another_job_takes_a_range_of_recordings(analysed, documented):
    done = documented("select_job", FIRST="rec_2", LAST="rec_3")
    assert done.returncode == 0, done.stderr
    assert materialized(analysed)["detections"] == ["rec_2", "rec_3"]


@pytest.mark.soak
def test_the_corpus_job_needs_no_partition(finished, documented):
    done = documented("corpus_job")
    assert done.returncode == 0, done.stderr
    assert finished.dataset.corpus.html.exists()
