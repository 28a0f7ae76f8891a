"""What the documents promise exists: files they link to, make targets, badc commands."""

import re
from pathlib import Path

import pytest
import typer

from badc_core.cli.main import build_app

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *REPOSITORY.glob("*.md"),
        *REPOSITORY.glob("docs/**/*.md"),
        REPOSITORY / "dagster_home" / "README.md",
        REPOSITORY / "vendor" / "README.md",
    ]
)

_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
_MAKE = re.compile(r"^(?:\$ )?make ((?:[a-z-]+ ?)+)|`make ([a-z -]+)`", re.MULTILINE)
_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)
_BADC = re.compile(
    r"(?:`|^(?:    )?(?:\$ )?(?:\.venv/bin/)?)badc ([a-z]+)(?: ([a-z-]+))?", re.MULTILINE
)


def _page_name(page):
    return str(page.relative_to(REPOSITORY))


def _targets():
    return set(_TARGET.findall((REPOSITORY / "Makefile").read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=_page_name)
def test_relative_links_lead_somewhere(page):
    links = _LINK.findall(page.read_text(encoding="utf-8"))
    relative = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [link for link in relative if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=_page_name)
def test_make_targets_named_exist(page):
    found = _MAKE.findall(page.read_text(encoding="utf-8"))
    named = {target for match in found for text in match for target in text.split()}
    assert named - _targets() == set()


def test_the_readme_names_the_two_commands_and_they_exist():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for command in ("make demo", "make test"):
        assert command in text
    assert {"demo", "test"} <= _targets()


def test_every_target_is_listed_by_make_help():
    text = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    explained = set(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))
    assert _targets() == explained


@pytest.mark.parametrize("page", PAGES, ids=_page_name)
def test_badc_commands_named_exist(page):
    top = typer.main.get_command(build_app())
    for first, second in _BADC.findall(page.read_text(encoding="utf-8")):
        command = top.commands.get(first)
        assert command is not None, f"badc {first}"
        inner = getattr(command, "commands", None)
        assert inner is None or not second or second in inner, f"badc {first} {second}"
