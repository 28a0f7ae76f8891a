"""Creating jobs: ids that are never given twice, folders, and the configuration of a job."""

import json
import os
import re
import stat
import subprocess
import tempfile
from datetime import date, datetime
from pathlib import Path

import pytest
from support.forbidden import forbidden
from support.forked import run_forked

from badc_core.errors import BadcError, ConfigInvalid, OutputUnwritable
from badc_core.jobs import JobManager
from badc_core.jobs.environment import stage_environment, variables
from badc_core.jobs.ids import claim_job_id
from badc_core.shared_folders import making_in

PLANTED = ("hf_3f9ab77c21d0", "hunter2-and-more", "AAAAB3NzaC1yc2E", "0ld-s3cret", "dangling-9f3")
BASE = f"""\
# Job Configuration
JOB_ID=                    # Auto-generated: YYYYMMDD-NNN
export USER_ID=1           # User identifier (default: 1)

HF_TOKEN={PLANTED[0]}
HF_MIRROR=https://example.org/?t={PLANTED[0]}
DATABASE_URL=postgres://me:{PLANTED[1]}@host/db  # the lab's
SSH_KEY="-----BEGIN KEY-----
{PLANTED[2]}
-----END KEY-----"
# HF_TOKEN={PLANTED[3]}
OUTPUT_ROOT="out"  # where
WHISPER_MODEL=large-v3    # Options: tiny, base
BROKEN_KEY="{PLANTED[4]}
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch) -> Path:
    """Returns an installation with a configuration; it is the current folder."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / ".env").write_text(BASE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _today() -> date:
    return datetime.now().astimezone().date()


@pytest.fixture
def day() -> str:
    return f"{_today():%Y/%m/%d}"


def test_a_job_has_folders_for_outputs_and_logs_and_says_what_it_is(root, day) -> None:
    manager = JobManager(config_dir=Path("config"), output_root=Path("out"), log_root=Path("logs"))
    job = manager.create_job(user_id=2)
    job_id = f"{_today():%Y%m%d}-001"
    folder = Path("out", day, "2", job_id)
    assert json.loads((folder / "job_info.json").read_text()) == job
    assert job["output_dir"] == str(folder) == str(manager.get_job_output_dir())
    assert job["log_dir"] == str(Path("logs", day, "2", job_id)) == str(manager.get_job_log_dir())
    assert job["env_file"] == f"config/.env.job_{job_id}" == str(manager.get_job_env_path())
    assert job["env_backup"] == str(folder / "job.env")
    assert (job["job_id"], job["user_id"]) == (job_id, 2)
    assert datetime.fromisoformat(job["created_at"]).utcoffset() is not None
    assert Path(job["log_dir"]).is_dir()


def test_defaults_are_the_documented_ones(root, day) -> None:
    assert JobManager().create_job()["output_dir"].startswith(f"out/{day}/1/")


def test_the_configuration_has_the_jobs_values_and_keeps_its_comments(root) -> None:
    manager = JobManager()
    job = manager.create_job()
    text = manager.get_job_env_path().read_text()
    assert f"JOB_ID={job['job_id']} # Auto-generated: YYYYMMDD-NNN\n" in text
    assert "export USER_ID=1           # User identifier (default: 1)\n\nHF_TOKEN=" in text
    assert f"OUTPUT_ROOT={root / job['output_dir']}  # where\n" in text
    assert text.endswith(f"\nLOG_ROOT={root / job['log_dir']}\n")
    assert text.count("OUTPUT_ROOT") == 1
    assert "WHISPER_MODEL=large-v3    # Options: tiny, base\n" in text


def test_what_a_shell_reads_in_the_configuration_is_what_python_reads(tmp_path) -> None:
    root = tmp_path / "it's a $HOME"
    (root / "config").mkdir(parents=True)
    (root / "config" / ".env").write_text("A=1")
    manager = JobManager(root / "config", root / "out", root / "logs")
    manager.create_job("Ana María")
    path = manager.get_job_env_path()
    shell = ["sh", "-c", '. "$1"; printf %s "$OUTPUT_ROOT|$USER_ID"', "sh", path]
    read = subprocess.run(shell, capture_output=True, text=True, check=True).stdout
    assert read == f"{manager.get_job_output_dir()}|Ana María"
    assert variables(path.read_text())["USER_ID"] == "Ana María"
    assert variables(path.read_text())["A"] == "1"


def test_no_secret_leaves_the_configuration_that_only_its_owner_may_read(root) -> None:
    manager = JobManager()
    job = manager.create_job()
    own = Path(job["env_file"])
    assert all(secret in own.read_text() for secret in PLANTED)
    assert variables(own.read_text())["HF_TOKEN"] == PLANTED[0]
    assert [stat.S_IMODE(Path(job[one]).stat().st_mode) for one in ("env_file", "env_backup")] == [
        0o600,
        0o600,
    ]
    others = [*root.glob("out/**/*"), *root.glob("logs/**/*")]
    texts = [one.read_text() for one in others if one.is_file()]
    assert [secret for secret in PLANTED for text in texts if secret in text] == []
    backup = Path(job["env_backup"]).read_text()
    assert "HF_TOKEN=***\n" in backup
    assert "# HF_TOKEN=***\n" in backup
    assert "WHISPER_MODEL=large-v3    # Options: tiny, base\n" in backup
    assert f"JOB_ID={job['job_id']}" in backup


def test_a_stage_gets_the_path_of_the_configuration_and_no_secrets(root, monkeypatch) -> None:
    monkeypatch.setenv("HF_TOKEN", PLANTED[0])
    manager = JobManager()
    manager.create_job()
    found = stage_environment(manager.get_job_env_path())
    assert found["CONFIG_PATH"] == str(root / manager.get_job_env_path())
    assert PLANTED[0] not in str(found)
    assert found["PATH"] == os.environ["PATH"]


def test_cleaning_up_keeps_the_backup_and_what_was_changed_by_hand(root) -> None:
    manager = JobManager()
    job = manager.create_job()
    with Path(job["env_file"]).open("a") as file:
        file.write("MODEL=small\nNEW_TOKEN=f00d-f00d\n")
    manager.cleanup_job_env()
    assert not Path(job["env_file"]).exists()
    assert Path(job["env_backup"]).read_text().endswith("MODEL=small\nNEW_TOKEN=***\n")
    manager.cleanup_job_env()
    assert Path(job["env_backup"]).read_text().endswith("MODEL=small\nNEW_TOKEN=***\n")


def test_without_a_configuration_nothing_is_created(tmp_path) -> None:
    manager = JobManager(tmp_path / "config", tmp_path / "out", tmp_path / "logs")
    with pytest.raises(FileNotFoundError):
        manager.create_job()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigInvalid, match="no job has been created"):
        manager.get_job_output_dir()


def test_a_configuration_that_cannot_be_read_is_named(root) -> None:
    with forbidden(Path("config/.env")), pytest.raises(ConfigInvalid, match="cannot be read"):
        JobManager().create_job()


def test_another_configuration_may_be_copied(root) -> None:
    (root / "other.env").write_text("A=other\r\n")
    manager = JobManager()
    manager.create_job(base_env_file=Path("other.env"))
    assert manager.get_job_env_path().read_bytes().startswith(b"A=other\r\nJOB_ID=")


@pytest.mark.parametrize("user", ["..", "a/b", "", ".hidden", "a\nb", "/"])
def test_a_user_cannot_lead_elsewhere(root, user) -> None:
    with pytest.raises(ConfigInvalid, match="user"):
        JobManager().create_job(user)
    assert not Path("out").exists()


def test_fifty_processes_at_once_get_fifty_ids(root) -> None:
    def create(number: int) -> str:
        return JobManager().create_job(user_id=number % 3)["job_id"]

    ids = run_forked(create, 50)
    assert sorted(ids) == [f"{_today():%Y%m%d}-{number:03d}" for number in range(1, 51)]
    assert len(list(Path("out").glob("*/*/*/*/*/job_info.json"))) == 50


def test_an_id_follows_those_of_all_users_logs_and_configurations(root, day) -> None:
    prefix = f"{_today():%Y%m%d}"
    places = [
        Path("out", day, "2", f"{prefix}-004"),
        Path("logs", day, "ana", f"{prefix}-007"),
        Path("out", day, "1", "19990101-055"),
        Path("out", day, "1", f"{prefix}-x"),
    ]
    for one in places:
        one.mkdir(parents=True)
    assert JobManager().generate_job_id() == f"{prefix}-008"
    Path("config", f".env.job_{prefix}-011").touch()
    assert JobManager().generate_job_id() == f"{prefix}-012"


def test_an_id_is_not_given_again_when_its_job_is_deleted(root) -> None:
    manager = JobManager()
    first = manager.create_job()
    for path in (manager.get_job_output_dir(), manager.get_job_log_dir()):
        for one in path.iterdir():
            one.unlink()
        path.rmdir()
    manager.cleanup_job_env()
    assert manager.create_job()["job_id"] > first["job_id"]


def test_ids_become_longer_after_999(root, day) -> None:
    Path("out", day, "1", f"{_today():%Y%m%d}-999").mkdir(parents=True)
    ids = [JobManager().generate_job_id() for _ in range(2)]
    assert [one.partition("-")[2] for one in ids] == ["1000", "1001"]


def test_folders_of_others_that_cannot_be_read_are_passed_over(root, day) -> None:
    first = JobManager().create_job("ana")
    with forbidden(Path("out", day, "ana")):
        second = JobManager().create_job("ben")
    assert second["job_id"].endswith("-002")
    assert first["job_id"].endswith("-001")


def test_the_documented_find_finds_the_folder_of_a_job_and_nothing_else(root) -> None:
    job = JobManager().create_job()
    found = subprocess.run(
        ["find", "out/", "-name", job["job_id"]], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == [job["output_dir"]]


@pytest.mark.parametrize("mode", [0o1777, 0o2775, 0o700])
def test_folders_above_a_job_have_the_permissions_of_the_root(root, day, mode) -> None:
    Path("out").mkdir()
    Path("out").chmod(mode)
    old = os.umask(0o077)
    try:
        job = JobManager().create_job("ana")
    finally:
        os.umask(old)
    folder = Path(job["output_dir"])
    above = [one for one in folder.parents if "out" in one.parts]
    assert {stat.S_IMODE(one.stat().st_mode) for one in above} == {mode}
    assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0


@pytest.fixture
def shared_root(monkeypatch):
    """Yields an installation that all accounts may use; pytest's own folders are for one."""
    with tempfile.TemporaryDirectory() as name:
        monkeypatch.chdir(name)
        Path(name).chmod(0o755)
        for place in ("out", "logs", "config"):
            Path(place).mkdir()
            Path(place).chmod(0o1777)
        Path("config", ".env").write_text("A=1\n")
        yield
        monkeypatch.undo()


@pytest.mark.usefixtures("shared_root")
def test_accounts_share_a_root_and_even_a_user(lacking) -> None:
    if os.geteuid() != 0:
        lacking("root, to become other accounts")

    def create(number: int) -> str:
        os.setuid(60_000 + number)
        return JobManager().create_job()["job_id"]

    assert len(set(run_forked(create, 6))) == 6
    owners = {one.stat().st_uid for one in Path("out").glob("*/*/*/1/*")}
    assert owners == set(range(60_000, 60_006))


def test_a_job_that_cannot_be_written_leaves_no_secrets(root, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise OutputUnwritable("the disk is gone", "job_info.json")

    monkeypatch.setattr("badc_core.jobs.job_manager.write_json", fail)
    with pytest.raises(BadcError):
        JobManager().create_job()
    assert [one.name for one in Path("config").iterdir()] == [".env"]


def test_ids_are_of_the_documented_form(root) -> None:
    claimed = claim_job_id(date(2025, 10, 30), Path("out"), Path("logs"), Path("config"))
    assert claimed == "20251030-001"
    assert re.fullmatch(r"\d{8}-\d{3,}", JobManager().generate_job_id())


def test_what_is_made_in_a_folder_that_another_process_replaces_is_made_again(tmp_path) -> None:
    """As happens to many that create the first jobs of a day at once."""
    day, news = tmp_path / "day", [tmp_path / "new"]
    for one in (day, *news):
        one.mkdir()

    def make() -> None:
        found = os.open(day, os.O_RDONLY)
        try:
            if news:
                news.pop().rename(day)
            os.mkdir("ana", dir_fd=found)
        finally:
            os.close(found)

    making_in(day, make)
    assert (day / "ana").is_dir()
