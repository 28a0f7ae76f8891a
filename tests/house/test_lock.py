"""The lock file holds what the install needs, nothing heavy, and no place to fetch it from."""

import re
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LINES = [
    line
    for line in (REPOSITORY / "requirements.lock").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
PINNED = {re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in LINES}


def _declared():
    with (REPOSITORY / "pyproject.toml").open("rb") as stream:
        project = tomllib.load(stream)["project"]
    extras = project["optional-dependencies"]
    requirements = [*project["dependencies"], *extras["birdnet"], *extras["dev"]]
    requirements += extras["media"]
    names = [re.match(r"[A-Za-z0-9._-]+", line).group() for line in requirements]
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names}


def test_every_line_is_a_name_and_a_version():
    assert LINES
    pattern = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+")
    assert [line for line in LINES if not pattern.fullmatch(line)] == []


def test_every_declared_dependency_is_pinned():
    assert _declared() - PINNED == set()


def test_no_deep_learning_framework_comes_with_the_install():
    heavy = re.compile(r"torch|tensorflow|tf-keras|keras$|jax|nvidia-c|pyqt|pyside", re.IGNORECASE)
    assert [name for name in sorted(PINNED) if heavy.match(name)] == []


def test_badc_does_not_pin_itself():
    assert "badc" not in PINNED
