"""What the documents promise exists: files they link to, make targets, badc commands."""

import re
import tomllib
from pathlib import Path

import pytest

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
_BADC = re.compile(r"`badc ([a-z]+)|^(?:\$ )?(?:\.venv/bin/)?badc ([a-z]+)", re.MULTILINE)


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


def test_badc_commands_named_in_the_readme_exist():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    named = {name for match in _BADC.findall(text) for name in match if name}
    with (REPOSITORY / "pyproject.toml").open("rb") as stream:
        declared = set(tomllib.load(stream)["project"]["entry-points"]["badc.commands"])
    assert named
    assert named - declared - {"report"} == set()
