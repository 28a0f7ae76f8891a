"""Getting and dropping contents with the real git, git-annex and DataLad, under any name."""

import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.archives import HOSTILE_NAMES, copy_archive, make_archive, run_in
from support.built_once import build_once

from badc_core.annexed_files import lacks_content
from badc_core.errors import ProgramMissing, RepositoryFailed
from badc_core.provenance import programs
from badc_core.provenance.annex import Repository, drop, fetch, find_repository
from badc_core.provenance.programs import find_program


def _content(name: str) -> bytes:
    return f"sound of {name}".encode() * 1000


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    files = [(f"audio/{name}", _content(name)) for name in HOSTILE_NAMES]
    return build_once(tmp_path_factory, "annex", lambda folder: make_archive(folder, files))


@pytest.fixture
def archive(built: Path, tmp_path: Path) -> Path:
    """Returns a dataset whose contents are all in its store, and not here."""
    return copy_archive(built, tmp_path)


@pytest.fixture
def files(archive: Path) -> list[Path]:
    return [archive / "audio" / name for name in HOSTILE_NAMES]


def test_contents_of_files_with_hostile_names_are_fetched_and_dropped(archive, files) -> None:
    assert all(lacks_content(one) for one in files)
    assert fetch(files) == {}
    assert [one.read_bytes() for one in files] == [_content(one) for one in HOSTILE_NAMES]
    assert not any(lacks_content(one) for one in files)
    assert drop(files) == {}
    assert all(lacks_content(one) for one in files)
    assert not list(archive.rglob("evil"))


def test_only_the_named_contents_are_fetched(files) -> None:
    assert fetch(files[:2]) == {}
    assert [lacks_content(one) for one in files] == [False] * 2 + [True] * (len(files) - 2)


def test_pointers_of_an_unlocked_branch_are_told_fetched_and_dropped(archive, files) -> None:
    run_in(archive, "git", "annex", "adjust", "--unlock")
    assert not any(one.is_symlink() for one in files)
    assert all(lacks_content(one) for one in files)
    assert fetch(files) == {}
    assert files[4].read_bytes() == _content(HOSTILE_NAMES[4])
    assert drop(files) == {}
    assert all(lacks_content(one) for one in files)


def test_what_cannot_be_fetched_is_named_with_the_reason_and_the_rest_comes(
    archive, files, tmp_path
) -> None:
    key = files[1].readlink().name
    (lost,) = (tmp_path / "store").rglob(f"{key}/{key}")
    lost.parent.chmod(0o755)
    lost.unlink()
    stranger = archive / "audio" / "stranger.wav"
    stranger.symlink_to("../.git/annex/objects/aa/bb/KEY/KEY")
    failed = fetch([*files, stranger])
    assert set(failed) == {files[1], stranger}
    assert "\n" not in failed[files[1]]
    assert len(failed[files[1]]) > 20
    assert not any(lacks_content(one) for one in files if one != files[1])


def test_a_drop_that_would_leave_too_few_copies_is_refused(archive, files) -> None:
    fetch(files[:1])
    run_in(archive, "git", "annex", "numcopies", "2")
    refused = drop(files[:1])
    assert list(refused) == files[:1]
    assert "copies" in refused[files[0]] or "copy" in refused[files[0]]
    assert files[0].read_bytes() == _content(HOSTILE_NAMES[0])


def test_a_clone_fetches_from_where_it_was_cloned(archive, files, tmp_path) -> None:
    run_in(tmp_path, "git", "clone", "--quiet", "archive", "clone")
    clone = tmp_path / "clone"
    path = clone / "audio" / HOSTILE_NAMES[2]
    assert find_repository(clone).is_annexed()
    assert "store should have it" in fetch([path])[path]
    fetch(files[2:3])
    run_in(clone, "git", "fetch", "--quiet")
    assert fetch([path]) == {}
    assert path.read_bytes() == _content(HOSTILE_NAMES[2])


def test_what_another_program_is_fetching_is_waited_for(archive) -> None:
    path = archive / "long.wav"
    path.write_bytes(bytes(300_000))
    run_in(archive, "git", "annex", "add", "--quiet", "long.wav")
    run_in(archive, "git", "annex", "move", "--quiet", "--to", "store", "long.wav")
    run_in(archive, "git", "config", "remote.store.annex-bwlimit", "200KB")
    with ThreadPoolExecutor(2) as executor:
        assert list(executor.map(fetch, [[path]] * 2)) == [{}, {}]


def test_commands_in_messages_bring_a_clone_to_a_store(archive, files, tmp_path) -> None:
    odd, store, clone = "$(touch evil); a&b", tmp_path / "store", tmp_path / "clone"
    run_in(archive, "git", "annex", "renameremote", "store", odd)
    run_in(tmp_path, "git", "clone", "--quiet", "archive", "clone")
    path = clone / files[0].relative_to(archive)
    annex = f"git -C {clone} annex"
    for words in (f"enableremote '{odd}' directory=FOLDER", f"verifyremote '{odd}'"):
        why = fetch([path])[path]
        assert why.endswith(f", run: {annex} {words}")
        said = run_in(clone, "sh", "-c", f"{annex} {words}".replace("FOLDER", str(store)))
    safe = re.search(r"--safe \d+", said)[0].split()
    run_in(clone, "git", "annex", "verifyremote", odd, *safe)
    store.rename(tmp_path / "moved")
    assert fetch([path])[path].endswith(f"has moved, run: {annex} enableremote '{odd}'")
    (tmp_path / "moved").rename(store)
    assert fetch([path]) == {}
    assert not list(tmp_path.rglob("evil"))


def test_files_of_a_dataset_below_and_behind_a_link_are_fetched(archive, files, tmp_path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    run_in(outer, "git", "init", "--quiet")
    shutil.move(archive, outer / "inner")
    (outer / "link").symlink_to("inner/audio")
    paths = [outer / "link" / HOSTILE_NAMES[1], outer / "inner/audio" / HOSTILE_NAMES[2]]
    assert fetch(paths) == {}
    assert not any(lacks_content(one) for one in paths)


def test_repositories_are_told_apart(archive, tmp_path) -> None:
    plain, bare = tmp_path / "plain", tmp_path / "git"
    plain.mkdir()
    bare.mkdir()
    run_in(bare, "git", "init", "--quiet")
    assert find_repository(plain) is None
    assert find_repository(archive / "audio") == Repository(archive.resolve())
    repository = find_repository(archive)
    assert (repository.is_datalad, repository.is_annexed()) == (True, True)
    assert (Repository(bare).is_datalad, Repository(bare).is_annexed()) == (False, False)


def test_variables_of_another_repository_do_not_mislead(archive, files, monkeypatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere/index")
    assert fetch(files[:1]) == {}


def test_a_failing_command_says_where_and_in_its_own_words(archive) -> None:
    with pytest.raises(RepositoryFailed, match="no-such-branch") as caught:
        Repository(archive).git("switch", "no-such-branch")
    assert caught.value.where == str(archive)


def test_programs_beside_python_are_found_and_lacking_ones_are_named(
    archive, files, monkeypatch, tmp_path
) -> None:
    (tmp_path / "git").symlink_to(shutil.which("git"))  # alone, wherever git-annex is
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program("git-annex") is not None
    monkeypatch.setattr(programs.sys, "executable", "/nowhere/python")
    with pytest.raises(ProgramMissing, match="git-annex"):
        Repository(archive).git("annex", "version")
    assert "git-annex is not there" in fetch(files[:1])[files[0]]
    assert os.environ["PATH"] == str(tmp_path)
