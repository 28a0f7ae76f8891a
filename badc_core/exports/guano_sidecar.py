"""GUANO metadata of each recording, with what was detected, in a text file of its own.

Source: https://github.com/riggsd/guano-spec, version 1.0; keys of our own have the namespace BADC.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from badc_core.atomic import writing_text
from badc_core.exports.rows import RecordingResults, SourceRecording
from badc_core.exports.source import ExportSource
from badc_core.recordings.clock import format_offset

ENDING = ".guano.txt"


def write_guano(source: ExportSource, folder: Path) -> None:
    """Writes the files; that of a recording without detections has no Species Auto ID."""
    for one in source.read():
        with writing_text(folder / f"{one.recording.recording_id}{ENDING}") as file:
            for key, value in _lines(one):
                if value not in (None, ""):
                    file.write(f"{key}: {' '.join(str(value).split())}\n")


def _lines(one: RecordingResults) -> Iterator[tuple[str, object]]:
    recording = one.recording
    yield "GUANO|Version", "1.0"
    yield "Timestamp", _timestamp(recording)
    yield "Length", round(recording.duration_s, 3)
    yield "Samplerate", recording.sample_rate_hz
    yield "Make", recording.device_make
    yield "Model", recording.device_model
    yield "Serial", recording.device_serial
    if recording.lat is not None and recording.lon is not None:
        yield "Loc Position", f"{recording.lat} {recording.lon}"
    yield "Loc Elevation", recording.elevation_m
    yield "Original Filename", recording.file_name
    # The value is a list that commas separate.
    labels = dict.fromkeys(found.label.replace(",", " ") for found in one.found)
    yield "Species Auto ID", ", ".join(labels)
    yield "BADC|Study Area", recording.study_area
    yield "BADC|Station", recording.location
    yield "BADC|Analysed Seconds", one.analysed_ms / 1000
    detectors = dict.fromkeys(f"{found.runner} {found.model_version}" for found in one.found)
    yield "BADC|Detector", ", ".join(detectors)
    found = [[one.start_s, one.end_s, one.label, round(one.score, 4)] for one in one.found]
    yield "BADC|Detections", json.dumps(found, ensure_ascii=False) if found else ""


def _timestamp(recording: SourceRecording) -> str:
    if recording.start_local is None:
        return ""
    text = recording.start_local.isoformat()
    minutes = recording.utc_offset_min
    return text if minutes is None else f"{text}{format_offset(minutes)}"
