"""Repositories of git and git-annex: finds them, asks them, gets and drops contents of files.

Arguments are lists, and paths go through standard input, each ended by NUL, so that no name is
taken for an option, pattern or command. How programs are started is in `programs.py`; what is
committed is decided in `records.py`; whether a content is here, in `annexed_files.py`.
"""

import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event

from badc_core.annexed_files import find_root, lacks_content
from badc_core.errors import ProgramMissing, RepositoryFailed
from badc_core.provenance.programs import has_terminal, program_failed, run_program
from badc_core.provenance.remote_advice import RemoteAdvice

_AT_ONCE = "-J4"
_GIVING_UP = ("-c", "annex.stalldetection=1KB/2m")
"""Of a transfer that began and in which nothing moves: measured, after eight times that."""

_DROP_LIMIT_S = 300.0
"""git-annex asks other machines whether they have the content, and one may not answer."""

_IN_TRANSFER = "transfer already in progress"
_PATIENCE_S = 900.0
"""For a content that another program is fetching: long enough for gigabytes."""

_ANNEX_BRANCHES = ("refs/heads/git-annex", "refs/remotes/*/git-annex")


@dataclass(frozen=True)
class Repository:
    """A git repository.

    Args:
        root: of its working tree, absolute.
    """

    root: Path

    @property
    def is_datalad(self) -> bool:
        """Whether it is a DataLad dataset."""
        return (self.root / ".datalad").is_dir()

    def is_annexed(self) -> bool:
        """Returns whether git-annex keeps files in it; also where it is a fresh clone of such one.

        Raises:
            ProgramMissing, RepositoryFailed: git is not there or refuses.
        """
        found = self.git("for-each-ref", "--count=1", "--format=%(refname)", *_ANNEX_BRANCHES)
        return bool(found.strip())

    def git(
        self,
        *arguments: str,
        paths: Iterable[Path] = (),
        text: str = "",
        limit_s: float | None = None,
    ) -> str:
        """Returns what git writes, run in the repository's root; `annex` is its first argument too.

        Args:
            arguments: of git.
            paths: for its standard input, absolute or relative to the root, each ended by NUL:
                for commands with `--pathspec-from-file=- --pathspec-file-nul`, or `--stdin -z`.
            text: for its standard input, in front of the paths.
            limit_s: after which it is stopped; with a limit it cannot ask anything at a terminal.

        Raises:
            ProgramMissing: there is no git, or no git-annex.
            RepositoryFailed: it fails, and the message has its own words; or it was stopped.
        """
        content = text.encode("utf-8", "surrogateescape") + self._as_input(paths)
        words = ("git", *arguments)
        ended = run_program(words, self.root, content, limit_s)
        if ended.returncode:
            raise program_failed(words, self.root, ended)
        return ended.stdout.decode("utf-8", "surrogateescape")

    def read(self, *arguments: str, text: str = "") -> str:
        """Returns what git writes that only reads: not even the index is brought up to date.

        Args:
            arguments: of git; paths among them are no patterns.
            text: for its standard input.

        Raises:
            ProgramMissing, RepositoryFailed: git is not there or refuses.
        """
        return self.git("--no-optional-locks", "--literal-pathspecs", *arguments, text=text)

    def annex_batch(
        self,
        command: str,
        paths: Iterable[Path],
        options: Sequence[str] = (),
        limit_s: float | None = None,
        unneeded: Event | None = None,
    ) -> dict[Path, str]:
        """Returns why a command of git-annex failed, for each path it failed for.

        One process for all paths, except those with a line break in them. Those that need nothing
        done are no failure.

        Args:
            command: of git-annex, with a batch mode that takes file names.
            paths: absolute, or relative to the root.
            options: of the command.
            limit_s: as of `git`.
            unneeded: is set once nobody needs the command any more, which is stopped then.

        Raises:
            ProgramMissing: there is no git, or no git-annex.
            RepositoryFailed: the command itself failed, or was stopped.
        """
        some = [_relative(self.root, path) for path in paths]
        # git-annex asks `git cat-file --batch` about each, which reads line by line.
        odd = [path for path in some if "\n" in str(path)]
        plain = [path for path in some if "\n" not in str(path)]
        words = ("git", "annex", command, "--json", "--json-error-messages", *options)
        run = partial(self._failures, limit_s=limit_s, unneeded=unneeded)
        failed: dict[Path, str] = {}
        if plain:
            failed |= run((*words, "--batch", "-z"), self._as_input(plain))
        if odd:
            failed |= run((*words, "--", *map(str, odd)), b"")
        return failed

    def _failures(
        self, words: Sequence[str], content: bytes, limit_s: float | None, unneeded: Event | None
    ) -> dict[Path, str]:
        """Returns path -> reason of what failed in a command of git-annex that writes JSON."""
        ended = run_program(words, self.root, content, limit_s, unneeded)
        lines = [line for line in ended.stdout.split(b"\n") if line.startswith(b"{")]
        results = [json.loads(line.decode("utf-8", "replace")) for line in lines]
        failed = [one for one in results if not one.get("success", True) and one.get("file")]
        # git-annex 10 ends with 0 also where git could not have the index: what it added is lost.
        if (ended.returncode and not failed) or b"fatal: " in ended.stderr:
            raise program_failed(words, self.root, ended)
        advice = RemoteAdvice(self.root, self.read)
        return {self.root / one["file"]: advice.explain(one) for one in failed}

    def _as_input(self, paths: Iterable[Path]) -> bytes:
        return b"".join(os.fsencode(_relative(self.root, path)) + b"\0" for path in paths)


def clone_repository(program: str, url: str, folder: Path) -> None:
    """Clones a repository; what fails half way is left as it is.

    Args:
        program: `git` or `datalad`.
        url: of the repository.
        folder: to clone it to, absolute; not there yet.

    Raises:
        ProgramMissing: the program is not there.
        RepositoryFailed: it fails; the message has its own words.
    """
    quietly = ("-l", "error") if program == "datalad" else ()
    ended = run_program((program, *quietly, "clone", "--", url, str(folder)), folder.parent)
    if ended.returncode:
        raise program_failed((program, "clone", url), folder.parent, ended)


def find_repository(folder: Path) -> Repository | None:
    """Returns the repository a folder is in, by its real path; None where it is in none."""
    root = find_root(folder.resolve())
    return None if root is None else Repository(root)


def fetch(paths: Iterable[Path], unneeded: Event | None = None) -> dict[Path, str]:
    """Gets the contents of annexed files, several at once; returns path -> why for those not here.

    Files may be in several repositories, such as a dataset and those below it. What another
    program is fetching is waited for.

    Args:
        paths: of files, absolute; those whose content is here cost nothing.
        unneeded: is set once nobody needs them any more, so that nothing more is fetched.
    """
    unneeded = unneeded or Event()
    until_s, wait_s = time.monotonic() + _PATIENCE_S, 0.5
    wanted, failed = list(paths), dict[Path, str]()
    # With it, transfers are processes in the background, which cannot ask at a terminal.
    options = () if has_terminal() else _GIVING_UP
    while True:
        lacking = [one for one in wanted if lacks_content(one)]
        failed |= _in_repositories("get", lacking, lacks_content, options, unneeded=unneeded)
        wanted = [path for path, why in failed.items() if _IN_TRANSFER in why]
        if not wanted or time.monotonic() > until_s or unneeded.wait(wait_s):
            return failed
        for path in wanted:
            del failed[path]
        wait_s = min(2 * wait_s, 5.0)


def drop(paths: Iterable[Path]) -> dict[Path, str]:
    """Drops the contents of annexed files; returns path -> why for those still here.

    git-annex refuses where there would be fewer copies elsewhere than `numcopies` asks for.

    Args:
        paths: of files, absolute; those whose content is not here cost nothing.
    """
    here = [one for one in paths if one.exists() and not lacks_content(one)]
    return _in_repositories("drop", here, lambda one: not lacks_content(one), limit_s=_DROP_LIMIT_S)


def check_contents(paths: Iterable[Path]) -> None:
    """Has git-annex read contents of annexed files in full; damaged ones it puts away.

    After that these are not here, and can be fetched from elsewhere or made again. As long as they
    are, adding a new file with the right content keeps the damaged one.

    Args:
        paths: of files, absolute.

    Raises:
        ProgramMissing: there is no git, or no git-annex.
    """
    for path in paths:
        real = path.parent.resolve() / path.name
        repository = find_repository(real.parent)
        if repository is not None:
            with suppress(RepositoryFailed):  # as it calls a check that found something
                repository.git(
                    "annex", "fsck", "--quiet", "--", str(_relative(repository.root, real))
                )


def _in_repositories(
    command: str,
    paths: Iterable[Path],
    is_undone: Callable[[Path], bool],
    options: Sequence[str] = (),
    limit_s: float | None = None,
    unneeded: Event | None = None,
) -> dict[Path, str]:
    """Runs a command of git-annex in the repositories of paths; returns path -> why it failed."""
    groups: dict[Path, dict[Path, Path]] = defaultdict(dict)
    failed: dict[Path, str] = {}
    for path in paths:
        # Behind a link to a folder git knows no files; where that leads to, it does.
        real = path.parent.resolve() / path.name
        repository = find_repository(real.parent)
        if repository is None:
            failed[path] = "it is in no git repository"
        else:
            groups[repository.root][real] = path
    for root, real_paths in groups.items():
        try:
            repository, words = Repository(root), (_AT_ONCE, *options)
            why = repository.annex_batch(command, real_paths, words, limit_s, unneeded)
        except (ProgramMissing, RepositoryFailed) as error:
            why = dict.fromkeys(real_paths, str(error))
        for real, path in real_paths.items():
            if is_undone(path):
                failed[path] = why.get(real, "git-annex does not know it")
    return failed


def _relative(root: Path, path: Path) -> Path:
    return path.relative_to(root) if path.is_absolute() else path
