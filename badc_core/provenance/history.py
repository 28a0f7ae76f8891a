"""What a repository's history says of a file: the commit that last changed it, and its run record.

Commits are made in `committer.py`; how a run record is written is in `records.py`.
"""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from badc_core.errors import ProgramMissing, RepositoryFailed
from badc_core.json_texts import parse_object
from badc_core.provenance.annex import Repository, find_repository

_RECORD = re.compile(
    r"=== Do not change lines below ===\n(.*?)\n\^\^\^ Do not change lines above \^\^\^", re.DOTALL
)
"""Source: `datalad/core/local/run.py` of DataLad 1.7."""


@dataclass(frozen=True)
class Commit:
    """A commit.

    Attributes:
        date: ISO 8601.
        command: of its run record, which `datalad rerun` runs again; empty without one.
        folder: in which that is run, absolute; empty without one.
    """

    sha: str
    author: str
    date: str
    subject: str
    command: str = ""
    folder: str = ""


def find_commit(path: Path) -> Commit | None:
    """Returns the commit that last changed a file.

    None where it is in no repository, not committed, or changed since. Also where git is not there
    or refuses, since the rest that is known of a file needs no git.

    Args:
        path: absolute; links on the way are followed, the file itself may be one.
    """
    real = path.parent.resolve() / path.name
    repository = find_repository(real.parent)
    if repository is None:
        return None
    try:
        if repository.read("status", "--porcelain", "--", _below(repository, real)):
            return None
        return _read_commit(repository, real)
    except (ProgramMissing, RepositoryFailed):
        return None


def read_authors(folder: Path) -> tuple[str, ...]:
    """Returns everybody who committed files in a folder by name, those with most commits first.

    Args:
        folder: absolute; in no repository there are none.

    Raises:
        ProgramMissing, RepositoryFailed: git is not there, or there is no commit yet.
    """
    repository = find_repository(folder)
    if repository is None:
        return ()
    words = ("shortlog", "--summary", "--numbered", "HEAD", "--")
    lines = repository.read(*words, _below(repository, folder.resolve())).splitlines()
    return tuple(line.partition("\t")[2] for line in lines)


def _read_commit(repository: Repository, real: Path) -> Commit | None:
    # Names as .mailmap has them, like those of `shortlog`.
    wanted = "--format=%H%x00%aN%x00%aI%x00%B"
    text = repository.read("log", "--max-count=1", wanted, "--", _below(repository, real))
    if not text:
        return None
    sha, author, date, message = text.split("\0", 3)
    subject = message.partition("\n")[0].removeprefix("[DATALAD RUNCMD] ")
    return Commit(sha, author, date, subject, *_read_command(repository.root, message))


def _read_command(root: Path, message: str) -> tuple[str, str]:
    """Returns the command of a run record and the folder it is run in; nothing without one."""
    found = _RECORD.search(message)
    if found is None:
        return "", ""
    try:
        record = parse_object(found[1])
    except json.JSONDecodeError:
        return "", ""
    command = record.get("cmd", "")
    text = command if isinstance(command, str) else shlex.join(map(str, command))
    # As DataLad reads it: a single brace begins a placeholder.
    text = text.replace("{{", "{").replace("}}", "}")
    return text, str(root / str(record.get("pwd", ".")))


def _below(repository: Repository, real: Path) -> str:
    return real.relative_to(repository.root).as_posix()
