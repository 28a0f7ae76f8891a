"""Compares files with what was written down of them, or else looks whether they can be read.

Nothing is changed here; what follows from what is found is in `marking.py`.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path

from badc_core.annexed_files import lacks_content
from badc_core.chunks.manifest import read_manifest
from badc_core.datasets.dataset import Dataset
from badc_core.detections.store import read_detections, read_effort
from badc_core.detections.verify import verify_recording
from badc_core.errors import BadcError, DatasetInvalid
from badc_core.hashing import fingerprint_file, sha256_file
from badc_core.inference.raw_result import read_raw_result
from badc_core.integrity.findings import AUDIO, Finding, Report
from badc_core.outcomes import for_each
from badc_core.recordings.recording import read_recording
from badc_core.recordings.registered import RegisteredRecording
from badc_core.reports.database import explain_damage
from badc_core.reports.page import is_whole_page
from badc_core.stages.fingerprint_files import FileSum, StoredOutput, read_stored
from badc_core.stages.stage import STAGES
from badc_core.stages.work import Work


def compare_recordings(
    dataset: Dataset, rows: Iterable[RegisteredRecording], *, in_full: bool, n_threads: int = 1
) -> Report:
    """Returns what is wrong with the files of recordings.

    Outputs that a run is at work on, or that are due already, are left out.

    Args:
        dataset: whose recordings.
        rows: which.
        in_full: whether every byte of the recordings' own files is read; else their size, head and
            tail, as a scan does. Of all other files every byte is.
        n_threads: how many recordings at once.
    """
    by_id = {row.recording_id: row for row in rows}
    work = Work(dataset.work_folder)
    dirty = {stage: work.dirty(stage) for stage in STAGES}

    def compare(recording_id: str) -> Report:
        report = Report([], n_recordings=1)
        skipped = {stage for stage, ids in dirty.items() if recording_id in ids}
        _compare_outputs(dataset, recording_id, skipped, report)
        _compare_audio(dataset, by_id[recording_id], report, in_full=in_full)
        return report

    total = Report([])
    with closing(for_each(by_id, compare, n_threads)) as outcomes:
        for outcome in outcomes:
            total.add(outcome.require())
    return total


def compare_corpus(dataset: Dataset) -> Report:
    """Returns what is wrong with the files about all recordings; nothing where there are none."""
    report = Report([])
    corpus = dataset.corpus
    try:
        stored = read_stored(corpus.fingerprints, "")
    except DatasetInvalid as error:
        report.findings.append(Finding("", "", _below(dataset, corpus.fingerprints), error.what))
        stored = {}
    for asset, output in stored.items():
        _compare_files(dataset, "", asset, output.files, report)
    if "corpus_detections" not in stored and corpus.duckdb.exists():
        _judge("", "corpus_detections", dataset, corpus.duckdb, explain_damage, report)
    if "corpus_report" not in stored and corpus.html.exists():
        _judge("", "corpus_report", dataset, corpus.html, _explain_page, report)
    return report


def _compare_outputs(
    dataset: Dataset, recording_id: str, skipped: set[str], report: Report
) -> None:
    path = dataset.fingerprints(recording_id)
    stored: Mapping[str, StoredOutput] = {}
    try:
        stored = read_stored(path, recording_id)
    except DatasetInvalid as error:
        report.findings.append(Finding(recording_id, "", _below(dataset, path), error.what))
    for stage in (one for one in STAGES.values() if one.name not in skipped):
        if stage.name in stored:
            files = stored[stage.name].files
            _compare_files(dataset, recording_id, stage.name, files, report)
            continue
        outputs = stage.outputs(dataset, recording_id)
        if any(os.path.lexists(one) for one in outputs):
            _read_output(dataset, recording_id, stage.name, outputs, report)


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
        report.n_files += 1
        what = _explain_difference(path, written)
        if what:
            report.findings.append(Finding(recording_id, stage, below, what))


def _explain_difference(path: Path, written: FileSum) -> str:
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


def _compare_audio(
    dataset: Dataset, row: RegisteredRecording, report: Report, *, in_full: bool
) -> None:
    """Compares a recording's own file with what the registry, or its description, knows of it."""
    path = dataset.audio(row.path)
    if lacks_content(path) or not path.exists():
        report.n_elsewhere += 1  # `badc status` says which are missing
        return
    report.n_files += 1
    try:
        what = _explain_audio(dataset, row, path, in_full=in_full)
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
    if what:
        report.findings.append(Finding(row.recording_id, AUDIO, row.path, what))


def _explain_audio(dataset: Dataset, row: RegisteredRecording, path: Path, *, in_full: bool) -> str:
    if in_full:
        try:
            described = read_recording(dataset.recording(row.recording_id))
        except DatasetInvalid:
            described = None  # reported of the description, or it has none yet
        if described is not None and described.fingerprint == row.fingerprint:
            is_same = described.sha256 == sha256_file(path)
            return "" if is_same else "its SHA-256 is not that of the sound that was analysed"
    size_bytes = path.stat().st_size
    if row.size_bytes is not None and size_bytes != row.size_bytes:
        return f"{size_bytes} bytes, the last scan saw {row.size_bytes}"
    kind = dataset.settings.recordings.fingerprint
    if row.fingerprint and row.fingerprint != fingerprint_file(path, kind):
        return "its content is not what the last scan saw"
    return ""


def _read_output(
    dataset: Dataset, recording_id: str, stage: str, outputs: tuple[Path, ...], report: Report
) -> None:
    """Reads an output of which nobody wrote down what bytes it has."""
    elsewhere = [one for one in outputs if lacks_content(one)]
    report.n_elsewhere += len(elsewhere)
    if elsewhere:
        return
    report.n_unknown += 1
    try:
        _READERS[stage](dataset, recording_id)
    except BadcError as error:
        below = _below(dataset, Path(error.where)) if error.where else ""
        known = below if below in {_below(dataset, one) for one in outputs} else ""
        path = known or _below(dataset, outputs[0])
        report.findings.append(Finding(recording_id, stage, path, error.what))


def _read_manifest(dataset: Dataset, recording_id: str) -> None:
    recording = read_recording(dataset.recording(recording_id))
    read_manifest(dataset.manifest(recording_id), recording)


def _read_detections(dataset: Dataset, recording_id: str) -> None:
    detections = read_detections(dataset.detections(recording_id))
    effort = read_effort(dataset.effort(recording_id))
    verify_recording(read_recording(dataset.recording(recording_id)), detections, effort)


def _read_bundle(dataset: Dataset, recording_id: str) -> None:
    page = dataset.bundle(recording_id).html
    what = _explain_page(page)
    if what:
        raise DatasetInvalid(what, page)


_READERS: Mapping[str, Callable[[Dataset, str], object]] = {
    "recording": lambda dataset, one: read_recording(dataset.recording(one)),
    "chunk_manifest": _read_manifest,
    "raw_detections": lambda dataset, one: read_raw_result(dataset.raw_detections(one), one),
    "detections": _read_detections,
    "report_bundle": _read_bundle,
}


def _explain_page(path: Path) -> str:
    return "" if is_whole_page(path) else "it is cut off"


def _judge(
    recording_id: str,
    stage: str,
    dataset: Dataset,
    path: Path,
    explain: Callable[[Path], str],
    report: Report,
) -> None:
    report.n_unknown += 1
    what = explain(path)
    if what:
        report.findings.append(Finding(recording_id, stage, _below(dataset, path), what))


def _below(dataset: Dataset, path: Path) -> str:
    return path.relative_to(dataset.root).as_posix() if path.is_relative_to(dataset.root) else ""
