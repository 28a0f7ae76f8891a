"""The definition of the Apptainer image names files, extras and packages that there are."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from support.commands import BADC

REPOSITORY = Path(__file__).resolve().parents[2]
DEFINITION = (REPOSITORY / "hpc" / "apptainer" / "badc.def").read_text("utf-8")
VARIANTS = ("cpu", "cuda")
PYTHON_OF = {"debian:bookworm-slim": "3.11"}
SHELL_SECTIONS = ("post", "environment", "runscript", "test")


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))


def section(name):
    """Returns the lines of a section, without those that are empty."""
    (text,) = re.findall(rf"^%{name}\b.*\n((?:    .*\n|\n)*)", DEFINITION, re.MULTILINE)
    return [line for line in text.splitlines() if line.strip()]


def headers():
    return dict(re.findall(r"^(\w+): (.+)$", DEFINITION, re.MULTILINE))


def test_it_begins_with_a_debian_whose_python_is_allowed(project):
    python = PYTHON_OF[headers()["From"]]
    assert SpecifierSet(project["project"]["requires-python"]).contains(python)
    assert {line.split()[0]: line.split()[1] for line in section("labels")}[
        "org.opencontainers.image.base.name"
    ].endswith(headers()["From"])


def test_files_that_it_copies_are_there_and_are_what_the_package_is_built_from(project):
    copied = dict(line.split() for line in section("files"))
    assert [one for one in copied if not (REPOSITORY / one).exists()] == []
    assert all(place == f"/opt/checkout/{one}" for one, place in copied.items())
    packages = project["tool"]["setuptools"]["packages"]["find"]["include"]
    needed = {"pyproject.toml", "requirements.lock", project["project"]["readme"]}
    assert set(copied) == needed | {one.rstrip("*") for one in packages}


def test_extras_and_packages_that_it_installs_fit_those_of_the_project(project):
    known = project["project"]["optional-dependencies"]
    asked = re.findall(r"/opt/checkout\[([\w,]+)\]", DEFINITION)
    assert len(asked) == len(VARIANTS)
    assert {extra for one in asked for extra in one.split(",")} <= set(known)
    (onnx,) = map(Requirement, known["onnx"])
    given = map(Requirement, re.findall(r"'(onnxruntime-gpu\S+)'", DEFINITION))
    for one in given:
        (version,) = one.specifier
        assert onnx.specifier.contains(version.version)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", SHELL_SECTIONS)
def test_its_parts_are_good_shell(name, variant, tmp_path, lacking):
    script = tmp_path / f"{name}.sh"
    lines = "\n".join(section(name)).replace("{{ variant }}", variant)
    script.write_text(f"#!/bin/bash\n{lines}\n", "utf-8")
    subprocess.run(["bash", "-n", script], check=True)
    if shutil.which("shellcheck") is None:
        lacking("shellcheck")
    # 2050, 2194: a variant is a constant once it is filled in.
    subprocess.run(["shellcheck", "-e", "SC2050,SC2194", script], check=True)


def test_every_variant_is_told_of(tmp_path):
    page = (REPOSITORY / "docs" / "hpc" / "apptainer.md").read_text("utf-8")
    for variant in VARIANTS:
        assert f"      {variant})" in DEFINITION
        assert f"`{variant}`" in page
    assert section("arguments") == ["    variant=cpu"]


def test_python_that_its_checks_run_finds_what_it_names_here():
    lines = re.findall(r"python3 -c '(.+)'", "\n".join(section("test")))
    assert len(lines) == 2
    # onnxruntime is an extra, which the image has and this environment need not.
    for one in lines:
        subprocess.run([sys.executable, "-c", one.replace(", onnxruntime", "")], check=True)


def test_modules_and_commands_that_it_names_are_there(project):
    assert project["project"]["scripts"].keys() >= {section("runscript")[0].split()[1]}
    for module in re.findall(r"badc_(?:core|dagster)(?:\.\w+)+", DEFINITION):
        assert find_spec(module) is not None
    words = re.findall(r"badc\.sif (\w+) (\w+) --help", DEFINITION)
    for group, command in words:
        done = subprocess.run([BADC, group, command, "--help"], check=False, capture_output=True)
        assert done.returncode == 0
    assert words
