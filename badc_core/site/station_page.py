"""The content of the page about one station.

Its looks are in `templates/station.html`. Its numbers come from the station's own parts of the
corpus: of hundreds of stations, those parts alone are opened.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

import duckdb

from badc_core.corpus.database import query
from badc_core.corpus.part_views import show_parts
from badc_core.corpus.parts import CorpusPart, PartList
from badc_core.corpus.reading import attach_corpus
from badc_core.corpus.root import absolute_paths
from badc_core.datasets.dataset import Dataset
from badc_core.reports.page import link, render_page
from badc_core.site.activity_maps import NO_SUNRISE, map_by_hour, map_by_sunrise
from badc_core.site.clips import choose_clips, find_candidates
from badc_core.site.effort_maps import read_calendar, read_date_hour_map
from badc_core.site.recording_pages import RecordingPages
from badc_core.site.shared_content import (
    CLIPS_BYTES,
    DOUBTS,
    Rows,
    find_sources,
    shared_content,
    sum_up,
)
from badc_core.site.stations import Station
from badc_core.site.sun_lines import choose_place, read_places
from badc_core.species_names import SpeciesNames

MOST_RECORDINGS = 500
CLIPS_PER_LABEL = 2
_N_ACTIVE = 12

_OWN = """
    CREATE TABLE recordings AS SELECT * FROM corpus.recordings
    WHERE study_area IS NOT DISTINCT FROM ? AND location IS NOT DISTINCT FROM ?
"""
_SPECIES = """
    SELECT label, any_value(label_name ORDER BY label_name) AS label_name,
        any_value(scientific_name) AS scientific_name,
        sum(detections)::BIGINT AS detections, count(*) AS recordings, max(best) AS best,
        sum(not_expected)::BIGINT AS not_expected
    FROM counts_by_recording GROUP BY label ORDER BY detections DESC, label
"""
_RECORDINGS = """
    SELECT e.*, r.is_silent FROM effort_by_recording e JOIN recordings r USING (recording_id)
    ORDER BY e.start_local, recording_id
"""
_PLACE = """
    SELECT avg(lat) AS latitude, avg(lon) AS longitude, avg(elevation_m) AS elevation_m,
        mode(timezone) AS timezone,
        list(DISTINCT device_model ORDER BY device_model)
            FILTER (device_model IS NOT NULL) AS devices
    FROM recordings
"""


def render_station_page(
    dataset: Dataset,
    pages: RecordingPages,
    station: Station,
    parts: Sequence[CorpusPart],
    made_from: str,
) -> str:
    """Returns the page about a station.

    Args:
        dataset: whose.
        pages: of its recordings.
        station: which.
        parts: its parts of the corpus.
        made_from: what the page says it was made from.

    Raises:
        ContentMissing, DatasetInvalid: as for `open_corpus`.
    """
    page = dataset.corpus.station_page(*station)
    with _open_station(dataset, station, parts) as connection:
        names = SpeciesNames.read(dataset.settings.report.language)
        species = names.add_to(query(connection, _SPECIES))
        recordings = [
            {**one, "address": pages.address(one["recording_id"], page)}
            for one in query(connection, _RECORDINGS)
        ]
        active = species[:_N_ACTIVE]
        labels = [one["label"] for one in active]
        candidates = find_candidates(connection, labels, CLIPS_PER_LABEL)
        place = choose_place(read_places(connection))
        return render_page(
            "station.html",
            **shared_content(find_sources(connection, dataset), dataset, page, made_from),
            station=station,
            totals=sum_up(recordings),
            place=query(connection, _PLACE)[0],
            species=[
                {**one, "address": link(dataset.corpus.species_page(one["label"]), page)}
                for one in species
            ],
            doubts=query(connection, DOUBTS),
            clips=choose_clips(pages, candidates, CLIPS_PER_LABEL, CLIPS_BYTES),
            calendar=read_calendar(connection),
            date_hour=read_date_hour_map(connection, place),
            activity=map_by_hour(connection, active),
            by_sunrise=map_by_sunrise(connection, active),
            no_sunrise=query(connection, NO_SUNRISE),
            months=_by_month(recordings) if len(recordings) > MOST_RECORDINGS else [],
            recordings=_choose(recordings),
        )


@contextmanager
def _open_station(
    dataset: Dataset, station: Station, parts: Sequence[CorpusPart]
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yields a connection to a corpus of one station, with all tables and views."""
    listed = PartList(0, "", list(parts))
    with duckdb.connect(":memory:", config={"threads": "1"}) as connection:
        attach_corpus(connection, dataset)
        connection.execute(_OWN, station)
        connection.execute("CREATE TABLE settings AS SELECT * FROM corpus.settings")
        show_parts(connection, absolute_paths(dataset.corpus.folder, listed.paths()))
        yield connection


def _choose(recordings: Rows) -> Rows:
    """Returns all recordings, or those with most detections of many."""
    if len(recordings) <= MOST_RECORDINGS:
        return recordings
    busiest = sorted(recordings, key=lambda one: (-one["detections"], one["recording_id"]))
    return busiest[:MOST_RECORDINGS]


def _by_month(recordings: Rows) -> Rows:
    """Returns the totals of recordings, in order of time, by the month in which they begin.

    Those that `_choose` leaves out are among `others`.
    """
    chosen = {one["recording_id"] for one in _choose(recordings)}
    months = []
    for month, own in groupby(
        recordings, lambda one: one["start_local"] and f"{one['start_local']:%Y-%m}"
    ):
        rows = list(own)
        others = [one for one in rows if one["recording_id"] not in chosen]
        months.append({"month": month or "unknown", **sum_up(rows), "others": others})
    return months
