"""Datasets from elsewhere: cloned, and brought up to date as far as nothing has to be merged."""

import json
from dataclasses import dataclass
from pathlib import Path

from badc_core.annexed_files import quote_path
from badc_core.atomic import new_folder, remove_abandoned
from badc_core.errors import RepositoryFailed
from badc_core.provenance.annex import Repository, clone_repository, find_repository
from badc_core.provenance.programs import find_program
from badc_core.provenance.repository_state import read_siblings


@dataclass(frozen=True)
class Update:
    """What bringing a repository up to date did.

    Attributes:
        n_commits: that were new.
        why_not: why nothing was asked of anybody; empty if it was.
    """

    n_commits: int = 0
    why_not: str = ""


def choose_method(wished: str | None) -> str:
    """Returns how to clone: as wished, else with DataLad where it is installed, else with git."""
    return wished or ("datalad" if find_program("datalad") else "git")


def find_method(root: Path) -> str:
    """Returns what a folder is: `datalad`, `git`, or `path` where it is in no repository."""
    repository = find_repository(root)
    if repository is None:
        return "path"
    return "datalad" if repository.is_datalad else "git"


def find_url(root: Path) -> str:
    """Returns what a repository was cloned from; empty where it was not."""
    repository = find_repository(root)
    return "" if repository is None else read_siblings(repository).get("origin", "")


def clone(url: str, target: Path, method: str) -> None:
    """Clones a repository to a folder that is not there yet, or is empty.

    A clone that was killed leaves nothing there; what it left beside is removed by the next.

    Args:
        url: of the repository; a path is absolute.
        target: absolute.
        method: `datalad` or `git`.

    Raises:
        ProgramMissing, RepositoryFailed: git or DataLad is not there, or fails.
        OutputUnwritable, StorageFull: it cannot be written there.
    """
    remove_abandoned(target.parent)
    with new_folder(target) as aside:
        clone_repository(method, url, aside)
        if method == "datalad":
            _correct_description(Repository(aside), target)


def update(root: Path) -> Update:
    """Brings the branch of a repository to where its remote is, if that needs no merge.

    Raises:
        ProgramMissing, RepositoryFailed: git is not there or fails; there are commits on both
            sides, or uncommitted changes.
    """
    repository = find_repository(root)
    if repository is None:
        return Update(why_not="it is in no git repository")
    remote, upstream = _find_upstream(repository)
    if not upstream:
        return Update(
            why_not="its branch follows none elsewhere, so there is nothing to bring up to date"
        )
    repository.git("fetch", "--quiet", "--", remote)
    counts = repository.git("rev-list", "--left-right", "--count", "HEAD...@{upstream}")
    n_ahead, n_behind = map(int, counts.split())
    if not n_behind:
        return Update()
    if n_ahead:
        raise RepositoryFailed(
            f"has {n_ahead} commits that {upstream} lacks, and lacks {n_behind} of it",
            repository.root,
            f"Run: datalad update --how=merge -d {quote_path(repository.root)}, or connect with "
            "--no-pull",
        )
    _require_clean(repository)
    repository.git("merge", "--ff-only", "--quiet", "@{upstream}")
    return Update(n_behind)


def _find_upstream(repository: Repository) -> tuple[str, str]:
    """Returns the remote and branch that the one here follows; empty without either."""
    head = repository.git("rev-parse", "--symbolic-full-name", "HEAD").strip()
    if not head.startswith("refs/heads/"):
        return "", ""
    wanted = "--format=%(upstream:remotename)%00%(upstream:short)"
    remote, _, branch = repository.git("for-each-ref", wanted, head).strip().partition("\0")
    return remote, branch


def _require_clean(repository: Repository) -> None:
    changed = repository.git("status", "--porcelain", "-z", "--untracked-files=no").split("\0")
    if changed[0]:
        n_changed = len(changed) - 1
        raise RepositoryFailed(
            f"has {n_changed} changed files that are not committed, such as {changed[0][3:]}",
            repository.root,
            f"Run: datalad save -d {quote_path(repository.root)}, or connect with --no-pull",
        )


def _correct_description(repository: Repository, target: Path) -> None:
    """Has git-annex describe the clone by the folder that it will be in, not by that of now."""
    if not repository.is_annexed():
        return
    told = repository.git("annex", "info", "here", "--fast", "--json")
    described = json.loads(told)["description"].removesuffix(" [here]")
    now = described.replace(repository.root.name, target.name)
    if now != described:
        repository.git("annex", "describe", "here", now)
