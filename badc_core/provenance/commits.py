"""Whether and how results of a dataset are committed, as the setting `datalad.record` says.

The commits themselves are made in `committer.py`.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from badc_core.datasets.dataset import Dataset
from badc_core.datasets.work_folder import prepare_work_file
from badc_core.errors import (
    BadcError,
    OutputUnwritable,
    ProgramMissing,
    RepositoryFailed,
    StorageFull,
)
from badc_core.provenance.annex import Repository, find_repository
from badc_core.provenance.committer import Committer
from badc_core.provenance.records import RunRecord

MOST_SINGLE = 200
"""Commands over recordings of which each gets a commit of its own; of more, some share one.

A commit costs about a second, and more the more files there are.
"""

IN_A_BATCH = 100


def size_commits(n_recordings: int) -> int:
    """Returns how many recordings go into one commit of a command over this many."""
    return 1 if n_recordings <= MOST_SINGLE else IN_A_BATCH


class Commits:
    """The commits of one dataset.

    With `datalad.record = "auto"` there are some where git-annex keeps the dataset; where they
    turn out to be impossible, that is said once, and results stay as they are. With "require" that
    is an error.

    Args:
        dataset: whose.
        warn: gets the sentence that says why nothing more is committed.

    Raises:
        ProgramMissing, RepositoryFailed: commits are required and impossible.
    """

    def __init__(self, dataset: Dataset, warn: Callable[[str], object]) -> None:
        self._mode = dataset.settings.datalad.record
        self._dataset = dataset
        self._warn = warn
        self._committer: Committer | None = None
        if self._mode != "off":
            self._try(self._open)

    @property
    def are_made(self) -> bool:
        """Whether there are any."""
        return self._committer is not None

    def commit(self, paths: Iterable[Path], record: RunRecord | str) -> str:
        """Commits files as `Committer.commit` does; returns nothing where nothing is committed.

        What lies outside the dataset cannot be committed and is left out, of the record too.

        Raises:
            ProgramMissing, RepositoryFailed: commits are required and it is impossible.
            StorageFull, OutputUnwritable: they are required, and there is no place for one.
        """
        made: list[str] = []
        committer, root = self._committer, self._dataset.root
        inside = [one for one in paths if one.is_relative_to(root)]
        if committer is not None and inside:
            said = record if isinstance(record, str) else record.inside()
            self._try(lambda: made.append(committer.commit(inside, said)))
        return "".join(made)

    def find_changed(self, paths: Iterable[Path]) -> list[Path]:
        """Returns the files that no commit has as they are; none where nothing is committed."""
        found: list[Path] = []
        committer = self._committer
        if committer is not None:
            self._try(lambda: found.extend(committer.find_changed(paths)))
        return found

    def _open(self) -> None:
        repository = find_repository(self._dataset.root)
        if repository is None or not repository.is_annexed():
            if self._mode == "require":
                raise _no_annex(self._dataset.root, repository)
            return
        folder = self._dataset.work_folder
        lock = prepare_work_file(folder, folder / "commit.lock")
        committer = Committer(self._dataset.root, repository, lock)
        committer.require_ready()
        self._committer = committer

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (ProgramMissing, RepositoryFailed, OutputUnwritable, StorageFull) as error:
            if self._mode == "require":
                raise
            self._committer = None
            self._warn(f"Results are not committed: {error}")


def _no_annex(root: Path, repository: Repository | None) -> BadcError:
    what = "no git repository" if repository is None else "no git-annex in its repository"
    what = f"{what}, so results cannot be committed"
    return RepositoryFailed(what, root, "Run: datalad create --force")
