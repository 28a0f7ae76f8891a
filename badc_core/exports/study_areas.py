"""All detections as CSV: a table for each study area, and one of all."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from badc_core.atomic import writing_text
from badc_core.csv_tables import append_rows, write_rows
from badc_core.exports.file_parts import name_parts
from badc_core.exports.source import ExportSource

COLUMNS = (
    *("study_area", "location", "recording_date_time", "filename", "start_time", "end_time"),
    *("class_name", "class_code", "score", "is_expected"),
)
ALL = "all.csv"


def write_study_areas(source: ExportSource, folder: Path) -> None:
    """Writes the tables, each in the order of recordings and times."""
    areas = sorted({one.study_area for one in source.recordings if one.study_area})
    names = name_parts(areas, taken=("all", "recordings"))
    with ExitStack() as stack:
        files = {
            area: stack.enter_context(writing_text(folder / f"{names[area]}.csv")) for area in areas
        }
        every = stack.enter_context(writing_text(folder / ALL))
        for file in (every, *files.values()):
            write_rows(file, COLUMNS, ())
        for row in _rows(source):
            for file in filter(None, (every, files.get(str(row[0])))):
                append_rows(file, [row])


def _rows(source: ExportSource) -> Iterator[tuple[object, ...]]:
    for one in source.read():
        recording = one.recording
        start = recording.start_local
        about = (
            *(recording.study_area, recording.location),
            *(f"{start:%Y-%m-%d %H:%M:%S}" if start else None, recording.file_name),
        )
        for found in one.found:
            times = f"{found.start_s:.3f}", f"{found.end_s:.3f}"
            names = found.label_name, found.label_code
            yield (*about, *times, *names, f"{found.score:.4f}", found.is_expected)
