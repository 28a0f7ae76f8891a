"""Commits of results: one at a time, only what is given, with a record that DataLad reads."""

import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from datalad.local.rerun import get_run_info
from support.archives import run_in
from support.built_once import build_once

from badc_core.datasets.dataset import Dataset
from badc_core.errors import RepositoryFailed
from badc_core.provenance.annex import Repository
from badc_core.provenance.commits import Commits
from badc_core.provenance.committer import Committer
from badc_core.provenance.records import RunRecord

RECORD = RunRecord("Make it", (["cp", "a {b}", "x*"],), ("a {b}",), ("x*",))


@pytest.fixture(scope="module")
def created(tmp_path_factory):
    return build_once(tmp_path_factory, "created", lambda one: run_in(one, "datalad", "create"))


@pytest.fixture
def root(created, tmp_path):
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(created), str(copy)], check=True)
    with (copy / ".gitattributes").open("a", encoding="utf-8") as file:
        file.write("*.txt annex.largefiles=nothing\n")
    run_in(copy, "git", "commit", "-qam", "Keep text in git")
    (copy / "audio").mkdir()
    return copy


@pytest.fixture
def committer(root):
    return Committer(root, Repository(root), root / ".git" / "test.lock")


def write(root, name, content="something"):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        path.unlink()
    path.write_text(content, encoding="utf-8")
    return path


def status(root):
    return run_in(root, "git", "status", "--porcelain")


def changed_in(root, commit="HEAD"):
    names = run_in(root, "git", "show", "--format=", "--name-only", "-z", commit)
    return sorted(one for one in names.split("\0") if one)


def test_files_are_committed_text_in_git_and_others_annexed(root, committer):
    text, table = write(root, "out/a.txt"), write(root, "out/b.parquet")
    commit = committer.commit([text, table], "Add both")
    assert commit == run_in(root, "git", "rev-parse", "HEAD").strip()
    assert changed_in(root) == ["out/a.txt", "out/b.parquet"]
    assert not text.is_symlink()
    assert "annex/objects" in str(table.readlink())
    assert status(root) == ""


def test_only_what_is_given_is_committed_and_what_is_staged_stays_staged(root, committer):
    write(root, "mine.txt")
    staged = write(root, "staged.txt")
    run_in(root, "git", "add", "staged.txt")
    committer.commit([write(root, "out/a.txt")], "Add one")
    assert changed_in(root) == ["out/a.txt"]
    assert status(root) == "A  staged.txt\n?? mine.txt\n"
    assert staged.exists()


def test_a_folder_is_committed_with_what_vanished_from_it(root, committer):
    for name in ("a.txt", "b.bin", "c.bin"):
        write(root, f"out/{name}")
    committer.commit([root / "out"], "Add all")
    for name in ("b.bin", "a.txt"):
        (root / "out" / name).unlink()
    committer.commit([root / "out"], "Remove two")
    assert changed_in(root) == ["out/a.txt", "out/b.bin"]
    assert status(root) == ""


def test_a_file_that_vanished_or_never_was_is_no_trouble(root, committer):
    gone = write(root, "gone.txt")
    committer.commit([gone, root / "never.txt"], "Add")
    gone.unlink()
    committer.commit([gone, root / "never.txt"], "Remove")
    assert changed_in(root) == ["gone.txt"]
    assert status(root) == ""


def test_nothing_changed_makes_no_commit(root, committer):
    table = write(root, "b.parquet")
    first = committer.commit([table], RECORD)
    write(root, "b.parquet")
    assert committer.commit([table], RECORD) == first
    assert status(root) == ""


def test_ignored_files_stay_out(root, committer):
    write(root, ".gitignore", "*.duckdb\n")
    committer.commit([root / ".gitignore"], "Ignore")
    committer.commit([write(root, "a.txt"), write(root, "b.duckdb")], "Add")
    assert changed_in(root) == ["a.txt"]


def test_datalad_reads_the_record(root, committer):
    from datalad.api import Dataset as DataladDataset  # noqa: PLC0415  (a second)

    committer.commit([write(root, "x.bin")], RECORD)
    message = run_in(root, "git", "log", "-1", "--format=%B")
    subject, record = get_run_info(DataladDataset(str(root)), message)
    assert subject == "Make it"
    assert record["cmd"] == "cp 'a {{b}}' 'x*'"
    assert (record["inputs"], record["outputs"]) == (["a {{b}}"], ["x[*]"])
    assert (record["pwd"], record["chain"]) == (".", [])
    assert record["dsid"] == DataladDataset(str(root)).id


def test_a_record_in_a_folder_of_the_repository_is_run_there(root):
    (root / "inner" / "audio").mkdir(parents=True)
    inner = Committer(root / "inner", Repository(root), root / ".git" / "test.lock")
    inner.commit([write(root, "inner/x.bin")], RECORD)
    text = run_in(root, "git", "log", "-1", "--format=%B")
    record = json.loads(text.split("===\n")[-1].split("\n^^^")[0])
    assert record["pwd"] == "inner"  # noqa: S105
    assert changed_in(root) == ["inner/x.bin"]


def test_what_the_user_locks_is_waited_for(root, committer):
    lock = write(root, ".git/index.lock", "")
    with ThreadPoolExecutor(1) as executor:
        made = executor.submit(committer.commit, [write(root, "a.txt")], "Add")
        time.sleep(1)
        assert not made.done()
        lock.unlink()
        made.result(timeout=60)
    assert changed_in(root) == ["a.txt"]


def test_a_lock_that_a_killed_git_left_is_named_at_once(root, committer):
    lock = write(root, ".git/index.lock", "")
    os.utime(lock, (0, 0))
    began_s = time.monotonic()
    with pytest.raises(RepositoryFailed, match=rf"remove it: rm {lock}"):
        committer.commit([write(root, "a.txt")], "Add")
    assert time.monotonic() - began_s < 60


def test_many_committers_take_turns(root):
    def commit(number):
        one = Committer(root, Repository(root), root / ".git" / "test.lock")
        return one.commit([write(root, f"out/{number}.bin", str(number))], f"Add {number}")

    with ThreadPoolExecutor(4) as executor:
        commits = list(executor.map(commit, range(4)))
    assert len(set(commits)) == 4
    assert status(root) == ""
    run_in(root, "git", "fsck")
    run_in(root, "git", "annex", "fsck", "--fast")


def test_a_merge_of_the_users_is_not_ended(root, committer):
    write(root, ".git/MERGE_HEAD", run_in(root, "git", "rev-parse", "HEAD"))
    with pytest.raises(RepositoryFailed, match="a merge is unfinished"):
        committer.commit([write(root, "a.txt")], "Add")


def test_a_folder_is_committed_first_of_all(tmp_path):
    root = tmp_path / "new"
    root.mkdir()
    for words in (("init", "-q"), ("annex", "init", "-q")):
        run_in(root, "git", *words)
    committer = Committer(root, Repository(root), root / ".git" / "test.lock")
    (root / "empty").mkdir()
    assert committer.commit([root / "empty"], "Add") == ""
    write(root, "out/a.txt")
    committer.commit([root / "out"], "Add")
    assert changed_in(root) == ["out/a.txt"]


def test_without_a_name_git_refuses_and_says_how_to_give_one(root, committer, monkeypatch):
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL"):
        monkeypatch.delenv(name)
    monkeypatch.delenv("GIT_COMMITTER_EMAIL")
    run_in(root, "git", "config", "user.useConfigOnly", "true")
    with pytest.raises(RepositoryFailed, match=r"git config --global user\.name"):
        committer.require_ready()
    said = []
    commits = Commits(Dataset.open(root), said.append)
    assert not commits.are_made
    assert "git config --global user.name" in said[0]
    with pytest.raises(RepositoryFailed):
        Commits(Dataset.open(root, {"datalad": {"record": "require"}}), said.append)


def test_a_hook_that_refuses_costs_no_result_unless_commits_are_required(root):
    hook = write(root, ".git/hooks/commit-msg", "#!/bin/sh\necho no such message >&2\nexit 1\n")
    hook.chmod(0o755)
    said = []
    commits = Commits(Dataset.open(root), said.append)
    assert commits.commit([write(root, "a.txt")], "Add") == ""
    assert commits.commit([write(root, "b.txt")], "Add") == ""
    assert len(said) == 1
    assert "no such message" in said[0]
    required = Commits(Dataset.open(root, {"datalad": {"record": "require"}}), said.append)
    with pytest.raises(RepositoryFailed, match="no such message"):
        required.commit([root / "a.txt"], "Add")


def test_a_hook_that_hangs_is_stopped_with_all_it_started(root, committer, monkeypatch):
    monkeypatch.setattr("badc_core.provenance.committer._COMMIT_LIMIT_S", 1.0)
    started = root / "started"
    hook = write(root, ".git/hooks/commit-msg", f"#!/bin/sh\necho $$ > {started}\nsleep 1000\n")
    hook.chmod(0o755)
    with pytest.raises(RepositoryFailed, match="was not done after 1 s, and was stopped"):
        committer.commit([write(root, "a.txt")], "Add")
    words = ["ps", "-o", "stat=", "-p", started.read_text(encoding="utf-8").strip()]
    left = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    assert left == "" or left.startswith("Z")
    hook.unlink()
    committer.commit([root / "a.txt"], "Add")
    assert changed_in(root) == ["a.txt"]


def test_commits_are_signed_where_that_needs_nobody(root, committer, tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    for name, passphrase in (("open", ""), ("closed", "secret")):
        words = ("-q", "-t", "ed25519", "-N", passphrase, "-f", str(tmp_path / name))
        run_in(root, "ssh-keygen", *words)
    run_in(root, "git", "config", "gpg.format", "ssh")
    run_in(root, "git", "config", "commit.gpgSign", "true")
    run_in(root, "git", "config", "user.signingKey", str(tmp_path / "open"))
    commit = committer.commit([write(root, "a.txt")], "Add")
    assert "gpgsig" in run_in(root, "git", "cat-file", "commit", commit)
    run_in(root, "git", "config", "user.signingKey", str(tmp_path / "closed"))
    with pytest.raises(RepositoryFailed, match="unlock the key"):
        committer.commit([write(root, "b.txt")], "Add")


def test_a_plain_folder_is_left_alone(tmp_path):
    (tmp_path / "audio").mkdir()
    said = []
    commits = Commits(Dataset.open(tmp_path), said.append)
    assert (commits.are_made, commits.commit([], "Add"), said) == (False, "", [])
    with pytest.raises(RepositoryFailed, match="no git repository"):
        Commits(Dataset.open(tmp_path, {"datalad": {"record": "require"}}), said.append)
    run_in(tmp_path, "git", "init", "-q")
    assert not Commits(Dataset.open(tmp_path), said.append).are_made


def test_off_commits_nothing(root):
    commits = Commits(Dataset.open(root, {"datalad": {"record": "off"}}), print)
    assert not commits.are_made


def test_an_adjusted_branch_gets_the_commit_on_both(root, committer):
    committer.commit([write(root, "a.bin")], "Add")
    branch = run_in(root, "git", "branch", "--show-current").strip()
    run_in(root, "git", "annex", "adjust", "--unlock")
    commit = committer.commit([write(root, "b.bin", "more")], RECORD)
    assert run_in(root, "git", "rev-parse", branch).strip() == commit
    assert changed_in(root, commit) == ["b.bin"]
    assert status(root) == ""
    assert (root / "b.bin").read_text(encoding="utf-8") == "more"
