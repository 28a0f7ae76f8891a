"""Everything a recording's report bundle is made of, in one go.

What each piece holds is in `database.py`, `summaries.py` and `recording_page.py`.
"""

from dataclasses import dataclass, replace
from typing import Any

from badc_core.atomic import replacing, write_text
from badc_core.datasets.dataset import Dataset
from badc_core.detections.store import DETECTOR_SETTINGS_KEY, read_metadata
from badc_core.detector_settings import DetectorSettings
from badc_core.recordings.recording import read_recording
from badc_core.reports.database import new_recording_database, query
from badc_core.reports.recording_page import render_recording_page
from badc_core.reports.summaries import write_summaries


@dataclass(frozen=True)
class BundleOutcome:
    """What a bundle shows.

    Attributes:
        labels: different ones detected.
        effort_s: analysed, of `duration_s` recorded.
        page_bytes: size of the page.
    """

    recording_id: str
    detections: int
    labels: int
    chunks: int
    failed_chunks: int
    duration_s: float
    effort_s: float
    page_bytes: int


def write_bundle(dataset: Dataset, recording_id: str) -> BundleOutcome:
    """Writes one recording's bundle, each piece replaced as a whole.

    Raises:
        DatasetInvalid: the recording has not been described.
        DetectionsInvalid: its detections or effort cannot be read.
        UnreadableRecording: its audio cannot be decoded for pictures and sounds.
        StorageFull: the disk or a quota is full.
    """
    dataset = _as_detected(dataset, recording_id)
    bundle = dataset.bundle(recording_id)
    recording = read_recording(dataset.recording(recording_id))
    # One database is filled, asked for all the rest, and then becomes the bundle's own.
    with (
        replacing(bundle.duckdb) as aside,
        new_recording_database(dataset, recording_id, aside) as connection,
    ):
        write_summaries(connection, bundle)
        (effort,) = query(connection, "SELECT * FROM effort_by_recording")
        page = render_recording_page(connection, dataset, recording, effort)
        write_text(bundle.html, page)
        return _outcome(effort, len(page.encode()))


def _outcome(effort: dict[str, Any], page_bytes: int) -> BundleOutcome:
    return BundleOutcome(
        recording_id=effort["recording_id"],
        detections=effort["detections"],
        labels=effort["labels"],
        chunks=effort["chunks"],
        failed_chunks=effort["failed_chunks"],
        duration_s=effort["duration_s"],
        effort_s=effort["effort_s"],
        page_bytes=page_bytes,
    )


def _as_detected(dataset: Dataset, recording_id: str) -> Dataset:
    """Returns the dataset with the detector settings that the detections were made with."""
    stored = read_metadata(dataset.detections(recording_id)).get(DETECTOR_SETTINGS_KEY)
    if stored is None:
        return dataset
    detector = DetectorSettings.model_validate_json(stored)
    return replace(dataset, settings=dataset.settings.model_copy(update={"detector": detector}))
