"""Detections of the code that had no file of raw detections, taken over without running a model.

That code ran the model down to `detector.min_score` and kept only what passed the settings. Where
they left nothing else out, its files hold everything the model gave down to that score.
Whether a recording's files are the right ones is decided from the asset graph
(`badc_dagster/adoption.py`).
"""

from collections import defaultdict
from typing import Any

from badc_core.datasets.dataset import Dataset
from badc_core.detections.store import read_detections, read_effort
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import Detection, Label
from badc_core.detectors.registry import identify_detector
from badc_core.engine.protocol import ChunkResult, ChunkTask
from badc_core.errors import DetectionsInvalid, DetectorFailed
from badc_core.inference.config_hashes import detections_hash
from badc_core.inference.detect import DatasetSource
from badc_core.inference.raw_result import RawResult
from badc_core.stages.work import Work

OLDER_CODE_VERSION = "3"
"""Of the stage `detections` when it ran the model itself."""


def find_selection(settings: DetectorSettings) -> str:
    """Returns the setting by which older detections were selected beyond recovery; or nothing."""
    for name in ("thresholds", "include", "exclude"):
        if getattr(settings, name):
            return f"detector.{name}"
    return "" if settings.label_length == "fixed" else "detector.label_length"


def older_config_hash(settings: DetectorSettings) -> str:
    """Returns the hash of settings and detector that older detections were made from."""
    return detections_hash(settings, identify_detector(settings))


def adopt_detections(dataset: Dataset, recording_id: str) -> RawResult:
    """Writes a recording's raw detections from its detections and effort files; returns them.

    Raises:
        DatasetInvalid, ManifestMismatch: its description or manifest cannot be used.
        DetectionsInvalid: its files cannot be read, or are about other chunks.
        StorageFull, OutputUnwritable: the file cannot be written.
    """
    settings = dataset.settings.detector
    work = Work(dataset.work_folder)
    # With the keys of that time: windows may lie elsewhere now.
    source = DatasetSource(dataset, identify_detector(settings), work.journal, grid=None)
    opened = source.open(recording_id)
    found = _detections_by_chunk(dataset, recording_id)
    effort = read_effort(dataset.effort(recording_id)).to_pylist()
    if [row["chunk_id"] for row in effort] != [one.task.chunk.chunk_id for one in opened.chunks]:
        where = dataset.effort(recording_id)
        raise DetectionsInvalid("is about other chunks than the manifest", where)
    for number, (planned, row) in enumerate(zip(opened.chunks, effort, strict=True)):
        chunk = planned.task.chunk
        error = DetectorFailed(row["error"] or "failed") if row["status"] == "error" else None
        detections = tuple(_detection(planned.task, one) for one in found[chunk.chunk_id])
        result = ChunkResult(
            planned.task, detections, error, 0.0, "", is_resumed=True, floor=settings.lowest_score
        )
        opened.sink.write(number, planned, result)
    return opened.sink.finish()


def _detections_by_chunk(dataset: Dataset, recording_id: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in read_detections(dataset.detections(recording_id)).to_pylist():
        found[row["chunk_id"]].append(row)
    return found


def _detection(task: ChunkTask, row: dict[str, Any]) -> Detection:
    """Returns a row's detection; its times were rounded to ms, and come out as the same ms."""
    rate_hz = task.chunk.sample_rate_hz
    return Detection(
        _ms_to_samples(row["absolute_time_ms"], rate_hz),
        min(_ms_to_samples(row["absolute_end_ms"], rate_hz), task.n_samples),
        Label(row["label_name"], row["label_code"] or "", row["scientific_name"] or ""),
        row["confidence"],
        row["is_expected"],
        row["occurrence"],
    )


def _ms_to_samples(ms: int, sample_rate_hz: int) -> int:
    """Returns the sample nearest to a time."""
    return (2 * ms * sample_rate_hz + 1000) // 2000
