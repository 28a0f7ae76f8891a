"""What the documents name exists: linked pages, paths, make targets, badc commands and options."""

import re
from functools import cache
from pathlib import Path

import duckdb
import pytest
import typer

from badc_core.cli.app import build_app
from badc_core.columns import arrow_schema
from badc_core.detections.schema import DETECTION_COLUMNS

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        *REPOSITORY.glob("*.md"),
        *REPOSITORY.glob("docs/**/*.md"),
        REPOSITORY / "dagster_home" / "README.md",
        *REPOSITORY.glob("vendor/README.md"),
        *REPOSITORY.glob("vendor/*/README.md"),
    ]
)
RECORDS = sorted((REPOSITORY / "docs" / "decisions").glob("[0-9]*.md"))

_LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]*)(#[^)\s]+)?[^)]*\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE_PATH = re.compile(r"`((?:[a-z_]+/)+[a-z0-9_]+\.(?:py|sql|html))`")
_ROOM = re.compile(r"`((?:badc_core|badc_dagster|tests|docs|benchmarks)/[a-z0-9_/]*)`")
_COMMAND_LINE = re.compile(r"^(?:    )?badc ([a-z].*)$", re.MULTILINE)
_MAKE = re.compile(r"^(?:\$ )?make ((?:[a-z-]+ ?)+)|`make ([a-z -]+)`", re.MULTILINE)
_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)
_BADC = re.compile(
    r"(?:`|^(?:    )?(?:\$ )?(?:\.venv/bin/)?)badc ([a-z]+)(?: ([a-z-]+))?", re.MULTILINE
)


def _page_name(page):
    return str(page.relative_to(REPOSITORY))


def _targets():
    return set(_TARGET.findall((REPOSITORY / "Makefile").read_text(encoding="utf-8")))


@cache
def _badc():
    return typer.main.get_command(build_app())


def _read(page):
    return page.read_text(encoding="utf-8")


def _relative_links(page):
    """Returns (page linked to, anchor) of every link that stays in the repository."""
    links = _LINK.findall(_read(page))
    return [
        (page.parent / target if target else page, anchor)
        for target, anchor in links
        if "://" not in target and not target.startswith("mailto:")
    ]


def _anchors(page):
    headings = _HEADING.findall(_read(page))
    plain = (re.sub(r"[^\w\s-]", "", heading.lower()) for heading in headings)
    return {"#" + re.sub(r"\s", "-", heading.strip()) for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=_page_name)
def test_relative_links_lead_somewhere(page):
    missing = [str(target) for target, _ in _relative_links(page) if not target.exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=_page_name)
def test_links_to_a_heading_find_it(page):
    anchored = [(target, anchor) for target, anchor in _relative_links(page) if anchor]
    assert [link for link in anchored if link[1] not in _anchors(link[0])] == []


def test_every_page_can_be_reached_from_the_readme():
    seen, left = set(), [REPOSITORY / "README.md"]
    while left:
        page = left.pop().resolve()
        if page not in seen and page.suffix == ".md":
            seen.add(page)
            left += [target for target, _ in _relative_links(page)]
    expected = {page for page in PAGES if REPOSITORY / "docs" in page.parents}
    assert expected - seen == set()


@pytest.mark.parametrize("page", PAGES, ids=_page_name)
def test_source_files_and_folders_named_exist(page):
    files = {
        path
        for path in _CODE_PATH.findall(_read(page))
        if not (REPOSITORY / path).exists() and not (REPOSITORY / "badc_core" / path).exists()
    }
    folders = {path for path in _ROOM.findall(_read(page)) if not (REPOSITORY / path).exists()}
    assert files | folders == set()


def test_the_architecture_page_is_one_page():
    assert len(_read(REPOSITORY / "ARCHITECTURE.md").splitlines()) <= 120


@pytest.mark.parametrize("record", RECORDS, ids=_page_name)
def test_a_decision_record_is_complete_short_and_listed(record):
    text = _read(record)
    assert text.startswith(f"# {record.name[:3]}: ")
    assert {"Context", "Decision", "Consequences"} <= set(_HEADING.findall(text))
    assert len(text.splitlines()) <= 60
    assert f"({record.name})" in _read(record.parent / "README.md")


def test_decision_records_are_numbered_without_gaps():
    numbers = [int(record.name[:3]) for record in RECORDS]
    assert numbers == list(range(1, len(RECORDS) + 1))


@pytest.mark.parametrize("page", PAGES, ids=_page_name)
def test_make_targets_named_exist(page):
    found = _MAKE.findall(_read(page))
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
    top = _badc()
    for first, second in _BADC.findall(_read(page)):
        command = top.commands.get(first)
        assert command is not None, f"badc {first}"
        inner = getattr(command, "commands", None)
        is_open = hasattr(command, "default_command")  # takes a dataset in place of a command
        assert is_open or inner is None or not second or second in inner, f"badc {first} {second}"


@pytest.mark.parametrize("page", PAGES, ids=_page_name)
def test_command_lines_have_the_options_they_need_and_no_unknown_ones(page):
    for line in _COMMAND_LINE.findall(_read(page)):
        words = line.partition(" #")[0].split()
        command = _badc()
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        if hasattr(command, "default_command"):
            command = command.commands[command.default_command]
        known = {name for option in command.params for name in option.opts + option.secondary_opts}
        named = {word.partition("=")[0] for word in words if word.startswith("--") and word != "--"}
        assert named - known - {"--help"} == set(), f"badc {line}"
        needed = [
            option for option in command.params if option.required and option.opts[0][:1] == "-"
        ]
        missing = [option.name for option in needed if not named.intersection(option.opts)]
        assert not missing or "--help" in named, f"badc {line}: lacks {missing}"


def test_queries_in_the_docs_fit_the_columns():
    queries = re.findall(r"sql\([\"'](SELECT .+?)[\"']\)", _read(REPOSITORY / "docs/columns.md"))
    assert queries
    with duckdb.connect() as database:
        database.register("detections", arrow_schema(DETECTION_COLUMNS).empty_table())
        for query in queries:
            assert database.sql(query).fetchall() == []
