"""The shipped systemd units are ones that systemd accepts, of programs that are installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNITS = Path(__file__).resolve().parents[2] / "hpc" / "systemd"


@pytest.fixture
def user(tmp_path):
    """Returns the environment of a user who has installed BADC as the units expect it."""
    (tmp_path / "badc-venv").symlink_to(sys.prefix)
    return os.environ | {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}


def complaints(folder, user):
    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", *folder.glob("*.service")],
        env=user,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_systemd_accepts_the_units_and_finds_their_programs(user, tmp_path, lacking):
    if shutil.which("systemd-analyze") is None:
        lacking("systemd-analyze")
    assert complaints(UNITS, user) == ""
    shutil.copytree(UNITS, tmp_path / "units")
    unit = tmp_path / "units" / "badc-daemon.service"
    unit.write_text(unit.read_text("utf-8").replace("dagster-daemon", "no-daemon"), "utf-8")
    assert "no-daemon is not executable" in complaints(tmp_path / "units", user)


@pytest.mark.parametrize("unit", sorted(UNITS.glob("*.service")), ids=lambda path: path.stem)
def test_the_programs_have_the_options_that_units_give_them(unit):
    (line,) = [
        line for line in unit.read_text("utf-8").splitlines() if line.startswith("ExecStart=")
    ]
    program, *words = line.partition("=")[2].split()
    command = [word for word in words if not word.startswith("-")][:1]
    command = command if command == ["run"] else []
    said = subprocess.run(
        [Path(sys.executable).with_name(Path(program).name), *command, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    for option in (word for word in words if word.startswith("-")):
        assert f"{option}, " in said.stdout
