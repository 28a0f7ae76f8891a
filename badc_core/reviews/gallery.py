"""The page on which a queue is judged: one file beside the sounds, for a browser without a server.

What it looks like, and what its keys do, is in `templates/`. What it saves is read in
`verdict_files.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from badc_core.atomic import write_text
from badc_core.csv_tables import for_spreadsheets
from badc_core.datasets.dataset import Dataset
from badc_core.datasets.review_paths import QueuePaths
from badc_core.reports.page import render_page
from badc_core.reports.unmuted import current_mark
from badc_core.reviews.columns import QUEUE_NAMES, REVIEW_NAMES
from badc_core.reviews.cuts import CutOut


def write_gallery(
    dataset: Dataset,
    queue: QueuePaths,
    name: str,
    digest: str,
    rows: Sequence[Mapping[str, Any]],
    made: Mapping[str, CutOut],
) -> None:
    """Writes the page of a queue.

    Args:
        dataset: the queue's.
        queue: its files.
        name: of it.
        digest: which tells its verdicts from those of other queues in a browser's memory.
        rows: of its table.
        made: what there is of each detection; others are not on the page.

    Raises:
        StorageFull, OutputUnwritable: it cannot be written.
    """
    shown = [row for row in rows if row["detection_id"] in made]
    page = render_page(
        "gallery.html",
        dataset_name=dataset.name,
        name=name,
        muting_mark=current_mark(dataset),
        n_shown=len(shown),
        n_without=len(rows) - len(shown),
        n_labels=len({row["label"] for row in shown}),
        queue={
            "id": digest,
            "name": name,
            "columns": REVIEW_NAMES,
            "rows": list(_describe(shown, made)),
        },
    )
    write_text(queue.page, page)


def _describe(
    rows: Sequence[Mapping[str, Any]], made: Mapping[str, CutOut]
) -> Iterator[dict[str, Any]]:
    """Yields what the page knows of each detection."""
    for row in rows:
        cut = made[row["detection_id"]]
        yield {
            **{one: row[one] for one in ("detection_id", "label", "label_name", "clip", "picture")},
            "scientific_name": row["scientific_name"] or "",
            "score": row["score"],
            "place": " · ".join(filter(None, (row["study_area"], row["location"]))),
            "time": (row["local_time"] or "").replace("T", " "),
            "file": f"{row['source_path']}, {row['start_s']:g} to {row['end_s']:g} s",
            "unexpected": row["is_expected"] in (False, "False"),
            "speech": cut.in_speech,
            "mark": [round(cut.mark_start, 4), round(cut.mark_end, 4)],
            "top_khz": round(cut.top_hz / 1000, 1),
            "cells": [
                "" if row[one] is None else str(for_spreadsheets(row[one])) for one in QUEUE_NAMES
            ],
        }
