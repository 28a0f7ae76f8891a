"""What several of a dataset's pages show: totals, recordings with links, what to mistrust.

Their looks are in `templates/frame.html` and `templates/recordings.html`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from badc_core.corpus.database import query
from badc_core.datasets.dataset import Dataset
from badc_core.reports.dataset_groups import count_stub_recordings
from badc_core.reports.page import is_made_up, link
from badc_core.reports.unmuted import current_mark
from badc_core.site.recording_pages import ClipCandidate, RecordingPages
from badc_core.site.stations import Station

DOUBTS = """
    SELECT any_value(warning ORDER BY recording_id) AS warning,
        count(DISTINCT recording_id) AS recordings, min(recording_id) AS example
    FROM (SELECT recording_id, unnest(warnings) AS warning FROM recordings)
    GROUP BY regexp_replace(warning, '[0-9][0-9.,:+-]*', '#', 'g') ORDER BY recordings DESC, warning
"""
"""Warnings that differ in their numbers alone are one kind."""

_DETECTORS = """
    SELECT DISTINCT runner, model_version, model_sha256 FROM detectors_by_recording ORDER BY ALL
"""
_SUMMED = ("detections", "chunks", "failed_chunks", "effort_s", "dead_s", "duration_s")

CLIPS_BYTES = 500_000
"""Of all pictures and sounds on a page, of which there may be hundreds."""

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class SiteSource:
    """What pages about several stations are made from, read once for all of them.

    Attributes:
        connection: to the corpus.
        dataset: the corpus's.
        pages: of its recordings.
        sources: from `find_sources`.
        candidates: label -> where clips of it are looked for, as `find_candidates` returns them.
    """

    connection: duckdb.DuckDBPyConnection
    dataset: Dataset
    pages: RecordingPages
    sources: Mapping[str, Any]
    candidates: Mapping[str, Sequence[ClipCandidate]]


def find_sources(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> dict[str, Any]:
    """Returns what pages say of the recordings that they are about, and of what listened to them.

    Args:
        connection: to the corpus, or the part of it that pages are about.
        dataset: whose.
    """
    detectors = query(connection, _DETECTORS)
    (n_recordings,) = connection.execute("SELECT count(*) FROM recordings").fetchone() or (0,)
    return {
        "n_recordings": n_recordings,
        "n_stub": count_stub_recordings(connection),
        "detectors": detectors,
        "made_up": [one for one in detectors if is_made_up(one["model_version"])],
        "has_birdnet": any(one["runner"].lower().startswith("birdnet") for one in detectors)
        or dataset.settings.detector.name == "birdnet",
    }


def shared_content(
    sources: Mapping[str, Any], dataset: Dataset, page: Path, made_from: str
) -> dict[str, Any]:
    """Returns what the frame of a page uses.

    Args:
        sources: from `find_sources`.
        dataset: whose.
        page: where it goes.
        made_from: what it says it was made from.
    """
    corpus = dataset.corpus
    return {
        **sources,
        "dataset_name": dataset.name,
        "dataset_page": link(corpus.html, page),
        "summary": link(corpus.summary, page),
        "folder": page.parent,
        "species_page": lambda label: link(corpus.species_page(label), page),
        "station_page": lambda one: link(
            corpus.station_page(one["study_area"], one["location"]), page
        ),
        "station_name": lambda one: Station(one["study_area"], one["location"]).name,
        "settings": dataset.settings,
        "made_from": made_from,
        "muting_mark": current_mark(dataset),
    }


def sum_up(recordings: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Returns totals of rows of `effort_by_recording`, with the first and the last start."""
    rows = list(recordings)
    starts = [one["start_local"] for one in rows if one["start_local"]]
    return {
        **{name: sum(one[name] for one in rows) for name in _SUMMED},
        "recordings": len(rows),
        "first": min(starts, default=None),
        "last": max(starts, default=None),
    }
