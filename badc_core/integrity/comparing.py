"""Compares files with what was written down of them.

Nothing is changed here; what follows from what is found is in `marking.py`. A run may be at work
meanwhile: what differs is looked at until two looks agree, and what is in work is left out.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path

from badc_core.annexed_files import lacks_content
from badc_core.chunks.manifest import has_files
from badc_core.corpus.parts import files_by_path, read_part_list
from badc_core.datasets.dataset import Dataset
from badc_core.detections.store import FINGERPRINT_KEY, read_metadata
from badc_core.errors import ContentMissing, DatasetInvalid, DetectionsInvalid
from badc_core.hashing import sha256_file
from badc_core.integrity.findings import Finding, Report
from badc_core.integrity.sounds import compare_audio
from badc_core.outcomes import for_each
from badc_core.recordings.missing import find_superseded
from badc_core.recordings.registry import Registry
from badc_core.stages.corpus_outputs import corpus_file
from badc_core.stages.export_outputs import EVERY_EXPORT, PROVENANCE, form_of, read_listing
from badc_core.stages.fingerprint_files import FileSum, StoredOutput, read_stored
from badc_core.stages.stage import STAGES
from badc_core.stages.step_records import CORPUS_DETECTIONS, CORPUS_REPORT
from badc_core.stages.work import Work


def compare_recordings(
    dataset: Dataset,
    registry: Registry,
    recording_ids: Iterable[str],
    *,
    in_full: bool,
    n_threads: int = 1,
) -> Report:
    """Returns what is wrong with the files of recordings.

    Outputs that a run is at work on, or that are due already, are left out.

    Args:
        dataset: whose recordings.
        registry: of all of them.
        recording_ids: which.
        in_full: whether every byte of the recordings' own files is read; else their size, head and
            tail, as a scan does. Of all other files every byte is.
        n_threads: how many recordings at once.
    """
    superseded = find_superseded(dataset, registry)

    def compare(recording_id: str) -> Report:
        report = Report([], n_recordings=1)
        report.add(_look_until_sure(lambda: _look_at_free_outputs(dataset, recording_id)))
        row, may_be_gone = registry.by_id[recording_id], recording_id in superseded
        compare_audio(dataset, row, report, in_full=in_full, may_be_gone=may_be_gone)
        return report

    total = Report([])
    with closing(for_each(recording_ids, compare, n_threads)) as outcomes:
        for outcome in outcomes:
            total.add(outcome.require())
    return total


def compare_corpus(dataset: Dataset) -> Report:
    """Returns what is wrong with the files about all recordings; nothing where there are none.

    Nothing, too, while they are being written.
    """
    work = Work(dataset.work_folder)

    def look() -> Report:
        report = Report([]) if work.is_corpus_in_work() else look_at_corpus(dataset)
        return Report([]) if work.is_corpus_in_work() else report

    return _look_until_sure(look)


def look_at_outputs(dataset: Dataset, recording_id: str, stages: Iterable[str]) -> Report:
    """Returns what is wrong with some of a recording's outputs, and its file of fingerprints."""
    report = Report([])
    stored = _read_stored(dataset, dataset.fingerprints(recording_id), recording_id, report)
    for stage in stages:
        if stage in stored:
            _compare_files(dataset, recording_id, stage, stored[stage].files, report)
            continue
        report.n_unknown += any(map(os.path.lexists, STAGES[stage].outputs(dataset, recording_id)))
    return report


def look_at_corpus(dataset: Dataset) -> Report:
    """Returns what is wrong with the files about all recordings, and their file of fingerprints."""
    report = Report([])
    stored = _read_stored(dataset, dataset.corpus.fingerprints, "", report)
    for asset, output in stored.items():
        if not form_of(asset):
            _compare_files(dataset, "", asset, output.files, report)
    for asset in EVERY_EXPORT:
        _compare_export(dataset, asset, report, is_kept=asset in stored)
    _compare_parts(dataset, report)
    for asset in (CORPUS_DETECTIONS, CORPUS_REPORT):
        report.n_unknown += asset not in stored and corpus_file(dataset, asset).exists()
    return report


def _compare_export(dataset: Dataset, asset: str, report: Report, *, is_kept: bool) -> None:
    """Compares the files of an export with its own list of them.

    Args:
        dataset: whose export.
        asset: its name.
        report: what is found is added to it.
        is_kept: whether runs keep it up to date, so that it must be whole.
    """
    folder = dataset.export(form_of(asset))
    listing = read_listing(folder)
    if is_kept and not listing.sha256:
        below = dataset.below(folder / PROVENANCE)
        report.findings.append(Finding("", asset, below, "it is gone, or cannot be read"))
    for name in listing.files:
        path = folder / name
        if lacks_content(path):
            report.n_elsewhere += 1
            continue
        is_there = path.is_file()
        report.n_files += is_kept or is_there
        if is_there and not listing.accepts(name, sha256_file(path)):
            report.changed.append(dataset.below(path))
        elif is_kept and not is_there:
            report.findings.append(Finding("", asset, dataset.below(path), "it is gone"))


def _compare_parts(dataset: Dataset, report: Report) -> None:
    """Compares the files of a corpus's parts with the list of them."""
    corpus = dataset.corpus
    if not corpus.parts.exists():
        return
    try:
        listed = read_part_list(corpus.parts)
    except DatasetInvalid as error:
        below = dataset.below(corpus.parts)
        report.findings.append(Finding("", CORPUS_DETECTIONS, below, error.what))
        return
    files = {
        dataset.below(corpus.folder / one): FileSum(its.size_bytes, its.sha256)
        for one, its in files_by_path(listed).items()
    }
    _compare_files(dataset, "", CORPUS_DETECTIONS, files, report)


def _look_until_sure(look: Callable[[], Report]) -> Report:
    """Returns what two looks in a row agree on: files may be replaced during the first."""
    report = look()
    while report.findings or report.changed:
        again = look()
        if again == report:
            break
        report = again
    return report


def _look_at_free_outputs(dataset: Dataset, recording_id: str) -> Report:
    """Returns what is wrong with the outputs that were neither in work nor due meanwhile."""
    work = Work(dataset.work_folder)
    free = [one for one in STAGES if not work.is_dirty(one, recording_id)]
    report = look_at_outputs(dataset, recording_id, free)
    report.findings = [
        one
        for one in report.findings
        if not one.stage or not work.is_dirty(one.stage, recording_id)
    ]
    return report


def _read_stored(
    dataset: Dataset, path: Path, about: str, report: Report
) -> Mapping[str, StoredOutput]:
    try:
        return read_stored(path, about)
    except DatasetInvalid as error:
        report.findings.append(Finding(about, "", _below(dataset, path), error.what))
        return {}


def _compare_files(
    dataset: Dataset,
    recording_id: str,
    stage: str,
    files: Mapping[str, FileSum],
    report: Report,
) -> None:
    for below, written in files.items():
        path = dataset.root / below
        if lacks_content(path):
            report.n_elsewhere += 1
            continue
        what = describe_change(path, written)
        if what and recording_id and _is_by_hand(dataset, recording_id, path):
            report.n_unknown += 1
            continue
        report.n_files += 1
        if what:
            report.findings.append(Finding(recording_id, stage, below, what))


def describe_change(path: Path, written: FileSum) -> str:
    """Returns how a file differs from what was written; empty if it does not."""
    try:
        size_bytes = path.stat().st_size
        if size_bytes != written.size_bytes:
            return f"{size_bytes} bytes, {written.size_bytes} were written"
        return "" if sha256_file(path) == written.sha256 else "its SHA-256 is not that written"
    except FileNotFoundError:
        return "it is gone"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _below(dataset: Dataset, path: Path) -> str:
    return dataset.below(path) if path.is_relative_to(dataset.root) else ""


def _is_by_hand(dataset: Dataset, recording_id: str, path: Path) -> bool:
    """Returns whether `badc chunk` or `badc infer` wrote a file in an output's place."""
    if path == dataset.manifest(recording_id):
        return has_files(path)
    if path == dataset.detections(recording_id):
        try:
            return FINGERPRINT_KEY not in read_metadata(path)
        except (DetectionsInvalid, ContentMissing):
            return False
    return False
