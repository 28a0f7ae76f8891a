"""The lines that BADC keeps in a dataset's .gitignore and .gitattributes."""

import subprocess
from pathlib import Path

import pytest
from support.archives import run_in

from badc_core.errors import ContentMissing
from badc_core.provenance.tracking import write_tracking_rules


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    run_in(tmp_path, "git", "init", "--quiet")
    return tmp_path


def is_ignored(root: Path, path: str) -> bool:
    words = ("git", "check-ignore", "--quiet", path)
    return subprocess.run(words, cwd=root, check=False).returncode == 0


def large_files(root: Path, path: str) -> str:
    return run_in(root, "git", "check-attr", "annex.largefiles", path).rpartition(": ")[2].strip()


def test_a_plain_folder_gets_none(tmp_path: Path) -> None:
    assert write_tracking_rules(tmp_path) == ()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", [".", "projects/été 'n' co"])
def test_work_in_progress_is_ignored_and_text_is_in_git(repository: Path, below: str) -> None:
    root = repository / below
    root.mkdir(parents=True, exist_ok=True)
    assert {path.name for path in write_tracking_rules(root)} == {".gitignore", ".gitattributes"}
    for path in (
        ".badc/registry.lock",
        "artifacts/infer/.badc/journals/a.jsonl",
        "artifacts/.report.html.0123456789ab-77-01234567.part",
        "artifacts/corpus/.corpus.duckdb.0123456789ab-77-01234567.part.wal",
        "artifacts/chunks/a/.chunk_lock",
    ):
        assert is_ignored(root, path), path
    assert not is_ignored(root, "artifacts/chunks/a/.chunk_status.json")
    small = "largerthan=1mb"
    assert [
        large_files(root, path)
        for path in ("recordings.csv", "manifests/a.csv", "artifacts/recordings/a.json")
    ] == ["nothing", small, small]
    assert large_files(root, "artifacts/aggregate/a_report.html") == "anything"
    assert large_files(root, "audio/a.wav") == "unspecified"
    assert large_files(root, "audio/recordings.csv") == "unspecified"


def test_a_second_time_nothing_is_written(repository: Path) -> None:
    changed = write_tracking_rules(repository)
    before = [path.stat() for path in changed]
    assert write_tracking_rules(repository) == ()
    assert [path.stat() for path in changed] == before


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_every_other_byte_is_kept(repository: Path, end: bytes) -> None:
    path = repository / ".gitignore"
    mine = b"\xef\xbb\xbf*.bak" + end + b"caf\xe9 \\ " + end + end + b"last"
    path.write_bytes(mine)
    write_tracking_rules(repository)
    written = path.read_bytes()
    assert written.startswith(mine + end)
    assert written.count(b"\n") == written.count(end)
    # Lines below it, and another version of the block.
    older = written.replace(b".badc/", b".older/") + b"!mine" + end
    path.write_bytes(older)
    assert write_tracking_rules(repository) == (path,)
    assert path.read_bytes() == written + b"!mine" + end


def test_lines_below_the_block_win(repository: Path) -> None:
    write_tracking_rules(repository)
    with (repository / ".gitattributes").open("a") as file:
        file.write("*.csv annex.largefiles=anything\n")
    assert write_tracking_rules(repository) == ()
    assert large_files(repository, "recordings.csv") == "anything"


def test_an_annexed_file_is_replaced_not_written_to(repository: Path) -> None:
    stored = repository / ".git" / "annex" / "objects" / "key"
    stored.parent.mkdir(parents=True)
    stored.write_bytes(b"*.bak\n")
    path = repository / ".gitignore"
    path.symlink_to(".git/annex/objects/key")
    write_tracking_rules(repository)
    assert not path.is_symlink()
    assert path.read_bytes().startswith(b"*.bak\n\n# BADC: begin")
    assert stored.read_bytes() == b"*.bak\n"
    path.unlink()
    path.symlink_to(".git/annex/objects/gone")
    with pytest.raises(ContentMissing, match="datalad get"):
        write_tracking_rules(repository)


@pytest.mark.parametrize("ignored", ["data/", "/data/demo", "demo/"])
def test_a_dataset_that_its_repository_ignores_gets_none(repository: Path, ignored: str) -> None:
    root = repository / "data" / "demo"
    (root / "audio").mkdir(parents=True)
    (root / "audio" / "a.wav").touch()
    (repository / ".gitignore").write_text(f"{ignored}\n")
    assert write_tracking_rules(root) == ()
    (repository / ".gitignore").write_text("*.bak\n")
    assert len(write_tracking_rules(root)) == 2


def test_an_ignored_folder_may_begin_with_a_colon(repository: Path) -> None:
    root = repository / ":y"
    (root / "audio").mkdir(parents=True)
    (repository / ".gitignore").write_text(":y/\n")
    assert write_tracking_rules(root) == ()
