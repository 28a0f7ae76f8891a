"""What a repository's history says of files, without writing into the repository."""

import os

import pytest
from support.archives import run_in

from badc_core.provenance.history import find_commit, read_authors


@pytest.fixture
def root(tmp_path):
    run_in(tmp_path, "git", "init", "--quiet")
    (tmp_path / "pond [1]").mkdir()
    for name in ("pond [1]/a.csv", "other.csv"):
        (tmp_path / name).write_text("a\n", encoding="utf-8")
    run_in(tmp_path, "git", "add", "pond [1]")
    run_in(tmp_path, "git", "commit", "--quiet", "-m", "Results")
    return tmp_path


def commit_as(root, name, path):
    with (root / path).open("a", encoding="utf-8") as file:
        file.write("b\n")
    run_in(root, "git", "add", path)
    author = f"--author={name} <{name}@example.org>"
    run_in(root, "git", "commit", "--quiet", author, "-m", "More")


def test_a_search_for_a_commit_leaves_the_index_as_it_is(root):
    path, index = root / "pond [1]" / "a.csv", root / ".git" / "index"
    os.utime(path, (0, 0))  # git would now note the new time, were it let
    before = index.read_bytes()
    found = find_commit(path)
    assert found is not None
    assert (found.subject, found.author) == ("Results", "A Tester")
    assert index.read_bytes() == before


def test_authors_are_those_of_the_folder(root):
    for _ in range(3):
        commit_as(root, "Elsewhere", "other.csv")
    commit_as(root, "Helper", "pond [1]/b.csv")
    assert set(read_authors(root / "pond [1]")) == {"A Tester", "Helper"}
    assert read_authors(root)[0] == "Elsewhere"


def test_in_no_repository_there_are_no_authors(tmp_path):
    assert read_authors(tmp_path) == ()
