"""What each output was made from, in one string per stage and recording.

An output is current if its fingerprint is the one given here for today's file, settings and code.
Fingerprints of files are in `content.py`.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from badc_core.dataset import Dataset
from badc_core.detectors.registry import identify_detector

STAGES = ("recording", "chunk_manifest", "detections", "report_bundle")

CODE_VERSIONS = {
    "recording": "1",
    "chunk_manifest": "1",
    "detections": "1",
    "report_bundle": "1",
}
"""Raised by hand when a stage's code gives different results for the same input."""


class Fingerprints:
    """Fingerprints under one dataset's settings.

    Raises:
        DetectorMissing: the detector that would run is not installed.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._settings = {stage: _digest(_settings(dataset, stage)) for stage in STAGES}

    def of(self, stage: str, source: str) -> str:
        """Returns the fingerprint of a stage's output.

        Args:
            stage: one of `STAGES`.
            source: fingerprint of what it was made from: the recording's file for the first
                stage, else the output of the stage before.
        """
        return _digest([source, self._settings[stage]])

    def settings_hash(self, stage: str) -> str:
        """Returns the hash of the settings and the code version of one stage alone."""
        return self._settings[stage]


def _settings(dataset: Dataset, stage: str) -> dict[str, Any]:
    """Returns everything but the input that decides what a stage makes."""
    settings = dataset.settings
    content: dict[str, Any] = {"stage": stage, "code": CODE_VERSIONS[stage]}
    if stage == "recording":
        content["settings"] = settings.recordings.model_dump(
            include={"roots", "templates", "timezone", "fingerprint"}
        )
        content["deployments"] = _file_hash(dataset.deployments)
    elif stage == "chunk_manifest":
        content["settings"] = settings.chunks.model_dump()
    elif stage == "detections":
        content["settings"] = settings.detector.model_dump()
        content["detector"] = asdict(identify_detector(settings.detector))
    else:
        content["settings"] = settings.report.model_dump()
    return content


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
