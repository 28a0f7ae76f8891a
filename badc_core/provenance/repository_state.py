"""What a repository is like now: its branch and commit, what is changed, which contents are here.

Nothing is written, not even git's index, and git-annex is not started: it would merge what other
repositories know.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from badc_core.annexed_files import find_root, lacks_content, size_of_key
from badc_core.provenance.annex import Repository, find_repository

_VERIFIED = "annex-verified"
_SUBMODULE = "160000"
_OBJECTS = "/annex/objects/"
_LONGEST_KEY_BYTES = 1_024


@dataclass(frozen=True)
class Contents:
    """Annexed files of a folder.

    Attributes:
        n_files: how many there are.
        n_here: whose content is on this machine.
        size_bytes: of all contents whose size is known.
        here_bytes: of those on this machine.
    """

    n_files: int = 0
    n_here: int = 0
    size_bytes: int = 0
    here_bytes: int = 0


@dataclass(frozen=True)
class RepositoryState:
    """A repository.

    Attributes:
        branch: its branch; empty where it is on none.
        commit: its commit; empty before the first.
        n_changed: changed or new files that are not committed.
        contents: of its annexed files.
        siblings: name -> URL of the repositories it knows.
        unverified: special remotes that git-annex does not use until somebody says they are safe.
    """

    branch: str
    commit: str
    n_changed: int
    contents: Contents
    siblings: dict[str, str]
    unverified: tuple[str, ...] = ()


def read_state(folder: Path) -> RepositoryState | None:
    """Returns the state of the repository that a folder is in; None where it is in none.

    Changed files and contents are counted in the folder only.

    Raises:
        ProgramMissing, RepositoryFailed: git is not there, or refuses.
    """
    repository = find_repository(folder)
    if repository is None:
        return None
    part = folder.resolve().relative_to(repository.root).as_posix()
    words = ("status", "--porcelain=v2", "--branch", "-z", "--no-renames", "--", part)
    lines = repository.read(*words).split("\0")[:-1]
    told = dict(one.split(" ", 2)[1:] for one in lines if one.startswith("# "))
    branch, commit = told["branch.head"], told["branch.oid"]
    return RepositoryState(
        branch="" if branch == "(detached)" else branch,
        commit="" if commit == "(initial)" else commit,
        n_changed=sum(not one.startswith("# ") for one in lines),
        contents=_count_contents(folder),
        siblings=read_siblings(repository),
        unverified=tuple(
            name for name, fields in _read_remotes(repository) if fields.get(_VERIFIED) == "manual"
        ),
    )


def read_siblings(repository: Repository) -> dict[str, str]:
    """Returns name -> URL of the repositories that this one knows; special remotes have none."""
    return {name: fields.get("url", "") for name, fields in _read_remotes(repository)}


def _read_remotes(repository: Repository) -> list[tuple[str, dict[str, str]]]:
    """Returns the name and settings of each remote."""
    remotes: dict[str, dict[str, str]] = defaultdict(dict)
    for setting in repository.read("config", "--list", "-z").split("\0"):
        key, _, value = setting.partition("\n")
        name, _, field = key.removeprefix("remote.").rpartition(".")
        if key.startswith("remote.") and name:
            remotes[name][field] = value
    return list(remotes.items())


def list_annexed(folder: Path) -> dict[Path, str]:
    """Returns path -> key of the annexed files in a folder, links and unlocked ones.

    Raises:
        ProgramMissing, RepositoryFailed: git is not there, or refuses.
    """
    repository = find_repository(folder)
    if repository is None or not repository.is_annexed():
        return {}
    return _list_keys(repository, [folder.resolve()])


def find_keys(files: Iterable[Path]) -> dict[Path, str]:
    """Returns path -> key of the annexed ones of files, links and unlocked ones.

    Raises:
        ProgramMissing, RepositoryFailed: git is not there, or refuses.
    """
    given: dict[Path, dict[Path, Path]] = defaultdict(dict)
    for path in files:
        real = path.parent.resolve() / path.name
        root = find_root(real.parent)
        if root is not None:
            given[root][real] = path
    return {
        path: keys[real]
        for root, paths in given.items()
        for keys in [_list_keys(Repository(root), list(paths))]
        for real, path in paths.items()
        if real in keys
    }


def _list_keys(repository: Repository, places: Iterable[Path]) -> dict[Path, str]:
    """Returns path -> key of annexed files; places are files and folders in the repository."""
    parts = [one.relative_to(repository.root).as_posix() for one in places]
    files: dict[str, list[Path]] = defaultdict(list)
    for entry in repository.read("ls-files", "--stage", "-z", "--", *parts).split("\0")[:-1]:
        about, _, path = entry.partition("\t")
        mode, blob, _ = about.split()
        if mode != _SUBMODULE:
            files[blob].append(repository.root / path)
    keys = dict(_read_keys(repository, list(files)))
    return {path: keys[blob] for blob, paths in files.items() if blob in keys for path in paths}


def _count_contents(folder: Path) -> Contents:
    n_files = n_here = size_bytes = here_bytes = 0
    for path, key in list_annexed(folder).items():
        size = size_of_key(key) or 0
        n_files, size_bytes = n_files + 1, size_bytes + size
        if path.exists() and not lacks_content(path):
            n_here, here_bytes = n_here + 1, here_bytes + size
    return Contents(n_files, n_here, size_bytes, here_bytes)


def _read_keys(repository: Repository, blobs: list[str]) -> Iterator[tuple[str, str]]:
    """Yields blob and key of those that stand for a content: a link's target, or a pointer."""
    sizes = repository.read("cat-file", "--batch-check", text=_lines(blobs)).splitlines()
    short = [one.split()[0] for one in sizes if int(one.split()[2]) <= _LONGEST_KEY_BYTES]
    told = repository.read("cat-file", "--batch", text=_lines(short))
    content, start = told.encode("utf-8", "surrogateescape"), 0
    while start < len(content):
        heading, _, _ = content[start : start + _LONGEST_KEY_BYTES].partition(b"\n")
        blob, _, size = heading.decode().split()
        start += len(heading) + 1
        first, _, _ = content[start : start + int(size)].decode("utf-8", "replace").partition("\n")
        if _OBJECTS in f"/{first}":
            yield blob, first.rpartition("/")[2]
        start += int(size) + 1


def _lines(words: list[str]) -> str:
    return "".join(f"{one}\n" for one in words)
