"""The package that is built holds every file that the code reads beside itself."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("badc_core", "badc_dagster")


@pytest.mark.slow
def test_the_wheel_holds_all_modules_and_all_files_beside_them(tmp_path):
    source = tmp_path / "source"
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(REPOSITORY / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "-qq", "--disable-pip-version-check"]
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    expected = {
        path.relative_to(source).as_posix()
        for name in PACKAGES
        for path in (source / name).rglob("*")
        if path.is_file()
    }
    done = subprocess.run(
        [*pip, *offline, "--wheel-dir", str(tmp_path), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("badc-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert expected - set(archive.namelist()) == set()
    assert "badc_dagster/dagster.yaml" in expected
    for ending in (".sql", ".html", ".css", ".txt", ".R"):
        assert [one for one in expected if one.endswith(ending)], ending


def test_the_settings_of_a_checkouts_dagster_home_are_those_of_the_package():
    shipped, own = (REPOSITORY / name / "dagster.yaml" for name in ("badc_dagster", "dagster_home"))
    assert own.read_bytes() == shipped.read_bytes()
