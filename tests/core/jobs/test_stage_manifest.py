"""What a stage records of itself, and what becomes of it when stages fail, repeat or are killed."""

import json
import logging
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from support.forked import run_forked

from badc_core.errors import ConfigInvalid
from badc_core.hashing import sha256_bytes
from badc_core.jobs import (
    JobManager,
    PipelineManifest,
    StageManifest,
    find_stages_to_repeat,
    is_stage_completed,
    load_manifest,
)

PLANTED = "hf_3f9ab77c21d0"


def _run(folder: Path, stage: str, *outputs: str, **options) -> None:
    with StageManifest(stage, folder, **options) as manifest:
        for name in outputs:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"of {stage}")
            manifest.add_output(name.replace("/", "_"), path)


def _fail(folder: Path, stage: str, error: BaseException | None = None, **options) -> None:
    error = error or ValueError("no speech")
    with pytest.raises(type(error)), StageManifest(stage, folder, **options):
        raise error


def _stage(folder: Path, stage: str) -> dict:
    return load_manifest(folder)["stages"][stage]


def _lists(folder: Path) -> tuple[list[str], list[str], list[str]]:
    pipeline = load_manifest(folder)["pipeline"]
    return tuple(pipeline[f"{one}_stages"] for one in ("completed", "failed", "skipped"))


def test_a_stage_runs_from_the_start_of_its_block_and_succeeds_at_its_end(movie_dir) -> None:
    with StageManifest("asr", movie_dir, job_id="20251030-001", user_id=2):
        manifest = load_manifest(movie_dir)
        assert manifest["stages"]["asr"]["status"] == "running"
        assert manifest["pipeline"]["current_stage"] == "asr"
        assert not is_stage_completed(movie_dir, "asr")
    assert is_stage_completed(movie_dir, "asr")
    manifest = load_manifest(movie_dir)
    assert manifest["pipeline"]["current_stage"] is None
    assert (manifest["job_id"], manifest["user_id"]) == ("20251030-001", 2)
    assert json.loads((movie_dir / "manifest.json").read_text()) == manifest


def test_outputs_have_size_and_checksum_and_inputs_size_and_time(movie_dir) -> None:
    audio = movie_dir / "audio" / "audio.wav"
    audio.write_bytes(b"sound")
    with StageManifest("asr", movie_dir) as manifest:
        manifest.add_input("audio", audio, "16kHz mono audio")
        manifest.add_output("copy", audio, "the same", sha256="f00d")
        manifest.add_output("again", audio)
        manifest.add_output("folder", audio.parent)
        manifest.add_output("nothing", movie_dir / "no.txt")
    stage = _stage(movie_dir, "asr")
    [read] = stage["input_files"]
    changed_at = datetime.fromtimestamp(audio.stat().st_mtime, UTC)
    assert datetime.fromisoformat(read.pop("modified_at")) == changed_at
    assert read == {
        "key": "audio",
        "path": str(audio),
        "exists": True,
        "size_bytes": 5,
        "sha256": None,
        "description": "16kHz mono audio",
    }
    written = stage["outputs"]
    assert written["copy"]["sha256"] == "f00d"
    assert written["again"] == {
        "path": str(audio),
        "exists": True,
        "size_bytes": 5,
        "sha256": sha256_bytes(b"sound"),
        "description": "",
    }
    assert (written["folder"]["exists"], written["folder"]["sha256"]) == (True, None)
    assert (written["nothing"]["exists"], written["nothing"]["size_bytes"]) == (False, 0)
    assert stage["warnings"] == ["the output nothing does not exist"]


def test_an_output_that_is_still_written_to_is_recorded_as_it_is_at_the_end(movie_dir) -> None:
    path = movie_dir / "a.txt"
    with StageManifest("asr", movie_dir) as manifest:
        manifest.add_output("a", path)
        path.write_text("whole")
    assert _stage(movie_dir, "asr")["outputs"]["a"]["sha256"] == sha256_bytes(b"whole")
    assert _stage(movie_dir, "asr")["warnings"] == []


def test_hundreds_of_outputs_are_rows_of_a_table(movie_dir) -> None:
    paths = [movie_dir / "audio" / f"{number}, =x.wav" for number in range(300)]
    for one in paths:
        one.write_bytes(one.name.encode())
    odd = movie_dir / os.fsdecode(b"\xff .wav ")
    odd.write_bytes(b"odd")
    with StageManifest("detect", movie_dir) as manifest:
        manifest.add_output_table("recordings", [*paths, odd], sha256={odd: sha256_bytes(b"odd")})
    output = _stage(movie_dir, "detect")["outputs"]["recordings"]
    assert output["n_files"] == 301
    assert output["total_bytes"] == sum(one.stat().st_size for one in [*paths, odd])
    assert output["path"] == str(movie_dir / "stages" / "detect.recordings.csv")
    assert (movie_dir / "manifest.json").stat().st_size < 5000
    assert find_stages_to_repeat(movie_dir) == {}
    odd.write_bytes(b"ODD")
    assert list(find_stages_to_repeat(movie_dir)) == ["detect"]
    assert find_stages_to_repeat(movie_dir, in_full=False) == {}
    Path(output["path"]).write_text("rubbish")
    assert "detect" in find_stages_to_repeat(movie_dir)


def test_a_failure_is_recorded_and_raised(movie_dir) -> None:
    _fail(movie_dir, "asr")
    stage = _stage(movie_dir, "asr")
    assert (stage["status"], stage["error"]) == ("failed", "ValueError: no speech")
    assert load_manifest(movie_dir)["pipeline"]["status"] == "failed"


def test_a_success_clears_an_earlier_failure(movie_dir) -> None:
    orchestrator = PipelineManifest(movie_dir / "manifest.json")
    _fail(movie_dir, "asr")
    orchestrator.finalize("failed")
    assert _lists(movie_dir) == ([], ["asr"], [])
    _run(movie_dir, "asr")
    assert _lists(movie_dir) == (["asr"], [], [])
    assert "error" not in _stage(movie_dir, "asr")
    assert _stage(movie_dir, "asr")["attempt"] == 2
    assert load_manifest(movie_dir)["pipeline"]["status"] == "running"
    orchestrator.finalize()
    assert load_manifest(movie_dir)["pipeline"]["status"] == "completed"


def test_an_optional_stage_that_fails_is_skipped_with_its_error(movie_dir) -> None:
    _fail(movie_dir, "tmdb", optional=True)
    stage = _stage(movie_dir, "tmdb")
    assert (stage["status"], stage["error"]) == ("skipped", "ValueError: no speech")
    assert _lists(movie_dir) == ([], [], ["tmdb"])
    PipelineManifest(movie_dir / "manifest.json").finalize()
    assert load_manifest(movie_dir)["pipeline"]["status"] == "completed"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SystemExit(0), "success"),
        (SystemExit(), "success"),
        (SystemExit(1), "failed"),
        (SystemExit("no input"), "failed"),
        (KeyboardInterrupt(), "failed"),
    ],
)
def test_how_a_block_ends_decides(movie_dir, error, status) -> None:
    _fail(movie_dir, "asr", error)
    assert _stage(movie_dir, "asr")["status"] == status


def test_an_error_set_by_hand_is_not_forgotten(movie_dir) -> None:
    with StageManifest("asr", movie_dir) as manifest:
        manifest.set_error("the model gave nothing")
    assert _stage(movie_dir, "asr")["error"] == "the model gave nothing"
    assert _lists(movie_dir) == ([], ["asr"], [])


def test_a_block_that_saved_itself_is_left_as_it_is(movie_dir) -> None:
    with StageManifest("asr", movie_dir) as manifest:
        manifest.save("skipped")
    assert _lists(movie_dir) == ([], [], ["asr"])


def test_a_stage_that_runs_again_no_longer_counts_as_completed(movie_dir) -> None:
    _run(movie_dir, "asr")
    StageManifest("asr", movie_dir)
    assert not is_stage_completed(movie_dir, "asr")
    assert find_stages_to_repeat(movie_dir) == {"asr": "it has not ended: it runs, or was killed"}


def test_metadata_may_be_anything(movie_dir) -> None:
    endless: dict = {}
    endless["self"] = endless
    given = {
        "finite": np.float32(0.5),
        "count": np.int64(3),
        "nan": float("nan"),
        "path": Path("a/b"),
        "many": {1, 2},
        "when": datetime(2025, 1, 1, tzinfo=UTC),
        "keys": {1: "x"},
        "name": os.fsdecode(b"\xff"),
        "bird": "Mésange",
        "array": np.zeros(2),
    }
    with StageManifest("asr", movie_dir) as manifest:
        for key, value in given.items():
            manifest.add_metadata(key, value)
        manifest.add_metadata("endless", endless)
    found = json.loads((movie_dir / "manifest.json").read_text())["stages"]["asr"]["metadata"]
    assert len(found.pop("endless")) == 1
    assert found == {
        "finite": 0.5,
        "count": 3,
        "nan": None,
        "path": "a/b",
        "many": [1, 2],
        "when": "2025-01-01T00:00:00+00:00",
        "keys": {"1": "x"},
        "name": os.fsdecode(b"\xff"),
        "bird": "Mésange",
        "array": "[0. 0.]",
    }


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".x"])
def test_a_stage_cannot_lead_elsewhere(movie_dir, name) -> None:
    with pytest.raises(ConfigInvalid, match="stage"):
        StageManifest(name, movie_dir)


def test_an_unknown_status_is_refused(movie_dir) -> None:
    with pytest.raises(ConfigInvalid, match="completed: not a status"):
        StageManifest("asr", movie_dir).save("completed")
    with pytest.raises(ConfigInvalid, match="success: not a status"):
        PipelineManifest(movie_dir / "manifest.json").finalize("success")
    with pytest.raises(ConfigInvalid, match="one name"):
        PipelineManifest(movie_dir / "other.json")


def test_what_stages_record_survives_the_orchestrator(movie_dir) -> None:
    orchestrator = PipelineManifest(movie_dir / "manifest.json")
    orchestrator.set_input("in/movie.mp4", "Inception", 2010)
    orchestrator.set_pipeline_step("demux", True)
    assert load_manifest(movie_dir)["pipeline"]["current_stage"] == "demux"
    _run(movie_dir, "demux", "audio.wav")
    orchestrator.set_pipeline_step("demux", True, completed=True, next_stage="tmdb")
    manifest = load_manifest(movie_dir)
    assert list(manifest["stages"]["demux"]["outputs"]) == ["audio.wav"]
    assert manifest["stages"]["demux"]["duration_seconds"] > 0
    assert manifest["pipeline"]["completed_stages"] == ["demux"]
    assert manifest["pipeline"]["next_stage"] == "tmdb"
    assert manifest["input"] == {"file": "in/movie.mp4", "title": "Inception", "year": 2010}


def test_the_orchestrator_has_the_last_word_on_a_stage_until_it_runs_again(movie_dir) -> None:
    orchestrator = PipelineManifest(movie_dir / "manifest.json")
    StageManifest("asr", movie_dir)  # and killed
    orchestrator.set_pipeline_step("asr", completed=True, status="failed", error="killed")
    assert _stage(movie_dir, "asr")["error"] == "killed"
    assert orchestrator.get_stage_status("asr") == "failed"
    _fail(movie_dir, "mux")
    orchestrator.set_pipeline_step("mux", completed=True, status="skipped")
    assert _lists(movie_dir) == ([], ["asr"], ["mux"])
    _run(movie_dir, "asr")
    assert _lists(movie_dir) == (["asr"], [], ["mux"])


def test_what_is_completed_is_not_undone_by_skipping_it(movie_dir) -> None:
    orchestrator = PipelineManifest(movie_dir / "manifest.json")
    _run(movie_dir, "asr")
    orchestrator.set_pipeline_step("mux", completed=True)
    for name in ("asr", "mux"):
        orchestrator.set_pipeline_step(name, enabled=False)
        orchestrator.set_pipeline_step(name, completed=True, status="skipped", why="done before")
    assert _lists(movie_dir) == (["asr", "mux"], [], [])


def test_the_clock_of_another_machine_decides_nothing(movie_dir) -> None:
    orchestrator = PipelineManifest(movie_dir / "manifest.json")
    _fail(movie_dir, "asr")
    path = movie_dir / "stages" / "asr.json"
    ahead = {**json.loads(path.read_text()), "updated_at": "2999-01-01T00:00:00+00:00"}
    path.write_text(json.dumps(ahead))
    orchestrator.set_pipeline_step("asr", completed=True, status="skipped")
    assert _lists(movie_dir) == ([], [], ["asr"])


def test_a_stage_that_is_started_again_is_the_current_one(movie_dir) -> None:
    orchestrator = PipelineManifest(movie_dir / "manifest.json")
    _fail(movie_dir, "asr")
    orchestrator.set_pipeline_step("asr")
    pipeline = load_manifest(movie_dir)["pipeline"]
    assert (pipeline["status"], pipeline["current_stage"]) == ("running", "asr")
    _fail(movie_dir, "asr")
    pipeline = load_manifest(movie_dir)["pipeline"]
    assert (pipeline["status"], pipeline["current_stage"]) == ("failed", None)


def test_stages_that_record_nothing_count_by_the_word_of_the_orchestrator(movie_dir) -> None:
    orchestrator = PipelineManifest(movie_dir / "manifest.json")
    assert orchestrator.get_stage_status("demux") is None
    orchestrator.set_pipeline_step("demux", True, completed=True, status="success")
    orchestrator.set_pipeline_step("tmdb", enabled=False)
    assert orchestrator.is_stage_completed("demux")
    assert is_stage_completed(movie_dir, "demux")
    assert orchestrator.get_stage_status("tmdb") == "skipped"
    assert find_stages_to_repeat(movie_dir) == {"tmdb": "it was skipped"}


def test_a_pipeline_that_says_it_is_completed_has_no_failed_stage(movie_dir) -> None:
    orchestrator = PipelineManifest(movie_dir / "manifest.json")
    orchestrator.finalize("failed")
    assert orchestrator.to_dict()["pipeline"]["status"] == "failed"
    _fail(movie_dir, "asr")
    orchestrator.finalize("completed")
    assert orchestrator.to_dict()["pipeline"]["status"] == "failed"
    timing = orchestrator.to_dict()["timing"]
    began, ended = (datetime.fromisoformat(timing[f"{one}_at"]) for one in ("started", "completed"))
    assert timing["total_seconds"] == (ended - began).total_seconds()


def test_stages_are_numbered_by_when_they_first_began(movie_dir) -> None:
    for name in ("zulu", "alpha", "mike"):
        _run(movie_dir, name)
    _run(movie_dir, "zulu")
    _run(movie_dir, "last", number=40)
    numbers = {
        name: one["stage_number"] for name, one in load_manifest(movie_dir)["stages"].items()
    }
    assert numbers == {"zulu": 1, "alpha": 2, "mike": 3, "last": 40}


def test_a_job_and_its_manifest_know_each_other_after_cleaning_up(tmp_path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / ".env").write_text("A=1\n")
    manager = JobManager(tmp_path / "config", tmp_path / "out", tmp_path / "logs")
    job = manager.create_job("ana")
    _run(manager.get_job_output_dir(), "asr")
    manager.cleanup_job_env()
    manifest = load_manifest(manager.get_job_output_dir())
    assert (manifest["job_id"], manifest["user_id"]) == (job["job_id"], "ana")
    assert manifest["output_dir"] == job["output_dir"]
    assert manifest["job_env_file"] == job["env_file"]
    record = manifest["stages"]["asr"]
    assert (record["job_id"], record["user_id"]) == (job["job_id"], "ana")
    assert record["job_env_file"] == job["env_file"]
    assert Path(manifest["job_env_backup"]).is_file()


def test_planted_secrets_are_found_nowhere(tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setenv("TMDB_API_KEY", "tmdb-9f3a-44")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / ".env").write_text(f"HF_TOKEN={PLANTED}\n")
    manager = JobManager(tmp_path / "config", tmp_path / "out", tmp_path / "logs")
    manager.create_job()
    folder = manager.get_job_output_dir()
    (folder / PLANTED).mkdir()
    said = f"401 for {PLANTED} and tmdb-9f3a-44 at https://me:pw-in-url@host/"
    manifest = StageManifest("asr", folder, logging.getLogger("stage"))
    manifest.add_input(said, folder / PLANTED, said)
    manifest.add_output(said, folder / PLANTED, said)
    manifest.add_output_table("t", [folder / PLANTED], said)
    manifest.add_metadata(said, [{"x": said, "password": "pw-of-metadata"}])
    manifest.add_warning(said)
    with caplog.at_level(logging.INFO), pytest.raises(ValueError, match="401"), manifest:
        raise ValueError(said)
    orchestrator = PipelineManifest(folder / "manifest.json")
    orchestrator.set_input(said, said, 2010)
    orchestrator.set_output_dir(folder / PLANTED)
    orchestrator.set_pipeline_step("asr", completed=True, status="failed", error=said)
    manager.cleanup_job_env()
    places = [*(tmp_path / "out").rglob("*"), *(tmp_path / "logs").rglob("*")]
    texts = [one.read_text() for one in places if one.is_file()]
    texts += [record.getMessage() for record in caplog.records]
    assert sum("401 for *** and ***" in text for text in texts) >= 4
    secrets = (PLANTED, "tmdb-9f3a-44", "pw-in-url", "pw-of-metadata")
    assert [one for one in secrets for text in texts if one in text] == []


def test_why_stages_must_run_again(movie_dir) -> None:
    _run(movie_dir, "demux", "audio.wav")
    with StageManifest("asr", movie_dir) as manifest:
        manifest.add_input("audio", movie_dir / "audio.wav")
        (movie_dir / "text.json").write_text("{}")
        manifest.add_output("text", movie_dir / "text.json")
    with StageManifest("mux", movie_dir) as manifest:
        manifest.add_input("text", movie_dir / "text.json")
    _run(movie_dir, "other", "other.txt")
    assert find_stages_to_repeat(movie_dir) == {}
    (movie_dir / "audio.wav").write_text("OF demux")
    found = find_stages_to_repeat(movie_dir)
    assert list(found) == ["demux", "asr", "mux"]
    assert found["demux"].endswith("audio.wav has another content")
    assert found["asr"].endswith("audio.wav, which demux writes again")
    (movie_dir / "other.txt").unlink()
    assert find_stages_to_repeat(movie_dir)["other"].endswith("other.txt is gone")
    (movie_dir / "other.txt").write_text("longer than before")
    assert find_stages_to_repeat(movie_dir, in_full=False)["other"].endswith("another size")


def test_a_folder_may_be_moved(movie_dir) -> None:
    _run(movie_dir, "demux", "audio.wav")
    with StageManifest("list", movie_dir) as manifest:
        manifest.add_output_table("all", [movie_dir / "audio.wav"])
    moved = movie_dir.rename(movie_dir.with_name("archived"))
    assert find_stages_to_repeat(moved) == {}
    (moved / "audio.wav").unlink()
    assert list(find_stages_to_repeat(moved)) == ["demux", "list"]


def test_twenty_processes_write_one_manifest_while_it_is_read(movie_dir) -> None:
    def write(number: int) -> int:
        if number == 0:
            return _read_meanwhile(movie_dir)
        for _ in range(2):
            with StageManifest(f"stage{number}", movie_dir) as manifest:
                manifest.add_metadata("number", number)
        orchestrator = PipelineManifest(movie_dir / "manifest.json")
        orchestrator.set_pipeline_step(f"step{number}", completed=True)
        return 0

    n_reads, *_ = run_forked(write, 21)
    assert n_reads > 20
    manifest = json.loads((movie_dir / "manifest.json").read_text())
    assert {name: one["metadata"] for name, one in manifest["stages"].items()} == {
        f"stage{number}": {"number": number} for number in range(1, 21)
    }
    completed = {f"{one}{number}" for one in ("stage", "step") for number in range(1, 21)}
    assert {*manifest["pipeline"]["completed_stages"]} == completed
    assert {one["attempt"] for one in manifest["stages"].values()} == {2}
    assert manifest == load_manifest(movie_dir)


def _read_meanwhile(folder: Path) -> int:
    """Reads a manifest until all of 20 processes are done; returns how often."""
    n_reads = 0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        path = folder / "manifest.json"
        text = path.read_text() if path.exists() else "{}"
        n_done = len(json.loads(text).get("pipeline", {}).get("completed_stages", []))
        load_manifest(folder)
        n_reads += 1
        time.sleep(0.002)
        if n_done >= 40:
            break
    return n_reads


STAGE_SCRIPT = """
import argparse, os, sys, time
from pathlib import Path
from badc_core.jobs import StageManifest, exit_codes

@exit_codes()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fail", action="store_true")
    given = parser.parse_args()
    with StageManifest("asr", given.folder) as manifest:
        if given.fail:
            raise ValueError("token " + os.environ["HF_TOKEN"])
        print("running", flush=True)
        time.sleep(60 if os.environ.get("SLOW") else 0)

main()
"""


def _script(*words: str | Path) -> list[str]:
    return [sys.executable, "-c", STAGE_SCRIPT, *map(str, words)]


@pytest.mark.parametrize(("words", "code"), [((), 0), (("--fail",), 1), (("--no",), 2)])
def test_a_script_ends_with_the_documented_code(movie_dir, words, code, monkeypatch) -> None:
    monkeypatch.setenv("HF_TOKEN", PLANTED)
    done = subprocess.run(_script(movie_dir, *words), capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert PLANTED not in done.stderr
    manifest = load_manifest(movie_dir)
    found = manifest and manifest["stages"]["asr"]["status"]
    assert found == {0: "success", 1: "failed", 2: None}[code]


@pytest.mark.parametrize(("signal_name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_an_interrupted_script_saves_its_manifest_first(movie_dir, signal_name, code) -> None:
    environment = {**os.environ, "SLOW": "1"}
    with subprocess.Popen(_script(movie_dir), stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout.readline() == b"running\n"
        subprocess.run(
            ["kill", f"-{signal_name.removeprefix('SIG')}", str(process.pid)], check=True
        )
        assert process.wait(30) == code
    stage = _stage(movie_dir, "asr")
    assert stage["status"] == "failed"
    assert stage["error"].startswith("KeyboardInterrupt")
    assert ("SIGTERM" in stage["error"]) == (signal_name == "SIGTERM")
