"""Where jobs are kept."""

import os
import stat
from pathlib import Path

import pytest
from support.commands import run_badc

from badc_core.errors import ConfigInvalid
from badc_core.jobs import places
from badc_core.jobs.places import job_places


def test_the_variable_names_the_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("BADC_JOBS", str(tmp_path / "a" / ".." / "jobs"))
    found = job_places(tmp_path / "home")
    assert (found.config_dir, found.output_root, found.log_root) == tuple(
        tmp_path / "jobs" / name for name in ("config", "out", "logs")
    )


def test_a_mistyped_folder_is_an_error_of_what_looks_for_jobs(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("BADC_JOBS", str(tmp_path / "jbos"))
    for words in (["list"], ["show", "20260101-001"], ["archive", "20260101-001"]):
        done = run_badc("job", *words, folder=tmp_path, code=1)
        assert f"{tmp_path}/jbos: no such folder, though BADC_JOBS names it" in done.stderr
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "jbos").write_text("a file")
    with pytest.raises(ConfigInvalid, match="not a folder, though BADC_JOBS names it"):
        job_places()  # where a job would be created
    monkeypatch.setenv("BADC_JOBS", "~no_such_account/jobs")
    assert "no such folder" in run_badc("job", "list", folder=tmp_path, code=1).stderr


def test_else_jobs_are_in_the_home(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("BADC_JOBS", raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert job_places(Path("/home")).root == Path("/home/jobs")
    assert job_places().root == tmp_path / "jobs"
    monkeypatch.setattr(places, "entry_points", lambda group: [])  # noqa: ARG005  (no Dagster)
    assert job_places().root == tmp_path / "jobs"
    monkeypatch.delenv("DAGSTER_HOME")
    with pytest.raises(ConfigInvalid, match="Set BADC_JOBS"):
        job_places()


def test_the_first_job_needs_no_preparation(tmp_path, monkeypatch) -> None:
    root = tmp_path / "jobs"
    root.mkdir()
    root.chmod(0o2775)
    monkeypatch.setenv("BADC_JOBS", str(root))
    old = os.umask(0o077)
    try:
        job = job_places().manager().create_job("ana")
    finally:
        os.umask(old)
    assert Path(job["output_dir"]).is_relative_to(root / "out")
    settings = root / "config" / ".env"
    assert stat.S_IMODE(settings.parent.stat().st_mode) == 0o2775
    assert stat.S_IMODE(settings.stat().st_mode) == 0o660
    settings.write_text("A=1\n")
    assert "A=1" in Path(job_places().manager().create_job()["env_file"]).read_text()
