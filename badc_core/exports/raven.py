"""Selection tables of Raven, one for each recording.

Source: columns and their order are those of HawkEars 2; https://ravensoundsoftware.com
"""

from pathlib import Path

from badc_core.exports.rows import Found, SourceRecording
from badc_core.exports.source import ExportSource
from badc_core.exports.text_tables import write_tabs

COLUMNS = (
    *("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Common Name"),
    *("Scientific Name", "Species Code", "eBird Code", "Species", "Confidence", "File Offset (s)"),
    *("Low Freq (Hz)", "High Freq (Hz)", "Begin File", "Begin Path"),
)
ENDING = ".BADC.selection.table.txt"


def write_raven(source: ExportSource, folder: Path) -> None:
    """Writes the tables; that of a recording without detections has only the header."""
    for one in source.read():
        path = str(source.dataset.audio(one.recording.path))
        rows = (_row(number, found, one.recording, path) for number, found in enumerate(one.found))
        write_tabs(folder / f"{one.recording.recording_id}{ENDING}", (COLUMNS, *rows))


def _row(number: int, found: Found, recording: SourceRecording, path: str) -> tuple[object, ...]:
    highest = recording.sample_rate_hz / 2
    start = f"{found.start_s:.4f}"
    return (
        *(number + 1, "Spectrogram 1", 1, start, f"{found.end_s:.4f}"),
        *(found.label_name, found.scientific_name, found.label_code, found.ebird_code),
        *(found.label, f"{found.score:.4f}", start),
        # Programs that read these tables want a number, and the whole band says the same as none.
        f"{found.min_freq_hz or 0.0:.4f}",
        f"{min(found.max_freq_hz or highest, highest):.4f}",
        *(recording.file_name, path),
    )
