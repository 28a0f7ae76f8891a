"""What the two documents of the original say of jobs and manifests, sample by sample."""

import json
import logging
import re
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from support.documented_manifest import (
    FILE_FIELDS,
    MANIFEST_FIELDS,
    STAGE_FIELDS,
    STAGES,
    assert_fields,
)

from badc_core.jobs import (
    JobManager,
    PipelineManifest,
    StageManifest,
    exit_codes,
    is_stage_completed,
    load_manifest,
)

PAGE = Path(__file__).resolve().parents[3] / "docs" / "jobs.md"
OURS = {
    "manifest": {"schema": int, "job_env_backup": str},
    "stage": {"schema": int, "attempt": int, "warnings": list},
    "output": {"sha256": str},
    "pipeline": {"skipped_stages": list},
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch) -> Path:
    """Returns an installation with a configuration; it is the current folder."""
    (tmp_path / "config").mkdir()
    lines = ["JOB_ID=", "USER_ID=1", "LOG_LEVEL=info", "WHISPER_MODEL=large-v3", "SRC_LANG=hi"]
    (tmp_path / "config" / ".env").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def logger() -> logging.Logger:
    return logging.getLogger("stage")


def _create_job() -> JobManager:
    manager = JobManager(config_dir=Path("config"), output_root=Path("out"), log_root=Path("logs"))
    manager.create_job(user_id=1)
    return manager


def _run_stage(folder: Path, stage: str, *job) -> None:
    """Records a stage as its sample does."""
    outputs, facts = STAGES[stage]
    with StageManifest(stage, folder, logging.getLogger(stage), *job) as manifest:
        manifest.add_input("video", Path("in/movie.mp4"), "Input video file")
        for name in outputs:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(stage)
            manifest.add_output(path.stem, path, f"of {stage}")
        for fact in facts:
            manifest.add_metadata(fact, 1)


def _run_three(folder: Path, *job) -> dict:
    orchestrator = PipelineManifest(folder / "manifest.json")
    orchestrator.set_input("in/movie.mp4", "Movie Name", 2023)
    orchestrator.set_output_dir(folder)
    for stage in list(STAGES)[:3]:
        orchestrator.set_pipeline_step(stage, True)
        _run_stage(folder, stage, *job)
    orchestrator.set_pipeline_step("silero_vad", True)
    return json.loads((folder / "manifest.json").read_text())


def test_the_example_after_three_stages_has_every_documented_field(root) -> None:
    manager = _create_job()
    folder = manager.get_job_output_dir()
    job = json.loads((folder / "job_info.json").read_text())
    found = _run_three(folder, job["job_id"], job["user_id"], manager.get_job_env_path())
    assert_fields(found, MANIFEST_FIELDS | OURS["manifest"])
    assert list(found["stages"]) == ["demux", "tmdb", "pre_ner"]
    for number, record in enumerate(found["stages"].values(), 1):
        assert_fields(record, STAGE_FIELDS | OURS["stage"])
        assert record["stage_number"] == number
        for one in record["input_files"]:
            assert_fields(one, {"key": str} | FILE_FIELDS)
        for one in record["outputs"].values():
            assert_fields(one, FILE_FIELDS | OURS["output"])
            assert Path(one["path"]).is_absolute()
        started, completed = (
            datetime.fromisoformat(record[f"{one}_at"]) for one in ("started", "completed")
        )
        assert started.utcoffset() is not None
        assert started <= completed
    assert_fields(found["pipeline"], OURS["pipeline"])
    assert (
        found["pipeline"].items()
        >= {
            "status": "running",
            "current_stage": "silero_vad",
            "completed_stages": ["demux", "tmdb", "pre_ner"],
            "failed_stages": [],
        }.items()
    )
    assert found["version"] == "1.0.0"
    assert found["input"] == {"file": "in/movie.mp4", "title": "Movie Name", "year": 2023}
    assert found["timing"].keys() == {"started_at", "completed_at", "total_seconds"}


def test_ten_stages_or_any_number_complete_a_pipeline(root) -> None:
    folder = _create_job().get_job_output_dir()
    orchestrator = PipelineManifest(folder / "manifest.json")
    for stage in STAGES:
        _run_stage(folder, stage)
    orchestrator.finalize(status="completed")
    found = load_manifest(folder)
    assert found["pipeline"]["completed_stages"] == list(STAGES)
    assert (found["pipeline"]["status"], found["pipeline"]["current_stage"]) == ("completed", None)
    assert found["timing"]["total_seconds"] >= 0
    assert {name: [*one["metadata"]] for name, one in found["stages"].items()} == {
        name: facts for name, (_, facts) in STAGES.items()
    }


@pytest.fixture
def jq(lacking) -> str:
    """Returns the program jq, which CI installs."""
    program = shutil.which("jq")
    if program is None:
        lacking("jq")
    return program


@pytest.mark.parametrize("place", ["a job", "a movie"])
def test_a_shell_sees_with_jq_what_is_completed(root, place, jq) -> None:
    folder = _create_job().get_job_output_dir() if place == "a job" else Path("out/Movie_Title")
    _run_stage(folder, "demux")
    manifest = folder / "manifest.json"

    def is_completed(stage: str) -> bool:
        question = f'.pipeline.completed_stages | contains(["{stage}"])'
        asked = subprocess.run([jq, "-e", question, manifest], capture_output=True, check=False)
        return asked.returncode == 0

    assert is_completed("demux")
    assert not is_completed("tmdb")
    for shown in (".stages.demux", ".stages.demux.outputs", ".pipeline.completed_stages"):
        asked = subprocess.run([jq, shown, manifest], capture_output=True, check=True)
        assert json.loads(asked.stdout)


def test_a_shell_sees_the_status_with_grep(root) -> None:
    folder = _create_job().get_job_output_dir()
    _run_stage(folder, "demux")
    asked = subprocess.run(
        ["grep", "-A", "5", '"pipeline"', folder / "manifest.json"], capture_output=True, check=True
    )
    assert b'"status": "running"' in asked.stdout
    assert b'"demux"' in asked.stdout


def test_a_stage_of_a_job_as_documented(root, logger) -> None:
    manager = _create_job()
    folder = manager.get_job_output_dir()
    job_id, env_file = folder.name, manager.get_job_env_path()
    with StageManifest("asr", folder, logger, job_id, 1, env_file) as manifest:
        manifest.add_input("audio", folder / "audio.wav", "16kHz mono audio")
        manifest.add_output("transcript", folder / "transcript.json", "WhisperX transcript")
        manifest.add_metadata("model", "large-v3")
    assert (
        load_manifest(folder)["stages"]["asr"].items()
        >= {
            "status": "success",
            "job_id": job_id,
            "job_env_file": str(env_file),
            "metadata": {"model": "large-v3"},
        }.items()
    )


def _work(path: Path, how: str) -> None:
    if how == "interrupted":
        raise KeyboardInterrupt
    if how == "failed":
        raise RuntimeError("no audio")
    path.write_text("{}")


def _save_by_hand(folder: Path, logger: logging.Logger, how: str) -> None:
    manifest = StageManifest("stage", folder, logger)
    path = Path("result.json")
    try:
        _work(path, how)
        manifest.add_output("file", path)
        manifest.save(status="success")
        sys.exit(0)
    except KeyboardInterrupt:
        manifest.save(status="failed")
        sys.exit(130)
    except RuntimeError as failure:
        manifest.set_error(str(failure))
        manifest.save(status="failed")
        sys.exit(1)


@pytest.mark.parametrize(
    ("how", "code", "error"),
    [("done", 0, None), ("failed", 1, "no audio"), ("interrupted", 130, "KeyboardInterrupt")],
)
def test_a_stage_that_saves_by_hand(root, logger, how, code, error) -> None:
    folder = Path("out/Movie")
    with pytest.raises(SystemExit) as ending:
        _save_by_hand(folder, logger, how)
    record = load_manifest(folder)["stages"]["stage"]
    assert ending.value.code == code
    assert (record["status"], record.get("error")) == ("failed" if code else "success", error)


def test_a_stage_with_return_codes(root, logger) -> None:
    manifest = StageManifest("stage", Path("out/Movie"), logger)
    manifest.set_error("Processing failed")
    manifest.save(status="failed")
    assert load_manifest(Path("out/Movie"))["stages"]["stage"]["error"] == "Processing failed"
    assert load_manifest(Path("out/Movie"))["pipeline"]["failed_stages"] == ["stage"]


@exit_codes()
def _save_in_a_block(folder: Path, logger: logging.Logger, how: str) -> None:
    with StageManifest("stage", folder, logger) as manifest:
        _work(Path("x"), how)
        manifest.add_output("result", Path("x"), "Stage output")
        manifest.add_metadata("records_processed", 1000)


@pytest.mark.parametrize(
    ("how", "code", "error"),
    [("failed", 1, "RuntimeError: no audio"), ("interrupted", 130, "KeyboardInterrupt")],
)
def test_a_stage_in_a_block_ends_its_process(root, logger, how, code, error) -> None:
    with pytest.raises(SystemExit) as ending:
        _save_in_a_block(Path("out/Movie"), logger, how)
    assert ending.value.code == code
    assert load_manifest(Path("out/Movie"))["stages"]["stage"]["error"] == error
    _save_in_a_block(Path("out/Movie"), logger, "done")
    assert is_stage_completed(Path("out/Movie"), "stage")


def test_a_completed_stage_is_not_run_again(root) -> None:
    folder = Path("out/Movie")
    assert not is_stage_completed(folder, "demux")
    assert load_manifest(folder) is None
    _run_stage(folder, "demux")
    assert is_stage_completed(folder, "demux")
    ran = []
    orchestrator = PipelineManifest(folder / "manifest.json")
    orchestrator.set_input(Path("in/movie.mp4"), "Movie", 2023)
    for stage in STAGES:
        if not orchestrator.is_stage_completed(stage):
            ran.append(stage)
            _run_stage(folder, stage)
    orchestrator.finalize(status="completed")
    assert ran == list(STAGES)[1:]
    assert load_manifest(folder)["stages"]["demux"]["attempt"] == 1


def test_two_users_have_folders_of_their_own(root) -> None:
    jobs = [JobManager().create_job(user_id=user) for user in (1, 2)]
    assert [Path(one["output_dir"]).parts[-2] for one in jobs] == ["1", "2"]
    assert jobs[0]["job_id"] < jobs[1]["job_id"]


def test_job_info_has_every_documented_field(root) -> None:
    job = JobManager().create_job()
    texts = ["job_id", "created_at", "output_dir", "log_dir", "env_file", "env_backup"]
    assert_fields(job, dict.fromkeys(texts, str) | {"user_id": int})


def test_a_job_is_cleaned_up_as_documented(root) -> None:
    manager = _create_job()
    assert manager.get_job_env_path().is_file()
    assert not any(manager.get_job_log_dir().iterdir())
    manager.cleanup_job_env()
    assert not manager.get_job_env_path().exists()
    backup = manager.get_job_output_dir() / "job.env"
    assert "WHISPER_MODEL=large-v3\n" in backup.read_text()


def test_the_sample_of_our_own_page_runs(root) -> None:
    [sample] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", sample], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"\d{8}-001 success\n", done.stdout)
    [manifest] = Path("out").glob("*/*/*/ana/*/manifest.json")
    assert json.loads(manifest.read_text())["pipeline"]["status"] == "completed"
