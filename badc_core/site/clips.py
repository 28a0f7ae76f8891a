"""Which detections are shown with picture and sound on a page, and in what order.

How clips look is in `templates/clips.html`; they are taken out of the pages of their recordings.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

import duckdb

from badc_core.corpus.database import query
from badc_core.site.recording_pages import Clip, ClipCandidate, RecordingPages

PAGES_PER_CLIP = 5

_CANDIDATES = """
    WITH found AS (
        SELECT label, label_name, study_area, location,
            any_value(c.scientific_name) AS scientific_name,
            min({'worst': -best, 'recording_id': recording_id}, $1) AS ones
        FROM counts_by_recording c JOIN recordings USING (recording_id)
        WHERE label IN (SELECT unnest($2))
        GROUP BY label, label_name, study_area, location
    ), numbered AS (
        SELECT *, row_number() OVER (
            PARTITION BY label, study_area, location ORDER BY worst, recording_id
        ) AS nth_of_station
        FROM (SELECT * EXCLUDE ones, unnest(ones, recursive := true) FROM found)
    )
    SELECT * EXCLUDE worst, -worst AS best FROM numbered
    QUALIFY row_number() OVER (
        PARTITION BY label ORDER BY nth_of_station, worst, recording_id
    ) <= $3
    ORDER BY label, nth_of_station, worst, recording_id
"""
"""Sorting all rows would take ten times as long as keeping the few best of each station."""


def find_candidates(
    connection: duckdb.DuckDBPyConnection, labels: Collection[str], per_label: int
) -> list[ClipCandidate]:
    """Returns which recordings have the best detections of labels, the best to be tried first.

    They are in order of labels; of each label, the best of every station come before any second.

    Args:
        connection: to a corpus.
        labels: those that are wanted.
        per_label: how many clips of each are wanted; no more recordings than these may need.
    """
    most = per_label * PAGES_PER_CLIP
    found = query(connection, _CANDIDATES, PAGES_PER_CLIP, list(labels), most)
    return [ClipCandidate(**one) for one in found]


def choose_clips(
    pages: RecordingPages, candidates: Iterable[ClipCandidate], per_label: int, max_bytes: int
) -> tuple[Clip, ...]:
    """Returns clips: one of each label, then a second of each, and so on.

    Args:
        pages: where they are taken from.
        candidates: in the order in which they are tried; labels are shown in that order too.
        per_label: how many clips of a label at most.
        max_bytes: of all clips together; what does not fit is left out.
    """
    waiting: dict[str, Iterator[Clip]] = {}
    for label, own in _by_label(candidates).items():
        waiting[label] = _clips_of_label(pages, own)
    chosen: list[Clip] = []
    left_bytes = max_bytes
    for _ in range(per_label):
        for label, clips in list(waiting.items()):
            clip = next(clips, None)
            if clip is None:
                del waiting[label]
            elif clip.size_bytes <= left_bytes:
                chosen.append(clip)
                left_bytes -= clip.size_bytes
    return tuple(chosen)


def _by_label(candidates: Iterable[ClipCandidate]) -> dict[str, list[ClipCandidate]]:
    found: dict[str, list[ClipCandidate]] = {}
    for one in candidates:
        found.setdefault(one.label, []).append(one)
    return found


def _clips_of_label(pages: RecordingPages, candidates: Sequence[ClipCandidate]) -> Iterator[Clip]:
    """Yields clips; ends where several pages after each other have none."""
    failed = 0
    for one in candidates:
        clip = pages.take(one)
        if clip is not None:
            yield clip
            failed = 0
        elif (failed := failed + 1) == PAGES_PER_CLIP:
            return
