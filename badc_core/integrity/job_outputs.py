"""Compares the files of a dataset with what a job recorded of them, and marks what is damaged.

A file that a later run has replaced, whole, is not damaged: the dataset's own record of it says so.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from badc_core.annexed_files import is_key_of, lacks_content, read_annex_key
from badc_core.datasets.dataset import Dataset
from badc_core.integrity.comparing import compare_corpus, describe_change
from badc_core.integrity.findings import Finding
from badc_core.integrity.marking import mark_findings
from badc_core.jobs.recording_tables import WrittenFile, read_outputs
from badc_core.recordings.registry import read_registry
from badc_core.stages.fingerprint_files import FileSum
from badc_core.stages.stage import STAGES
from badc_core.stages.work import Work


@dataclass
class JobCheck:
    """What comparing the outputs of a job came to.

    Attributes:
        good: stage -> recordings whose files are as the job, or a later run, wrote them.
        damaged: what is not, and was marked to be made again.
    """

    good: dict[str, set[str]] = field(default_factory=dict)
    damaged: list[Finding] = field(default_factory=list)


def check_job_outputs(folder: Path, dataset: Dataset, scoped: Callable[[str], str]) -> JobCheck:
    """Compares every file that stages of a job wrote, and marks those that are damaged or gone.

    Reads the tables row by row, so a job of any size takes little memory.

    Args:
        folder: of the job.
        dataset: whose files.
        scoped: returns what a stage is called in the job.

    Raises:
        StorageFull, OutputUnwritable: what is damaged cannot be marked.
    """
    check = JobCheck()
    known = read_registry(dataset.registry).by_id
    for stage in STAGES:
        differing: dict[str, Finding] = {}
        good: set[str] = set()
        rows = read_outputs(folder, scoped(stage))
        for recording_id, files in groupby(rows, lambda one: one.recording_id):
            if recording_id not in known:
                continue
            found = _compare(dataset, stage, files)
            if found is None:
                good.add(recording_id)
                differing.pop(recording_id, None)
            else:
                good.discard(recording_id)
                differing[recording_id] = found
        held = mark_findings(dataset, [one for _, one in sorted(differing.items())])
        check.damaged += held
        # What an earlier look, or a killed run, has marked as due is not good either.
        bad = {one.recording_id for one in held} | Work(dataset.work_folder).dirty(stage)
        check.good[stage] = good | (differing.keys() - bad)
    check.damaged += mark_findings(dataset, compare_corpus(dataset).findings)
    return check


def _compare(dataset: Dataset, stage: str, files: Iterable[WrittenFile]) -> Finding | None:
    """Returns the first difference of files from what was written; None if there is none."""
    found = None
    for one in files:
        path = Path(one.path)
        what = "" if found else _explain(path, FileSum(one.size_bytes, one.sha256))
        if what:
            below = dataset.below(path) if path.is_relative_to(dataset.root) else one.path
            found = Finding(one.recording_id, stage, below, what)
    return found


def _explain(path: Path, written: FileSum) -> str:
    if lacks_content(path):
        is_same = is_key_of(read_annex_key(path), written.size_bytes, written.sha256)
        return "" if is_same else "its content is elsewhere, and another one"
    return describe_change(path, written)
