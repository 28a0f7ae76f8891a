"""Looks at a dataset's files, or at a sample of them, and marks what it finds."""

import random
from collections.abc import Sequence

from badc_core.datasets.dataset import Dataset
from badc_core.devices.places import usable_cores
from badc_core.integrity.comparing import compare_corpus, compare_recordings
from badc_core.integrity.findings import AUDIO, Report
from badc_core.integrity.marking import mark_findings
from badc_core.recordings.gone import find_gone
from badc_core.recordings.registry import read_registry


def verify_dataset(
    dataset: Dataset, recording_ids: Sequence[str] = (), *, in_full: bool = False, mark: bool = True
) -> Report:
    """Returns which files are not as they were written.

    Args:
        dataset: whose files.
        recording_ids: of these recordings only; none: of all, and of the corpus.
        in_full: whether every byte of the recordings' own files is read.
        mark: whether what is damaged is marked, so that the next run makes it again.

    Raises:
        RecordingUnknown: there is no such recording in the dataset.
        StorageFull, OutputUnwritable: what is damaged cannot be marked.
    """
    registry = read_registry(dataset.registry)
    chosen = [registry.require(one).recording_id for one in recording_ids] or registry.ids
    report = compare_recordings(
        dataset, registry, chosen, in_full=in_full, n_threads=usable_cores()
    )
    if not recording_ids:
        report.add(compare_corpus(dataset))
    if mark:
        report.findings = mark_findings(dataset, report.findings)
    return report


def verify_sample(dataset: Dataset, n_recordings: int, seed: str) -> Report:
    """Returns the same of some recordings; reads the files of these only.

    A recording whose file is gone is not among the findings: each scan and run tells of it.

    Args:
        dataset: whose files.
        n_recordings: how many.
        seed: decides which.
    """
    registry = read_registry(dataset.registry)
    chosen = random.Random(seed).sample(registry.ids, min(n_recordings, len(registry)))  # noqa: S311
    report = compare_recordings(dataset, registry, chosen, in_full=False, n_threads=usable_cores())
    gone = find_gone(dataset, [registry.by_id[one].path for one in chosen])
    told = [one for one in report.findings if one.stage != AUDIO or one.path not in gone]
    report.findings = mark_findings(dataset, told)
    return report
