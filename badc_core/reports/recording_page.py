"""The content of the page about one recording.

Its looks are in `templates/report.html`; the positions of chart marks in `charts.py`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import duckdb

from badc_core.audio.channel import MEAN, Channel, parse_channel
from badc_core.corpus.database import query
from badc_core.corpus.speech_tables import length_ms
from badc_core.datasets.dataset import Dataset
from badc_core.detections.store import (
    CHANNEL_KEY,
    MODEL_SHA256_KEY,
    MODEL_VERSION_KEY,
    NOT_ANALYSED_KEY,
    RUNNER_KEY,
    read_metadata,
)
from badc_core.detectors.registry import choose_chunks
from badc_core.errors import ContentMissing
from badc_core.recordings.channels import SILENCE_DBFS, ChannelFigures, warn_of_channels
from badc_core.recordings.clock import clock_after
from badc_core.recordings.recording import Recording
from badc_core.reports.charts import Mark, Row, Tick, format_offset, score_bars, time_ticks
from badc_core.reports.gallery import Exhibit, best_detections, make_exhibits
from badc_core.reports.page import format_clock, link, render_page
from badc_core.reports.page_detectors import note_detectors
from badc_core.reports.sun_times import describe_sun
from badc_core.reports.unmuted import current_mark
from badc_core.species_names import SpeciesNames
from badc_core.speech.find import MODEL
from badc_core.speech.stored import Segments

_TIMELINE_BINS = 180
_TIMELINE_ROWS = 12
_SCORE_BIN = 0.05
_MAX_CHANNELS = 16

SPECIES = """
    SELECT label, label_name, any_value(scientific_name) AS scientific_name,
        count(*) AS detections, max(confidence) AS best, avg(confidence) AS mean,
        min(absolute_time_ms) AS first_ms,
        count(*) FILTER (NOT is_expected) AS not_expected
    FROM real_detections
    GROUP BY label, label_name
    ORDER BY detections DESC, best DESC, label
"""
"""All labels of a recording, the most frequent first."""

_MARKS = """
    SELECT label, label_name, floor(absolute_time_ms * $1 / $2)::BIGINT AS bin,
        count(*) AS detections, max(confidence) AS best, min(absolute_time_ms) AS first_ms,
        least($2, max(absolute_end_ms)) AS end_ms
    FROM real_detections GROUP BY ALL ORDER BY bin
"""
_SCORES = f"""
    SELECT least(floor(confidence / {_SCORE_BIN} + 1e-9), 1 / {_SCORE_BIN} - 1) * {_SCORE_BIN},
        count(*)
    FROM real_detections GROUP BY 1 ORDER BY 1
"""  # noqa: S608
_FAILED = """
    SELECT chunk_id, chunk_start_ms, chunk_end_ms, coalesce(error, 'no reason given') AS reason
    FROM chunks WHERE status = 'error' ORDER BY chunk_start_ms
"""
_DETECTORS = """
    SELECT DISTINCT runner, model_version, model_sha256, config_hash FROM detections ORDER BY ALL
"""


def render_recording_page(
    connection: duckdb.DuckDBPyConnection,
    dataset: Dataset,
    recording: Recording,
    effort: Mapping[str, Any],
    segments: Segments | None = None,
) -> str:
    """Returns the page about one recording.

    Args:
        connection: its report database.
        dataset: whose recording; its settings say how much is shown.
        recording: its description.
        effort: its row of `effort_by_recording`.
        segments: where people speak; None where that was not searched.

    Raises:
        UnreadableRecording: its audio cannot be decoded.
    """
    names = SpeciesNames.read(dataset.settings.report.language)
    species = names.add_to(query(connection, SPECIES))
    stored = read_metadata(dataset.detections(recording.recording_id))
    detectors = query(connection, _DETECTORS)
    channel = stored.get(CHANNEL_KEY, MEAN)
    exhibits, sound_missing = _exhibits(
        connection, dataset, recording, parse_channel(channel), segments, names
    )
    end_local = _clock_after(recording, timedelta(seconds=recording.duration_s))
    page = dataset.bundle(recording.recording_id).html
    station_page = dataset.corpus.station_page(recording.study_area, recording.location)
    return render_page(
        "report.html",
        dataset_page=link(dataset.corpus.html, page),
        station_page=link(station_page, page),
        recording=recording,
        silence_dbfs=SILENCE_DBFS,
        settings=dataset.settings,
        chunk_s=choose_chunks(dataset.settings).duration_s,
        detector=_detector(detectors, dataset, stored),
        detectors_note=note_detectors(detectors),
        channel=channel,
        segments=segments,
        speech_s=length_ms(segments or ()) / 1000,
        speech_model=MODEL,
        muting_mark=current_mark(dataset),
        not_analysed_s=float(stored.get(NOT_ANALYSED_KEY, 0)),
        effort=effort,
        expected=query(connection, "SELECT * FROM expected_summary")[0],
        channels=_channels_to_show(recording),
        species=species[: dataset.settings.report.top_labels],
        n_more_species=max(0, len(species) - dataset.settings.report.top_labels),
        n_species=sum(1 for one in species if one["scientific_name"]),
        n_other_sounds=sum(1 for one in species if not one["scientific_name"]),
        failed=[
            {**chunk, "reason": dataset.without_root(chunk["reason"])}
            for chunk in query(connection, _FAILED)
        ],
        rows=_timeline_rows(connection, recording, species),
        ticks=_ticks(recording),
        score_bars=score_bars(connection.execute(_SCORES).fetchall(), _SCORE_BIN),
        exhibits=exhibits,
        sound_missing=sound_missing,
        at=lambda offset_ms: _at(recording, offset_ms),
        clock_at=lambda offset_ms: _clock_after(recording, timedelta(milliseconds=offset_ms)),
        end_local=end_local,
        sun=describe_sun(recording),
        end_offset_min=_end_offset_min(recording, end_local),
        bundle=dataset.bundle(recording.recording_id),
    )


def _channels_to_show(recording: Recording) -> tuple[ChannelFigures, ...]:
    """Returns the channels where there are several, or something is wrong with the only one."""
    is_ordinary = recording.n_channels == 1 and not warn_of_channels(
        recording.channels, recording.n_samples, recording.sample_rate_hz
    )
    return () if is_ordinary else recording.channels[:_MAX_CHANNELS]


def _exhibits(
    connection: duckdb.DuckDBPyConnection,
    dataset: Dataset,
    recording: Recording,
    channel: Channel,
    segments: Segments | None,
    names: SpeciesNames,
) -> tuple[tuple[Exhibit, ...], str]:
    """Returns the detections with picture and sound, or why there are none."""
    report, audio = dataset.settings.report, dataset.audio(recording.path)
    best = names.add_to(best_detections(connection, report.top_detections))
    privacy = dataset.settings.speech.privacy
    if privacy == "mute" and segments is None:
        return (), "speech in it was not searched for, as its sound was not here"
    try:
        shown = make_exhibits(audio, best, report.padding_s, channel, segments or (), privacy)
    except ContentMissing as error:
        return (), error.what
    return shown, ""


def _detector(
    detectors: Sequence[Mapping[str, Any]], dataset: Dataset, stored: Mapping[str, str]
) -> dict[str, Any]:
    """Returns the detector; without detections, as the metadata of their file says."""
    found = detectors[0] if detectors else {}
    name = found.get("runner") or stored.get(RUNNER_KEY, dataset.settings.detector.name)
    return {
        "name": name,
        "version": found.get("model_version") or stored.get(MODEL_VERSION_KEY, ""),
        "model_sha256": found.get("model_sha256") or stored.get(MODEL_SHA256_KEY, ""),
        "is_birdnet": name.lower().startswith("birdnet"),
    }


def _timeline_rows(
    connection: duckdb.DuckDBPyConnection, recording: Recording, species: list[dict[str, Any]]
) -> tuple[Row, ...]:
    duration_ms = max(1, round(recording.duration_s * 1000))
    names = {(one["label"], one["label_name"]): one["name"] for one in species}
    marks: dict[tuple[str, str], list[Mark]] = {}
    for one in query(connection, _MARKS, _TIMELINE_BINS, duration_ms):
        start_ms, width_ms = one["first_ms"], one["end_ms"] - one["first_ms"]
        label = one["label"], one["label_name"]
        title = f"{_at(recording, start_ms)}: {names[label]}, best score {one['best']:.2f}"
        title += f", {one['detections']} detections" if one["detections"] > 1 else ""
        mark = Mark(start_ms / duration_ms, width_ms / duration_ms, one["best"], title)
        marks.setdefault(label, []).append(mark)
    return tuple(
        Row(one["name"], tuple(marks[one["label"], one["label_name"]]))
        for one in species[:_TIMELINE_ROWS]
    )


def _ticks(recording: Recording) -> tuple[Tick, ...]:
    start = recording.start_local
    if start is None:
        return time_ticks(recording.duration_s, None)
    known = start, recording.start_utc, recording.timezone
    return time_ticks(recording.duration_s, start, lambda elapsed: clock_after(*known, elapsed))


def _end_offset_min(recording: Recording, end_local: datetime | None) -> int | None:
    """Returns the minutes from UTC at the end, which differ where clocks were changed."""
    offset_min = recording.utc_offset_min
    if end_local is None or recording.start_local is None or offset_min is None:
        return offset_min
    shown = end_local - recording.start_local - timedelta(seconds=recording.duration_s)
    return offset_min + round(shown.total_seconds() / 60)


def _clock_after(recording: Recording, elapsed: timedelta) -> datetime | None:
    """Returns local time at the station; None where the start is not known."""
    start = recording.start_local
    if start is None:
        return None
    return clock_after(start, recording.start_utc, recording.timezone, elapsed)


def _at(recording: Recording, offset_ms: int) -> str:
    """Returns a clock time, with the date if it is another day; an offset without a clock."""
    start = recording.start_local
    clock = _clock_after(recording, timedelta(milliseconds=offset_ms))
    if clock is None or start is None:
        return format_offset(offset_ms / 1000)
    day = f"{clock.day} {clock:%b} " if clock.date() != start.date() else ""
    return day + format_clock(clock, with_seconds=True)
