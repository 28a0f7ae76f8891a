"""Label tracks of Audacity, one for each recording.

Source: https://manual.audacityteam.org/man/importing_and_exporting_labels.html
"""

from pathlib import Path

from badc_core.exports.source import ExportSource
from badc_core.exports.text_tables import write_tabs

ENDING = ".BADC.labels.txt"


def write_audacity(source: ExportSource, folder: Path) -> None:
    """Writes the tracks; that of a recording without detections is empty, as it has no header."""
    for one in source.read():
        rows = (
            (f"{found.start_s:.3f}", f"{found.end_s:.3f}", f"{found.label};{found.score:.3f}")
            for found in one.found
        )
        write_tabs(folder / f"{one.recording.recording_id}{ENDING}", rows)
