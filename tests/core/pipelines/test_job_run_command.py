"""`badc job run`: what it prints, its exit codes, and going on with a job."""

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest
from support.commands import BADC, run_badc
from support.pipeline_lab import stage
from support.waiting import wait_until

from badc_core.jobs import load_manifest

TWO = stage("hear", 'cp "$1" heard', 'inputs = ["{input}"]\noutputs = ["heard"]') + stage(
    "count", "test -e ../go && wc -w < heard > n", 'inputs = ["heard"]\noutputs = ["n"]'
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch) -> Path:
    """Returns a folder with a pipeline and a file; jobs are in it too."""
    monkeypatch.setenv("BADC_JOBS", str(tmp_path / "jobs"))
    (tmp_path / "jobs").mkdir()
    (tmp_path / "words.toml").write_text(TWO, encoding="utf-8")
    (tmp_path / "dawn.txt").write_text("chip chip\n", encoding="utf-8")
    return tmp_path


def _folder(text: str) -> Path:
    return Path(re.search(r"^Job \S+: 2 stages, in (.+)$", text, re.MULTILINE)[1])


def test_a_failed_pipeline_exits_with_1_and_goes_on_by_the_command_it_prints(place) -> None:
    (place / "jobs" / "config").mkdir()
    (place / "jobs" / "config" / ".env").write_text("LOG_LEVEL=warning\n")
    failed = run_badc("job", "run", "words.toml", "dawn.txt", "--user", "ana", folder=place, code=1)
    folder = _folder(failed.stdout)
    assert "stage 1/2 hear: done" in failed.stdout
    assert "stage 2/2 count: failed: exit code 1" in failed.stderr
    (log,) = place.glob("jobs/logs/*/*/*/ana/*/orchestrator_*.log")
    assert "WARNING stage 2/2 count: failed" in log.read_text()
    assert " INFO " not in log.read_text()
    (command,) = re.findall(r"To continue from there: badc (.+)$", failed.stderr.strip())
    assert folder.parent.name == "ana"
    config = place / "jobs" / "config" / f".env.job_{folder.name}"
    assert config.exists()
    (folder.parent / "go").touch()
    done = run_badc(*command.split(), folder=place)
    assert f"Resuming job {folder.name}: 1 stage kept so far" in done.stdout
    assert "stage 1/2 hear: kept" in done.stdout
    assert "stage 2/2 count: runs again, since it failed: exit code 1" in done.stdout
    assert done.stderr == ""
    assert (folder / "n").read_text().strip() == "2"
    assert not config.exists()
    assert load_manifest(folder)["pipeline"]["status"] == "completed"


def test_a_pipeline_that_comes_with_badc_goes_on_by_its_name(place) -> None:
    failed = run_badc("job", "run", "media", "dawn.txt", folder=place, code=1)
    assert "stage 1/10 demux: failed" in failed.stderr
    assert "neither sound nor video" in failed.stderr
    assert re.search(
        r"To continue from there: badc job run media --resume \S+$", failed.stderr.strip()
    )


def test_the_result_as_json_has_every_stage(place) -> None:
    (place / "words.toml").write_text(TWO.replace("test -e ../go && ", ""), encoding="utf-8")
    done = run_badc("job", "run", "words.toml", "dawn.txt", "--json", folder=place)
    told = json.loads(done.stdout)
    assert told["status"] == "completed"
    assert [one["status"] for one in told["stages"].values()] == ["success", "success"]
    assert Path(told["output_dir"], "n").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["words.toml"], 2, "INPUT: is missing"),
        (["words.toml", "dusk.txt"], 2, "INPUT: there is no dusk.txt"),
        (["word.toml", "dawn.txt"], 1, "there is no such pipeline"),
        (["words.toml", "--resume", "20200101-001"], 1, "20200101-001: there is no such job"),
        (["words.toml", "--resume", "20200101-001", "--user", "x"], 2, "--user: is known"),
        (["words.toml", "dawn.txt", "--user", "../x"], 1, "cannot name files"),
    ],
)
def test_what_cannot_be_run_creates_no_job(place, words, code, message) -> None:
    done = run_badc("job", "run", *words, folder=place, code=code)
    assert message in done.stderr
    assert list(place.glob("jobs/out/*/*/*/*/*/job_info.json")) == []


def test_a_job_goes_on_with_what_it_is_about(place) -> None:
    failed = run_badc("job", "run", "words.toml", "dawn.txt", folder=place, code=1)
    job_id = _folder(failed.stdout).name
    (place / "dusk.txt").touch()
    words = ("job", "run", "words.toml", "dusk.txt", "--resume", job_id)
    assert f"about {place / 'dawn.txt'}" in run_badc(*words, folder=place, code=2).stderr


@pytest.mark.parametrize(
    ("name", "text", "code", "message"),
    [
        ("runs.json", "{}", 2, "is a job of a dataset: badc job resume"),
        ("archive.json", '{"removed_at": "2026-01-01"}', 1, "its files are in its archive"),
    ],
)
def test_stages_write_into_no_job_of_another_kind(place, name, text, code, message) -> None:
    folder = _folder(run_badc("job", "run", "words.toml", "dawn.txt", folder=place, code=1).stdout)
    (folder / name).write_text(text, encoding="utf-8")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    words = ("job", "run", "words.toml", "--resume", folder.name)
    assert message in run_badc(*words, folder=place, code=code).stderr
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_an_archived_job_goes_on_once_it_is_unpacked_as_the_message_says(place) -> None:
    (place / "words.toml").write_text(TWO + stage("opt", "exit 3", "optional = true"))
    jobs = place / "jobs"
    (jobs / "config").mkdir(parents=True)
    secrets = "HF_TOKEN=hf_3f9ab77c21d0_first\nTMDB_API_KEY=0123456789\n"
    (jobs / "config" / ".env").write_text(f"{secrets}A=1\n")
    failed = run_badc("job", "run", "words.toml", "dawn.txt", folder=place, code=1)
    folder = Path(re.search(r"^Job \S+: 3 stages, in (.+)$", failed.stdout, re.MULTILINE)[1])
    config = jobs / "config" / f".env.job_{folder.name}"
    assert "first" in config.read_text()
    run_badc("job", "archive", folder.name, "--delete", folder=place)
    assert not config.exists()
    refused = run_badc("job", "run", "words.toml", "--resume", folder.name, folder=place, code=1)
    (command,) = re.findall(r"Put them back first: (.+)$", refused.stderr.strip())
    subprocess.run(["sh", "-c", command], check=True, cwd="/")
    sums = folder.with_name(f"{folder.name}.files.sha256").relative_to(jobs)
    subprocess.run(["sha256sum", "--quiet", "--strict", "-c", sums], cwd=jobs, check=True)
    listed = json.loads(run_badc("job", "list", "--json", folder=place).stdout)
    assert [one["state"] for one in listed] == ["failed"]
    (folder.parent / "go").touch()
    (jobs / "config" / ".env").write_text("HF_TOKEN=hf_3f9ab77c21d0_second\nA=2\n")
    text = (place / "words.toml").read_text().replace("wc -w < heard", "cat $CONFIG_PATH")
    (place / "words.toml").write_text(text)
    done = run_badc("job", "run", "words.toml", "--resume", folder.name, folder=place)
    assert "stage 1/3 hear: kept" in done.stdout
    assert "secrets are those in" in done.stderr
    assert done.stderr.count("left out: TMDB_API_KEY") == 1
    # Secrets of now, and the other settings of then; both are gone once all is done.
    assert "HF_TOKEN=hf_3f9ab77c21d0_second\nA=1\n" in (folder / "n").read_text()
    assert "skipped: exit code 3" in done.stderr
    assert not config.exists()
    assert "second" not in (folder / "job.env").read_text()


def test_an_interrupted_command_has_saved_the_manifest(place) -> None:
    text = TWO.replace("test -e ../go", "touch began; sleep 60 & sleep 60")
    (place / "words.toml").write_text(text, encoding="utf-8")
    words = [BADC, "job", "run", "words.toml", "dawn.txt"]
    running = subprocess.Popen(
        words, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    began = wait_until(lambda: list(place.glob("jobs/out/*/*/*/*/*/began")), 60)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    again = f"badc job run {place / 'words.toml'} --resume {began[0].parent.name}"
    assert errors == f"Interrupted. What was finished is kept; to go on: {again}.\n"
    pipeline = load_manifest(began[0].parent)["pipeline"]
    assert (pipeline["status"], pipeline["failed_stages"]) == ("failed", ["count"])
