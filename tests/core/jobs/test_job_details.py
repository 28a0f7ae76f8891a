"""`badc job show` and `badc job config`: all that is known of a job, and no secret."""

import json
import os
import time
from pathlib import Path

import pytest
from support.commands import run_badc
from support.forbidden import forbidden

from badc_core.accounts import user_name
from badc_core.jobs import PipelineManifest, StageManifest
from badc_core.jobs.places import JobPlaces, job_places

PLANTED = "hf_3f9ab77c21d0"


@pytest.fixture
def places(tmp_path: Path, monkeypatch) -> JobPlaces:
    monkeypatch.setenv("BADC_JOBS", str(tmp_path / "jobs"))
    job_places().manager()
    (job_places().config_dir / ".env").write_text(f"MODEL=large\nHF_TOKEN={PLANTED}\n")
    return job_places()


def test_a_job_is_shown_with_stages_outputs_warnings_and_runs(places, tmp_path) -> None:
    job = places.manager().create_job("ana")
    folder = Path(job["output_dir"])
    PipelineManifest(folder / "manifest.json").set_input("in/dawn.wav", "Dawn \x1b[1mchorus", 2025)
    with StageManifest("asr", folder) as stage:
        for name in ("words.txt", "gone.txt", "longer.txt", "newer.txt"):
            (folder / name).write_text("chip")
            stage.add_output(name, folder / name)
        stage.add_warning("little was heard")
    (folder / "gone.txt").unlink()
    (folder / "longer.txt").write_text("chip chip")
    os.utime(folder / "newer.txt", (time.time() + 60,) * 2)
    about = {"completed": True, "status": "success", "pipeline": "notes.toml"}
    PipelineManifest(folder / "manifest.json").set_pipeline_step("asr", **about)
    with pytest.raises(ValueError, match="no key"), StageManifest("mux", folder):
        raise ValueError(f"no key {PLANTED}")
    PipelineManifest(folder / "manifest.json").finalize()
    runs = {"started_by": "badc run", "command": "badc run x", "ended": {"status": "failed"}}
    began = [
        {"account": one, "host": "marsh", "started_at": "2026-01-02"} for one in ("ana", "ben")
    ]
    (folder / "runs.json").write_text(json.dumps({**runs, "errors": ["lost"], "attempts": began}))
    (folder / "runs.csv").write_text("run_id,url_path,attempt\nabc,/runs/abc,1\ntorn")
    done = run_badc("job", "show", job["job_id"], folder=tmp_path)
    for text in (
        *("failed", "ana", "Dawn ?[1mchorus, 2025, in/dawn.wav", "ValueError: no key ***"),
        *("longer.txt (changed since)", "newer.txt (written again since)"),
        *("resumed by ben on marsh, 2026-01-02", "pipeline notes.toml\n"),
        *("gone.txt (gone)", "badc run x", "error: lost", job["log_dir"], "4 B"),
        "In the web interface: http://127.0.0.1:3000/runs/abc",
    ):
        assert text in done.stdout
    assert "Warning: asr: little was heard" in done.stderr
    given = json.loads(run_badc("job", "show", job["job_id"], "--json", folder=tmp_path).stdout)
    assert given["state"] == "failed"
    assert [(one["name"], one["status"]) for one in given["stages"]] == [
        ("asr", "success"), ("mux", "failed"),
    ]  # fmt: skip
    assert [one["exists"] for one in given["outputs"]] == [True, False, True, True]
    assert [one["since"] for one in given["outputs"]] == ["", "", "changed", "written again"]
    assert given["stages"][0]["ran_by"]["account"] == user_name()
    assert given["attempts"][1]["account"] == "ben"
    url = "http://127.0.0.1:3000/runs/abc"
    assert given["runs"] == [{"run_id": "abc", "url_path": "/runs/abc", "attempt": "1", "url": url}]


def test_settings_are_shown_without_secrets(places, tmp_path) -> None:
    job = places.manager().create_job("ana")
    folder = Path(job["output_dir"])
    (folder / "settings.toml").write_text("[detector]\nname = 'birdnet'\n")
    # Of an earlier tool, which masked nothing.
    (folder / "job.env").write_text(f"MODEL=large\nHF_TOKEN={PLANTED}\n")
    done = run_badc("job", "config", job["job_id"], folder=tmp_path)
    assert done.stdout == "MODEL=large\nHF_TOKEN=***\n[detector]\nname = 'birdnet'\n"
    given = json.loads(run_badc("job", "config", job["job_id"], "--json", folder=tmp_path).stdout)
    assert list(given["files"]) == ["job.env", "settings.toml"]
    assert PLANTED not in json.dumps(given)


def test_settings_that_only_their_owner_may_read_are_named_and_others_are_shown(
    places, tmp_path
) -> None:
    job = places.manager().create_job("ana")
    folder = Path(job["output_dir"])
    (folder / "settings.toml").write_text("[detector]\n")
    with forbidden(folder / "job.env"):
        done = run_badc("job", "config", job["job_id"], folder=tmp_path, code=1)
    assert done.stdout == "[detector]\n"
    assert f"may read {folder}/job.env: ask them" in done.stderr


def test_jobs_of_others_and_unknown_ones_are_one_clear_error(places, tmp_path) -> None:
    job = places.manager().create_job("bob")
    for command in ("show", "config", "logs", "archive"):
        with forbidden(Path(job["output_dir"])):
            done = run_badc("job", command, job["job_id"], folder=tmp_path, code=1)
        assert "The job is bob's: ask them" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        done = run_badc("job", command, job["job_id"][:-1], folder=tmp_path, code=1)
        assert f"Did you mean {job['job_id']}?" in done.stderr


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"stages": 3}', "\0", '{"timing": {}}'])
def test_damaged_files_of_a_job_stop_nothing(places, tmp_path, content) -> None:
    folder = Path(places.manager().create_job("ana")["output_dir"])
    for name in ("manifest.json", "runs.json", "archive.json", "job_info.json", "runs.csv"):
        (folder / name).write_text(content)
    for command in ("show", "config", "logs"):
        run_badc("job", command, folder.name, folder=tmp_path)
    assert folder.name in run_badc("job", "list", folder=tmp_path).stdout
