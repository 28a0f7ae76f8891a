"""A table that Kaleidoscope opens as results of its own, about all recordings.

TOP1DIST is a distance there, small for what is near: 1 minus the score.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from badc_core.atomic import writing_text
from badc_core.csv_tables import write_rows
from badc_core.exports.rows import Found, SourceRecording
from badc_core.exports.source import ExportSource

COLUMNS = (
    *("INDIR", "FOLDER", "IN FILE", "CHANNEL", "OFFSET", "DURATION", "Fmin", "Fmax"),
    *("DATE", "TIME", "TOP1MATCH", "TOP1DIST", "MANUAL ID"),
)


def write_kaleidoscope(source: ExportSource, folder: Path) -> None:
    """Writes the table."""
    with writing_text(folder / "kaleidoscope.csv") as file:
        write_rows(file, COLUMNS, _rows(source))


def _rows(source: ExportSource) -> Iterator[tuple[object, ...]]:
    root = str(source.dataset.root)
    for one in source.read():
        for found in one.found:
            yield _row(found, one.recording, root)


def _row(found: Found, recording: SourceRecording, root: str) -> tuple[object, ...]:
    when = recording.local_time(found.start_ms)
    return (
        *(root, str(PurePosixPath(recording.path).parent), recording.file_name, 0),
        *(f"{found.start_s:.3f}", f"{found.end_s - found.start_s:.3f}"),
        *(found.min_freq_hz, found.max_freq_hz),
        *((f"{when:%Y-%m-%d}", f"{when:%H:%M:%S}") if when else ("", "")),
        *(found.label, f"{1 - found.score:.4f}", ""),
    )
