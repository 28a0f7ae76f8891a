"""Commits of queues, verdicts and what follows from them, where results of a dataset are committed.

How commits are made is in `badc_core/provenance/`.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from badc_core.datasets.dataset import Dataset
from badc_core.provenance.commits import Commits
from badc_core.provenance.datalad import below
from badc_core.provenance.records import RunRecord
from badc_core.reviews.queue import Queue
from badc_core.reviews.verdicts import list_verdict_files
from badc_core.stages.step_records import corpus_files
from badc_core.units import counted


def commit_queue(queue: Queue, commits: Commits) -> str:
    """Commits a queue with its sounds; returns the commit, or nothing."""
    what = counted(len(queue.rows), "detection")
    return commits.commit([queue.paths.folder], f"{queue.name}: {what} to review")


def commit_verdicts(files: Sequence[Path], commits: Commits) -> str:
    """Commits files of verdicts; returns the commit, or nothing."""
    return commits.commit(files, f"Add verdicts: {', '.join(one.name for one in files)}")


def commit_results(
    dataset: Dataset, command: str, precision: float, files: Iterable[Path], commits: Commits
) -> str:
    """Commits what verdicts say; returns the commit, or nothing.

    Args:
        dataset: whose.
        command: of the group `badc review`, which writes the same again.
        precision: that it is given.
        files: that it wrote.
        commits: of the dataset.
    """
    read = [one for one in corpus_files(dataset) if one.exists()]
    written = list(files)
    record = RunRecord(
        message=f"review {command}: precision {precision:g}",
        commands=(["badc", "review", command, "--precision", f"{precision:g}", "."],),
        inputs=tuple(below(dataset.root, one) for one in (*list_verdict_files(dataset), *read)),
        outputs=tuple(below(dataset.root, one) for one in written),
    )
    return commits.commit(written, record)
