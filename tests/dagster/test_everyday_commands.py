"""`badc run` and `badc status`: exit codes, JSON, options, and that looking adds nothing."""

import json
import re

import dagster as dg
import pytest
from support.commands import run_typed

from badc_core import species_names
from badc_core.datasets.connections import read_connections
from badc_core.errors import (
    ConfigInvalid,
    DatasetInvalid,
    PackageMissing,
    StorageFull,
    UnreadableRecording,
)
from badc_core.recordings.failures import note_failure
from badc_dagster.assets import corpus
from badc_dagster.partitions import range_tags
from badc_dagster.recording_step import Step

QUICK = '[detector]\nname = "band_energy"\n'


@pytest.fixture
def pond(home, tmp_path, field_audio):
    """Returns a dataset of one recording that was never connected."""
    root = tmp_path / "pond"
    (root / "audio").mkdir(parents=True)
    (root / "audio" / "a.wav").write_bytes((field_audio / "aru_1.wav").read_bytes())
    (root / "badc.toml").write_text(QUICK, encoding="utf-8")
    return root


def listed(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def planned_files(app, root):
    """Returns how many files of a recording badc slurm plan counts with."""
    said = run_typed(app, "slurm", "plan", root, "--recordings", 1, "--json").stdout
    return json.loads(said)["workload"]["files"]


def test_status_of_an_unknown_dataset_adds_nothing(app, pond, home):
    before = listed(pond), listed(home)
    with pytest.raises(DatasetInvalid, match=r"not in the asset graph yet\. Run: badc run"):
        run_typed(app, "status", pond)
    assert (listed(pond), listed(home)) == before


def test_a_folder_without_recordings_is_not_added_to_the_asset_graph(app, home, tmp_path):
    (tmp_path / "empty" / "audio").mkdir(parents=True)
    before = read_connections(home)
    for command in ("scan", "run"):
        with pytest.raises(DatasetInvalid, match="no recordings in its folder audio"):
            run_typed(app, command, tmp_path / "empty")
    assert read_connections(home) == before


def test_a_wrong_option_adds_nothing_either(app, pond, home):
    before = read_connections(home)
    refused = run_typed(app, "run", pond, "--min-score", 25, code=2)
    assert "Invalid value for --min-score: must be less than or equal to 1" in refused.stderr
    assert read_connections(home) == before


def test_a_language_without_installed_names_is_refused_before_any_work(app, pond, monkeypatch):
    monkeypatch.setattr(species_names, "_PACKAGE", "a-package-that-nobody-has")
    (pond / "badc.toml").write_text(QUICK + "[report]\nlanguage = 'de'\n", encoding="utf-8")
    before = listed(pond)
    with pytest.raises(PackageMissing, match="pip install --no-deps birdnet-analyzer"):
        run_typed(app, "run", pond)
    assert listed(pond) == before


def test_run_reports_json_and_progress_lines_and_status_agrees(app, pond):
    (pond / "badc.toml").write_text("", encoding="utf-8")
    words = ("--detector", "band_energy", "--set", "inference.cpu_workers=1", "--json")
    assumed = planned_files(app, pond)
    done = run_typed(app, "run", pond, *words)
    written = [one for one in listed(pond) if re.search("/a[._]", one) and one != "audio/a.wav"]
    assert planned_files(app, pond) == assumed == len(written)
    result = json.loads(done.stdout)
    assert (result["recordings"], result["n_finished"], result["failures"]) == (1, 1, [])
    assert result["found"]["recordings"] == 1
    (line,) = [one for one in done.stderr.splitlines() if "Everything took" in one]
    assert line.startswith("raw_detections: ")
    (pond / "badc.toml").write_text(QUICK, encoding="utf-8")
    status = json.loads(run_typed(app, "status", pond, "--json").stdout)
    assert [(one["current"], one["due"], one["failed"]) for one in status["rows"]] == [
        (1, 0, 0)
    ] * len(status["rows"])
    said = run_typed(app, "run", pond).stdout
    assert "1 recording, 0 new" in said
    assert "1 of 1 recording complete, 0 failed" in said


def test_status_exits_with_1_while_recordings_of_a_failed_step_are_due(app, pond, monkeypatch):
    begin = Step.__init__

    def fill_the_disk(step, context, connection, stage, job):
        if stage == "report_bundle":
            raise OSError(28, "No space left on device")
        begin(step, context, connection, stage, job)

    with monkeypatch.context() as patch:
        patch.setattr(Step, "__init__", fill_the_disk)
        assert "No space left on device" in run_typed(app, "run", pond, code=1).stderr
    status = run_typed(app, "status", pond, "--json", code=1)
    (run_id,) = json.loads(status.stdout)["failed_runs"]
    assert f"Run {run_id} failed, and some of its recordings are still due" in status.stderr
    assert "No space left on device" in status.stderr
    run_typed(app, "run", pond)
    assert json.loads(run_typed(app, "status", pond, "--json").stdout)["failed_runs"] == {}
    (pond / "badc.toml").write_text(f"{QUICK}min_score = 0.9\n", encoding="utf-8")
    status = json.loads(run_typed(app, "status", pond, "--json").stdout)
    assert sum(one["due"] for one in status["rows"]) > 0
    assert status["failed_runs"] == {}


def test_recordings_that_no_step_took_are_counted_and_no_report_is_called_old(
    app, pond, monkeypatch
):
    monkeypatch.setenv("PATH", "/usr/share")  # no Slurm there
    said = run_typed(app, "run", pond, "--slurm", code=1)
    assert said.output.index("Report: ") < said.output.index("Run BADC where jobs are submitted")
    assert "0 of 1 recording complete, 1 not done" in said.stdout
    assert "failed" not in said.stdout
    assert "earlier run" not in said.stderr


def test_a_report_of_an_earlier_run_is_called_one(app, archive, monkeypatch):
    root = archive.root

    def fill_the_disk(_):
        raise StorageFull("the disk is full", root, "Free some space, then run again")

    with monkeypatch.context() as patch:
        patch.setattr(corpus, "aggregate_corpus", fill_the_disk)
        said = run_typed(app, "run", root, "--min-score", 0.9, code=1)
    assert "the disk is full" in said.stderr
    assert "the report is of an earlier run" in said.stderr
    assert "earlier run" not in run_typed(app, "run", root, "--min-score", 0.9).stderr


def test_status_says_what_it_can_where_settings_cannot_be_used(app, archive):
    root = archive.root
    note_failure(archive.dataset, "rec_1", "recording", UnreadableRecording("cut off", root, ""))
    archive.configure('include = ["Ostrich"]\n')
    status = run_typed(app, "status", root, code=1)
    assert "Cannot tell what is due: " in status.stderr
    assert "Ostrich" in status.stderr
    assert "failed  rec_1  " in status.stderr
    assert status.stdout == ""
    result = json.loads(run_typed(app, "status", root, "--json", code=1).stdout)
    assert (result["rows"], result["total"]) == ([], 3)
    assert "Ostrich" in result["trouble"]
    with pytest.raises(ConfigInvalid, match="Ostrich"):
        run_typed(app, "run", root)


def test_failures_are_on_standard_error_and_status_exits_with_1(app, archive):
    root = archive.root
    (root / "audio" / "bad.wav").write_bytes(b"RIFF")
    done = run_typed(app, "run", root, "--quiet", code=1)
    assert done.stdout == ""
    assert "failed  bad  " in done.stderr
    status = run_typed(app, "status", root, code=1)
    assert "failed  bad  " in status.stderr
    assert "failed  bad" not in status.stdout
    archive.add("S1/aru_4.wav").write_bytes(archive.add("S1/rec_1.wav").read_bytes()[:-2])
    later = run_typed(app, "run", root, "--limit", 1, code=1)
    assert "failed before  bad  " in later.stderr
    assert "4 of 5 recordings complete, 1 failed" in later.stdout


def test_status_exits_with_1_on_a_dead_run_and_leaves_closing_it_to_the_next_run(app, archive):
    run_id = archive.instance.create_run_for_job(
        archive.defs.resolve_job_def("pipeline_job"),
        status=dg.DagsterRunStatus.STARTED,
        tags={**range_tags(["rec_1", "rec_3"]), "badc/started_by": "badc run"},
    ).run_id
    status = run_typed(app, "status", archive.root, code=1)
    assert f"Run {run_id} was killed: its process is gone" in status.stderr
    assert not archive.instance.get_run_by_id(run_id).is_finished
    run_typed(app, "run", archive.root)
    assert archive.instance.get_run_by_id(run_id).is_finished
