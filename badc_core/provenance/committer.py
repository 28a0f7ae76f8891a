"""Commits what BADC wrote into the repository of a dataset: one commit at a time.

Only files that are given are committed, whatever else lies there; what somebody has staged stays
staged. What a commit says is in `records.py`; when there is one, in the steps and commands.
"""

import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from badc_core.annexed_files import quote_path
from badc_core.atomic import naming_storage_trouble
from badc_core.errors import RepositoryFailed
from badc_core.locks import locked
from badc_core.provenance.annex import Repository
from badc_core.provenance.records import RunRecord

_log = logging.getLogger(__name__)
T = TypeVar("T")

_BUSY = (".lock': File exists", "cannot lock ref", "index.lock")
"""Said by git and git-annex while another git program, such as the user's, changes the same."""

_LOCK = re.compile(r"'(/[^'\n]+\.lock)': File exists")
_PATIENCE_S = 120.0
_COMMIT_LIMIT_S = 300.0
"""Hooks run in a commit, and it may be signed; either may wait for somebody who is not there."""

_NOT_SIGNED = "failed to write commit object"
_SIGN = (
    "If it could not be signed, unlock the key, so that its agent asks for no passphrase, or run: "
    "git config commit.gpgSign false"
)
_UNFINISHED = {
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
}
_ADJUSTED = "adjusted/"


class Committer:
    """Commits files of one dataset, in turn with every other process that does.

    Args:
        root: the dataset's folder, in the repository.
        repository: git-annex keeps its large files.
        lock: a file that is locked meanwhile, the same for all committers of the dataset.
    """

    def __init__(self, root: Path, repository: Repository, lock: Path) -> None:
        self._root = root
        self._repository = repository
        self._base = root.resolve()
        self._lock = lock

    def require_ready(self) -> None:
        """Returns if commits can be made.

        Raises:
            ProgramMissing: git or git-annex is not there.
            RepositoryFailed: nobody is said to be the author, or something else is unfinished.
        """
        try:
            self._repository.git("var", "GIT_COMMITTER_IDENT")
        except RepositoryFailed as error:
            raise RepositoryFailed(
                "git does not know who makes commits",
                self._repository.root,
                'Run: git config --global user.name "NAME"; git config --global user.email ADDRESS',
            ) from error
        self._repository.git("annex", "version", "--raw")
        self._require_nothing_unfinished()

    def commit(self, paths: Iterable[Path], record: RunRecord | str) -> str:
        """Commits files, and returns the commit that has them as they are now.

        Where nothing of them has changed there is no new one.

        Args:
            paths: absolute, in the dataset: files, and folders with all files in them, that were
                written or removed.
            record: how they came about, or a plain message.

        Raises:
            ProgramMissing: git or git-annex is not there.
            RepositoryFailed: git or git-annex refuses.
            StorageFull, OutputUnwritable: the lock cannot be created.
        """
        given = [self._base / one.relative_to(self._root) for one in paths]
        with locked(self._lock):
            return self._patiently(lambda: self._commit(given, record))

    def find_changed(self, paths: Iterable[Path]) -> list[Path]:
        """Returns the files, of those given and in folders given, that no commit has as they are.

        Ignored ones are not among them. Takes as long as the dataset is large.

        Args:
            paths: absolute, in the dataset.
        """
        inside = [str(one.relative_to(self._root)) for one in paths]
        words = ("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
        prefix = self._base.relative_to(self._repository.root)
        found = self._repository.git(
            *("--no-optional-locks", "--literal-pathspecs", *words, "--"),
            *(str(prefix / one) for one in inside),
        )
        names = [line[3:] for line in found.split("\0") if line]
        return [self._root / Path(one).relative_to(prefix) for one in names]

    def _commit(self, paths: Sequence[Path], record: RunRecord | str) -> str:
        self._require_nothing_unfinished()
        wanted = self._stage(paths)
        staged = self._names("diff", "--cached", "--name-only", "--no-renames")
        ours = wanted & staged
        if ours:
            self._make_commit(ours, self._render(record), is_all=ours == staged)
        return self._settle()

    def _stage(self, paths: Sequence[Path]) -> set[str]:
        """Brings the index up to date with files; returns their names in the repository."""
        repository = self._repository
        here = [file for path in paths for file in _files(path)]
        wanted = {self._name(one) for one in here}
        refused = repository.annex_batch("add", [repository.root / one for one in sorted(wanted)])
        if refused:
            path, why = next(iter(refused.items()))
            raise RepositoryFailed(f"git-annex does not add it: {why}", path, "Correct that")
        gone = self._find_gone(paths, wanted)
        if gone:
            repository.git("update-index", "--remove", "-z", "--stdin", paths=map(Path, gone))
        return wanted | gone

    def _find_gone(self, paths: Sequence[Path], here: set[str]) -> set[str]:
        """Returns the names of files that the last commit has, and that are gone."""
        lost = [self._name(one) for one in paths if self._may_have_lost(one)]
        if not lost or not self._has_commits():
            return set()
        words = ("--literal-pathspecs", "ls-tree", "-r", "-z", "--name-only", "HEAD", "--")
        known = {one for one in self._repository.git(*words, *lost).split("\0") if one}
        return known - here

    def _may_have_lost(self, path: Path) -> bool:
        return not os.path.lexists(path) or (path.is_dir() and not path.is_symlink())

    def _has_commits(self) -> bool:
        """Whether the branch has any; that of git-annex does not count."""
        try:
            self._repository.git("rev-parse", "--verify", "--quiet", "HEAD")
        except RepositoryFailed:
            return False
        return True

    def _make_commit(self, names: set[str], message: str, is_all: bool) -> None:
        """Makes a commit of staged files; of all there are, or in spite of others."""
        file = self._lock.with_name("commit_message")
        with naming_storage_trouble(file):
            file.write_text(message, encoding="utf-8", errors="surrogateescape")
        words = ["--literal-pathspecs", "commit", "--quiet", "--cleanup=verbatim"]
        words += ["--file", str(file.absolute())]
        paths: list[Path] = []
        if not is_all:
            words += ["--only", "--pathspec-from-file=-", "--pathspec-file-nul"]
            paths = [Path(one) for one in sorted(names)]
        try:
            self._repository.git(*words, paths=paths, limit_s=_COMMIT_LIMIT_S)
        except RepositoryFailed as error:
            if _NOT_SIGNED in error.what:
                raise RepositoryFailed(error.what, error.where, _SIGN) from error
            raise
        finally:
            file.unlink(missing_ok=True)

    def _render(self, record: RunRecord | str) -> str:
        if isinstance(record, str):
            return record + "\n"
        folder = self._base.relative_to(self._repository.root).as_posix()
        return record.render(folder, self._dataset_id())

    def _dataset_id(self) -> str:
        """Returns DataLad's id of the repository; empty where it is no DataLad dataset."""
        if not self._repository.is_datalad:
            return ""
        words = ("config", "--file", ".datalad/config", "--default", "")
        return self._repository.git(*words, "--get", "datalad.dataset.id").strip()

    def _settle(self) -> str:
        """Returns the newest commit, if any; of an adjusted branch that of its original branch."""
        if not self._has_commits():
            return ""
        branch = self._repository.git("rev-parse", "--abbrev-ref", "HEAD").strip()
        if not branch.startswith(_ADJUSTED):
            return self._repository.git("rev-parse", "HEAD").strip()
        off = ("--no-push", "--no-pull", "--no-commit", "--no-resolvemerge", "--no-content")
        self._repository.git("annex", "sync", "--quiet", *off)
        original = branch.removeprefix(_ADJUSTED).rpartition("(")[0]
        return self._repository.git("rev-parse", f"refs/heads/{original}").strip()

    def _require_nothing_unfinished(self) -> None:
        folder = Path(self._repository.git("rev-parse", "--absolute-git-dir").rstrip("\n"))
        for name, what in _UNFINISHED.items():
            if (folder / name).exists():
                raise RepositoryFailed(
                    f"{what} is unfinished in it, which a commit would end",
                    self._repository.root,
                    "End it, then run again: what was written is committed then",
                )

    def _names(self, *words: str) -> set[str]:
        return {one for one in self._repository.git(*words, "-z").split("\0") if one}

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self._repository.root))

    def _patiently(self, work: Callable[[], T]) -> T:
        """Returns what `work` does, again and again while another git program is at work.

        A program that was killed leaves its lock file for ever, so an old one is not waited for.
        """
        until_s = time.monotonic() + _PATIENCE_S
        wait_s = 0.1
        while True:
            try:
                return work()
            except RepositoryFailed as error:
                if not any(word in error.what for word in _BUSY):
                    raise
                lock = _find_lock(error)
                if time.monotonic() > until_s or _is_old(lock):
                    raise _still_locked(error, lock) from error
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, 2.0)


def _find_lock(error: RepositoryFailed) -> Path | None:
    """Returns the lock file that git found; None where it does not name one."""
    found = _LOCK.search(error.what)
    return Path(found[1]) if found else None


def _still_locked(error: RepositoryFailed, lock: Path | None) -> RepositoryFailed:
    remedy = "If no git program is at work there, remove {}; then run again"
    if lock is None:
        return RepositoryFailed(error.what, error.where, remedy.format("the lock file"))
    what = "git's lock is there, so nothing can be committed"
    return RepositoryFailed(what, lock, remedy.format(f"it: rm {quote_path(lock)}"))


def _is_old(lock: Path | None) -> bool:
    """Returns whether a lock file is older than waiting is worth."""
    try:
        return lock is not None and time.time() - lock.stat().st_mtime > _PATIENCE_S
    except OSError:
        return False  # mostly because it is gone


def _files(path: Path) -> Iterator[Path]:
    """Yields a file or link, or all of them in a folder."""
    if path.is_symlink() or not path.is_dir():
        if os.path.lexists(path):
            yield path
        return
    for folder, _, names in os.walk(path):
        yield from (Path(folder, one) for one in names)
