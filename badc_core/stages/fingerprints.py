"""What each output was made from, in one string per stage and recording.

An output is current if its fingerprint is the one given here for today's file, settings and code.
Fingerprints of files are in `content.py`.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any, cast

from badc_core.datasets.dataset import Dataset
from badc_core.detectors.registry import identify_detector
from badc_core.recordings.deployments import read_deployments
from badc_core.recordings.identity import below_root
from badc_core.recordings.naming import read_file_name, read_place

STAGES = ("recording", "chunk_manifest", "detections", "report_bundle")

CODE_VERSIONS = {
    "recording": "1",
    "chunk_manifest": "1",
    "detections": "3",
    "report_bundle": "1",
}
"""Raised by hand when a stage's code gives different results for the same input."""


_INCOMPLETE = "-incomplete-"


def is_incomplete(made: str | None, wanted: str) -> bool:
    """Tells whether an output is what is wanted, but for chunks that failed.

    Args:
        made: fingerprint of the output that is there, if any.
        wanted: fingerprint it should have.
    """
    return made is not None and made.startswith(wanted + _INCOMPLETE)


def lacks_chunks(made: str) -> bool:
    """Tells whether an output lacks chunks that failed, whatever it was made from."""
    return _INCOMPLETE in made


class Fingerprints:
    """Fingerprints under one dataset's settings.

    Raises:
        DetectorMissing: the detector that would run is not installed.
        ConfigInvalid: the deployments table or a path template is wrong.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._settings = {stage: _digest(_settings(dataset, stage)) for stage in STAGES}
        self._label_length = dataset.settings.detector.label_length
        self._roots = dataset.settings.recordings.roots
        self._templates = dataset.settings.recordings.templates
        self._stations = {
            location: asdict(station)
            for location, station in read_deployments(dataset.deployments).items()
        }

    def of_file(self, path: str, content: str) -> str:
        """Returns what a recording is described from: its file, and its station's row.

        Only that row, so that a new station in `deployments.csv` makes no other recording due.
        Where neither folder nor file name gives the station, any row could be the one.

        Args:
            path: of the recording, relative to the dataset.
            content: fingerprint of its file.
        """
        place = read_place(below_root(path, self._roots), self._templates) or {}
        name = read_file_name(PurePosixPath(path).name).fields
        location = place.get("location") or cast("str | None", name.get("location"))
        row = self._stations if location is None else self._stations.get(location)
        return _digest([content, row]) if row else content

    def of(self, stage: str, source: str) -> str:
        """Returns the fingerprint of a stage's output.

        Args:
            stage: one of `STAGES`.
            source: fingerprint of what it was made from: `of_file` for the first stage, else the
                output of the stage before.
        """
        own = self.config_hash if stage == "detections" else self._settings[stage]
        return _digest([source, own])

    def incomplete(self, fingerprint: str, failed_chunks: Iterable[str]) -> str:
        """Returns the fingerprint of an output that lacks chunks: never current, yet usable.

        Args:
            fingerprint: of the output if nothing had failed.
            failed_chunks: their chunk_ids.
        """
        return f"{fingerprint}{_INCOMPLETE}{_digest(sorted(failed_chunks))[:8]}"

    def settings_hash(self, stage: str) -> str:
        """Returns the hash of the settings and the code version of one stage alone.

        That of `detections` is about what is found in a chunk, and so is part of the chunk's key in
        a journal; `config_hash` is about a whole recording's detections.
        """
        return self._settings[stage]

    @property
    def config_hash(self) -> str:
        """Hash of what decides a recording's detections: as in its chunks, and if joined there."""
        found = self._settings["detections"]
        is_as_found = self._label_length == "fixed"
        return found if is_as_found else _digest([found, self._label_length])


def _settings(dataset: Dataset, stage: str) -> dict[str, Any]:
    """Returns everything but the input that decides what a stage makes."""
    settings = dataset.settings
    content: dict[str, Any] = {"stage": stage, "code": CODE_VERSIONS[stage]}
    if stage == "recording":
        content["settings"] = settings.recordings.model_dump(
            include={"roots", "templates", "timezone", "fingerprint"}
        )
    elif stage == "chunk_manifest":
        content["settings"] = settings.chunks.model_dump()
    elif stage == "detections":
        content["settings"] = settings.detector.fingerprint_inputs()
        content["detector"] = identify_detector(settings.detector).fingerprint_inputs()
    else:
        content["settings"] = settings.report.model_dump()
    return content


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
