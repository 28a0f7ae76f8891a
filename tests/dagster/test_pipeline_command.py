"""`badc pipeline run`: the original's command is a front to the same asset graph as `badc run`."""

import json

import pytest
from support.archives import run_in
from support.commands import run_typed
from support.tables import rows_of

from badc_core.errors import DatasetInvalid

QUICK = '[detector]\nname = "band_energy"\n[inference]\ncpu_workers = 1\n'


@pytest.fixture
def pond(home, tmp_path, field_audio, monkeypatch):
    """Returns a dataset of two recordings that was never connected, beside the current folder."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "pond"
    (root / "audio").mkdir(parents=True)
    for name in ("a", "b"):
        (root / "audio" / f"{name}.wav").write_bytes((field_audio / "aru_1.wav").read_bytes())
    (root / "badc.toml").write_text(QUICK, encoding="utf-8")
    return root


def test_everything_is_done_once_with_a_plan_a_bundle_each_and_a_rollup(app, pond, tmp_path):
    words = ("pipeline", "run", pond, "--bundle-rollup-export-dir", "sum", "--json")
    result = json.loads(run_typed(app, *words).stdout)
    assert (result["n_finished"], result["nothing_to_do"]) == (2, False)
    plan = json.loads((tmp_path / "plans" / "pipeline_chunks.json").read_text())
    assert [(one["recording_id"], one["manifest_path"]) for one in plan] == [
        *(("a", "manifests/a.csv"), ("b", "manifests/b.csv"))
    ]
    assert {one["chunk_duration"] for one in plan} == {60.0}
    assert plan[0]["chunk_output_dir"] == "artifacts/chunks/a"
    assert (pond / "artifacts" / "aggregate" / "a_report.html").exists()
    assert (pond / "artifacts" / "corpus" / "report.html").exists()
    assert rows_of(tmp_path / "sum" / "recording_summary.csv")
    written = (tmp_path / "plans" / "pipeline_chunks.json").stat().st_mtime_ns
    again = json.loads(run_typed(app, *words).stdout)
    assert again["nothing_to_do"], "it is the same to run it twice"
    assert (tmp_path / "plans" / "pipeline_chunks.json").stat().st_mtime_ns == written
    assert "Nothing to do" in run_typed(app, "run", pond).stdout, "badc run knows of it"
    planned = ("infer", "orchestrate", pond, "--chunk-plan", "plans/pipeline_chunks.json", "--json")
    assert [one["recording_id"] for one in json.loads(run_typed(app, *planned).stdout)] == [
        "a",
        "b",
    ]


def test_a_corpus_that_cannot_be_read_is_named_where_a_run_could_not_make_it_again(app, pond):
    unknown = "[detector]\nname = 'band_energy'\ninclude = ['Dodo']\n"
    (pond / "badc.toml").write_text(unknown, encoding="utf-8")
    corpus = pond / "artifacts" / "corpus" / "corpus.duckdb"
    corpus.parent.mkdir(parents=True)
    corpus.write_text("no database")
    corpus.parent.joinpath("report.html").write_text("")
    with pytest.raises(DatasetInvalid, match=r"corpus.duckdb: the database cannot be read \("):
        run_typed(app, "pipeline", "run", pond, "--bundle-rollup-export-dir", "sum")


def test_the_stub_runner_marks_what_it_made_and_is_warned_of(app, pond):
    cut = ("--chunk-duration", 5, "--chunk-overlap", 1, "--bundle-bucket-minutes", 30)
    rollup = ("--bundle-rollup-limit", 5)
    done = run_typed(app, "pipeline", "run", pond, "--stub-runner", *cut, *rollup)
    assert "no model runs: the stub runner finds nothing" in done.stderr
    assert "no model ran on 2 recordings" in done.stderr
    assert "No model ran." in (pond / "artifacts/aggregate/a_report.html").read_text()
    (pond / "badc.toml").write_text('[detector]\nname = "stub"\n', encoding="utf-8")
    assert "no model runs" in run_typed(app, "status", pond).stderr
    (pond / "badc.toml").write_text(
        f"{QUICK}[chunks]\nduration_s = 5\noverlap_s = 1\n", encoding="utf-8"
    )
    rows = json.loads(run_typed(app, "status", pond, "--json").stdout)["rows"]
    assert {one["stage"]: one["due"] for one in rows}["raw_detections"] == 2


def test_the_first_failure_ends_a_run_that_is_to_fail_fast(app, pond):
    (pond / "audio" / "a.wav").write_bytes(b"RIFF")
    words = ("pipeline", "run", pond, "--set", "inference.fail_fast=true")
    done = run_typed(app, *words, code=1)
    assert "stopped at the first failure, as inference.fail_fast says" in done.stderr
    assert not (pond / "artifacts" / "raw_detections" / "b.parquet").exists()


@pytest.mark.parametrize(
    "option", ["--no-bundle", "--no-resume-completed", "--chunk-workers", "--bundle-aggregate-dir"]
)
def test_options_without_a_meaning_get_a_line(app, pond, option):
    done = run_typed(app, "pipeline", "run", pond, option, "x", code=2)
    assert len(done.stderr.splitlines()) == 1
    assert f"badc pipeline run has no {option}: " in done.stderr


def test_a_plan_in_a_datalad_dataset_is_committed(app, home, tmp_path, monkeypatch):
    run_in(tmp_path, "datalad", "create", "pond")
    monkeypatch.chdir(tmp_path / "pond")
    (tmp_path / "pond" / "audio").mkdir()
    (tmp_path / "pond" / "audio" / "empty.wav").touch()
    run_typed(app, "pipeline", "run", ".", code=1)
    assert run_in(tmp_path / "pond", "git", "log", "--format=%s", "plans") == "Plan chunks\n"
