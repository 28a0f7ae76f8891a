"""The table of clips that opensoundscape reads: a row for each clip, a column for each label.

Clips that were not analysed are no rows: a score of 0 says that nothing above the minimum was
there. The last clip of a recording may be shorter.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from badc_core.datasets.dataset import Dataset
from badc_core.detectors.registry import identify_detector
from badc_core.errors import BadcError
from badc_core.exports.rows import RecordingResults
from badc_core.exports.source import ExportSource
from badc_core.exports.text_tables import write_plain_csv
from badc_core.intervals import clip, length_of

INDEX = ("file", "start_time", "end_time")
_USUAL_CLIP_S = 3.0
"""Of BirdNET and HawkEars, for a detector that is not installed here."""


def write_opensoundscape(source: ExportSource, folder: Path) -> None:
    """Writes the table; paths in it are relative to the dataset."""
    labels = [one.label for one in source.labels]
    write_plain_csv(folder / "clips.csv", _rows(source, labels))


def clip_length_s(dataset: Dataset) -> float:
    """Returns how much the dataset's detector sees at once."""
    try:
        return identify_detector(dataset.settings.detector).window_s
    except BadcError:
        return _USUAL_CLIP_S


def _rows(source: ExportSource, labels: list[str]) -> Iterator[tuple[object, ...]]:
    yield (*INDEX, *labels)
    clip_ms = round(clip_length_s(source.dataset) * 1000)
    columns = {label: number for number, label in enumerate(labels)}
    for one in source.read():
        yield from _clips(one, clip_ms, columns)


def _clips(
    one: RecordingResults, clip_ms: int, columns: Mapping[str, int]
) -> Iterator[tuple[object, ...]]:
    end_ms = round(one.recording.duration_s * 1000)
    starts = range(0, end_ms, clip_ms)
    scores: dict[int, list[float]] = {}
    for found in one.found:
        last_ms = max(found.start_ms, found.end_ms - 1)
        for start in starts[found.start_ms // clip_ms : last_ms // clip_ms + 1]:
            end = min(start + clip_ms, end_ms)
            shared_ms = min(end, found.end_ms) - max(start, found.start_ms)
            if 2 * shared_ms >= min(end - start, found.end_ms - found.start_ms):
                own = scores.setdefault(start, [0] * len(columns))
                number = columns[found.label]
                own[number] = max(own[number], round(found.score, 6))
    nothing = [0] * len(columns)
    for start in starts:
        end = min(start + clip_ms, end_ms)
        if length_of(clip(one.analysed, start, end)) == end - start:
            yield (one.recording.path, start / 1000, end / 1000, *scores.get(start, nothing))
