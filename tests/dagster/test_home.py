"""The Dagster home: made ready once, however many want it first."""

import multiprocessing
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import dagster as dg
import pytest

import badc_dagster.home
from badc_core.errors import ConfigInvalid
from badc_dagster.home import explain_other_home, home_path, open_instance, prepare_home

REPOSITORY = Path(__file__).resolve().parents[2]


def use(number):
    """Prepares the home and writes to it, as a command started for the first time does."""
    with open_instance() as instance:
        instance.add_dynamic_partitions("recordings", [f"key_{number}"])
        return instance.get_runs_count()


@pytest.mark.soak
def test_processes_that_use_a_fresh_home_at_once_all_work_and_leave_it_usable(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(8, spawn) as pool:
        assert list(pool.map(use, range(8))) == [0] * 8
    with open_instance() as instance:
        keys = instance.get_dynamic_partitions("recordings")
    assert sorted(keys) == [f"key_{number}" for number in range(8)]
    databases = list((tmp_path / "home").rglob("*.db"))
    assert databases
    for path in databases:
        with sqlite3.connect(path) as database:
            assert database.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
        database.close()


def test_a_home_that_a_killed_process_was_making_is_made_again(tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    home.mkdir()
    (home / "badc_of_the_users").touch()

    def killed(self, name):
        assert name == "recordings"
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dg.DagsterInstance, "get_dynamic_partitions", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare_home()
    (index,) = home.rglob("index.db")
    with sqlite3.connect(index) as database:
        database.execute("DROP TABLE dynamic_partitions")
    database.close()
    with open_instance() as instance:
        instance.add_dynamic_partitions("recordings", ["key"])
        assert instance.get_dynamic_partitions("recordings") == ["key"]
    with open_instance() as instance:
        assert instance.get_dynamic_partitions("recordings") == ["key"]
    assert (home / "badc_of_the_users").exists()


def test_the_home_is_the_checkouts_unless_the_environment_says_otherwise(tmp_path, monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert home_path() == REPOSITORY / "dagster_home"
    monkeypatch.setenv("DAGSTER_HOME", "some/place")
    assert home_path() == Path.cwd() / "some" / "place"


def test_installed_elsewhere_the_home_is_in_the_users_data_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(badc_dagster.home, "_CHECKOUT_HOME", tmp_path / "dagster_home")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert home_path() == tmp_path / "data" / "badc"
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_DATA_HOME", ignored)
        assert home_path() == tmp_path / ".local" / "share" / "badc"
    monkeypatch.setattr("sys.platform", "darwin")
    assert home_path() == tmp_path / "Library" / "Application Support" / "badc"


def test_the_home_in_env_of_the_current_folder_is_used_or_a_warning_names_both(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert explain_other_home() == ""
    monkeypatch.setenv("PWD", str(tmp_path))
    Path(".env").write_text("DAGSTER_HOME=${PWD}/of_env\n", encoding="utf-8")
    assert home_path() == tmp_path / "of_env"
    assert explain_other_home() == ""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "exported"))
    assert home_path() == tmp_path / "exported"
    warning = explain_other_home()
    assert str(tmp_path / "exported") in warning
    assert str(tmp_path / "of_env") in warning


def test_a_fresh_home_gets_the_shipped_settings_and_own_settings_are_kept(home):
    shipped = (REPOSITORY / "badc_dagster" / "dagster.yaml").read_text(encoding="utf-8")
    assert (home / "dagster.yaml").read_text(encoding="utf-8") == shipped
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    prepare_home()
    assert (home / "dagster.yaml").read_text(encoding="utf-8") == "telemetry:\n  enabled: false\n"


def test_a_relative_home_becomes_absolute_since_dagster_accepts_no_other(
    home, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", "home")
    assert prepare_home() == home
    assert os.environ["DAGSTER_HOME"] == str(home)


def test_a_home_that_cannot_be_written_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(ConfigInvalid, match="Set DAGSTER_HOME to a folder you may write to"):
        prepare_home()


def test_the_module_prepares_the_home_and_says_where_it_is(home):
    done = subprocess.run(
        [sys.executable, "-m", "badc_dagster.home"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{home}\n"
