"""Outputs that have no checksums: read, and compared with each other.

An earlier version of BADC made them; or `badc chunk` and `badc infer` did, by hand and in the
places of a dataset, where they may have replaced the asset graph's. Of the latter nobody wrote
down what they must be like, so they are not judged.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from badc_core.chunks.manifest import has_files, read_manifest
from badc_core.datasets.dataset import Dataset
from badc_core.detections.store import (
    FINGERPRINT_KEY,
    read_detections,
    read_effort,
    read_metadata,
)
from badc_core.detections.verify import verify_recording
from badc_core.errors import BadcError, ContentMissing, DatasetInvalid, DetectionsInvalid
from badc_core.inference.raw_result import read_raw_result
from badc_core.recordings.recording import read_recording
from badc_core.reports.page import is_whole_page


def explain_output(dataset: Dataset, recording_id: str, stage: str) -> BadcError | None:
    """Returns why an output cannot be right; None if nothing speaks against it."""
    try:
        _READERS[stage](dataset, recording_id)
    except BadcError as error:
        return error
    return None


def explain_page(path: Path) -> str:
    """Returns why a page cannot be right; empty if nothing speaks against it."""
    return "" if is_whole_page(path) else "it is cut off"


def is_by_hand(dataset: Dataset, recording_id: str, path: Path) -> bool:
    """Returns whether a file in an output's place was not written by its stage."""
    if path == dataset.manifest(recording_id):
        return has_files(path)
    if path == dataset.detections(recording_id):
        try:
            return FINGERPRINT_KEY not in read_metadata(path)
        except (DetectionsInvalid, ContentMissing):
            return False
    return False


def can_be_judged(dataset: Dataset, recording_id: str, outputs: Iterable[Path]) -> bool:
    """Returns whether outputs were written by their stage, as far as that shows."""
    # Whatever the asset graph makes of a recording, it describes the recording first.
    is_described = os.path.lexists(dataset.recording(recording_id))
    return is_described and not any(is_by_hand(dataset, recording_id, one) for one in outputs)


def _read_manifest(dataset: Dataset, recording_id: str) -> None:
    recording = read_recording(dataset.recording(recording_id))
    read_manifest(dataset.manifest(recording_id), recording)


def _read_detections(dataset: Dataset, recording_id: str) -> None:
    detections = read_detections(dataset.detections(recording_id))
    effort = read_effort(dataset.effort(recording_id))
    verify_recording(read_recording(dataset.recording(recording_id)), detections, effort)


def _read_bundle(dataset: Dataset, recording_id: str) -> None:
    page = dataset.bundle(recording_id).html
    what = explain_page(page)
    if what:
        raise DatasetInvalid(what, page)


_READERS: Mapping[str, Callable[[Dataset, str], object]] = {
    "recording": lambda dataset, one: read_recording(dataset.recording(one)),
    "chunk_manifest": _read_manifest,
    "raw_detections": lambda dataset, one: read_raw_result(dataset.raw_detections(one), one),
    "detections": _read_detections,
    "report_bundle": _read_bundle,
}
