"""Result tables as BirdNET-Analyzer writes them, one for each recording.

Source: https://birdnet-team.github.io/BirdNET-Analyzer, output type csv with additional columns.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from badc_core.atomic import writing_text
from badc_core.csv_tables import write_rows
from badc_core.exports.rows import Found, SourceRecording
from badc_core.exports.source import ExportSource
from badc_core.ranges.birdnet import week_of

COLUMNS = (
    *("Start (s)", "End (s)", "Scientific name", "Common name", "Confidence", "File"),
    *("lat", "lon", "week", "overlap", "sensitivity", "min_conf", "species_list", "model"),
)
ENDING = ".BirdNET.results.csv"


def write_birdnet(source: ExportSource, folder: Path) -> None:
    """Writes the tables; that of a recording without detections has only the header."""
    settings = {one.config_hash: one.settings for one in source.detectors.detectors}
    for one in source.read():
        path = str(source.dataset.audio(one.recording.path))
        rows = (_row(found, one.recording, path, settings) for found in one.found)
        with writing_text(folder / f"{one.recording.recording_id}{ENDING}") as file:
            write_rows(file, COLUMNS, rows)


def _row(
    found: Found, recording: SourceRecording, path: str, settings: Mapping[str, Mapping[str, Any]]
) -> tuple[object, ...]:
    used = settings.get(found.config_hash, {})
    start = recording.start_local
    return (
        *(f"{found.start_s:.3f}", f"{found.end_s:.3f}"),
        *(found.scientific_name or found.label_name, found.label_name, f"{found.score:.4f}"),
        *(path, recording.lat, recording.lon),
        week_of(start.date().isoformat()) if start else None,
        *(used.get("window_overlap_s"), used.get("sensitivity"), used.get("min_score")),
        *("", f"{found.runner} {found.model_version}"),
    )
