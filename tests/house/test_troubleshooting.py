"""The messages that the page about trouble explains are messages that there are."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "hpc" / "troubleshooting.md"
SOURCES = (
    *REPOSITORY.glob("badc_core/slurm/*.py"),
    *REPOSITORY.glob("badc_core/slurm_*.py"),
    *REPOSITORY.glob("badc_core/*/array_script.py"),
    REPOSITORY / "badc_core" / "cli" / "slurm.py",
    REPOSITORY / "badc_core" / "stages" / "work.py",
    REPOSITORY / "badc_dagster" / "home_storage.py",
)
EDGES = " .:;(),"


@cache
def constants():
    """Returns every text in the sources of more than a word."""
    nodes = (node for path in SOURCES for node in ast.walk(ast.parse(path.read_text("utf-8"))))
    texts = (node.value for node in nodes if isinstance(node, ast.Constant))
    return {one.strip(EDGES) for one in texts if isinstance(one, str) and " " in one.strip(EDGES)}


def messages():
    """Returns what is quoted first in each row of the tables."""
    return re.findall(r"^\| `([^`]+)`", PAGE.read_text("utf-8"), re.MULTILINE)


def is_said(message):
    # Words in capitals and dots stand for what differs.
    pieces = [one.strip(EDGES) for one in re.split(r"…|\b[A-Z]+\b|[():]", message)]
    longest = max(pieces, key=len)
    return any(longest in one or one in message for one in constants())


@pytest.mark.parametrize("message", messages())
def test_a_message_is_one_that_the_code_has(message):
    assert is_said(message)


def test_one_that_the_code_has_not_is_found_out():
    assert len(messages()) > 30
    assert not is_said("its task has N problems")
    assert not is_said("the partition is on holiday")
