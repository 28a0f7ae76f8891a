"""Compares a recording's own file with what the registry, or its description, knows of it."""

import os
from pathlib import Path
from typing import Literal

from badc_core.annexed_files import lacks_content
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.hashing import fingerprint_file, sha256_file
from badc_core.integrity.findings import AUDIO, Finding, Report
from badc_core.recordings.gone import find_gone
from badc_core.recordings.recording import read_recording
from badc_core.recordings.registered import RegisteredRecording


def compare_audio(
    dataset: Dataset, row: RegisteredRecording, report: Report, *, in_full: bool, may_be_gone: bool
) -> None:
    """Adds to a report what is wrong with a recording's own file.

    Args:
        dataset: whose recording.
        row: which.
        report: what it is added to.
        in_full: whether every byte is read.
        may_be_gone: nothing is wrong if it is, since its sound has another name.
    """
    path = dataset.audio(row.path)
    if find_gone(dataset, [row.path]):
        if not may_be_gone:
            report.findings.append(Finding(row.recording_id, AUDIO, row.path, "it is gone"))
        return
    # A link to a disk that is not mounted is out of reach, too.
    if lacks_content(path) or not os.path.exists(path):  # noqa: PTH110  (no errors)
        report.n_elsewhere += 1
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
    is_same = _has_fingerprint(dataset, row, path)
    return "" if is_same else "its content is not what the last scan saw"


def _has_fingerprint(dataset: Dataset, row: RegisteredRecording, path: Path) -> bool:
    """Returns whether a file has its fingerprint; of the other kind, if that was changed since."""
    kind = dataset.settings.recordings.fingerprint
    if not row.fingerprint or row.fingerprint == fingerprint_file(path, kind):
        return True
    other: Literal["sampled", "full"] = "full" if kind == "sampled" else "sampled"
    return row.fingerprint == fingerprint_file(path, other)
