"""The best detections of a recording, each with its picture and its sound.

Pictures are made in `spectrogram.py`, sounds in `excerpt.py`.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from badc_core.audio.channel import Channel
from badc_core.audio.channel_files import open_channels
from badc_core.audio.reader import AudioFile
from badc_core.corpus.database import query
from badc_core.reports.excerpt import encode_excerpt
from badc_core.reports.page import data_uri
from badc_core.reports.spectrogram import render_spectrogram
from badc_core.reports.surroundings import overlaps_speech, read_surroundings
from badc_core.settings import Privacy
from badc_core.speech.segments import SpeechSegment

_PER_LABEL = 2

_BEST = """
    SELECT * EXCLUDE nth FROM (
        SELECT detection_id, label, label_name, scientific_name, confidence, is_expected,
            absolute_time_ms, absolute_end_ms,
            row_number() OVER (PARTITION BY label ORDER BY confidence DESC, absolute_time_ms) AS nth
        FROM real_detections
    ) WHERE nth <= ? ORDER BY nth, confidence DESC, absolute_time_ms, label LIMIT ?
"""


@dataclass(frozen=True)
class Exhibit:
    """A detection with picture and sound.

    Attributes:
        detection_id: its place on the page is named for it.
        picture: data URI of the spectrogram.
        top_hz: frequency at the picture's upper edge.
        shown_s: length of picture and sound.
        mark_start, mark_end: position of the detection in it, 0 to 1.
        in_speech: whether somebody speaks during the detection.
        is_expected: whether the species can be there; None where that is not known.
    """

    detection_id: str
    label: str
    name: str
    scientific_name: str | None
    confidence: float
    start_ms: int
    end_ms: int
    picture: str
    top_hz: float
    shown_s: float
    mark_start: float
    mark_end: float
    sound: str
    in_speech: bool
    is_expected: bool | None


def best_detections(connection: duckdb.DuckDBPyConnection, limit: int) -> list[dict[str, Any]]:
    """Returns the detections with the highest confidence: one of each label, then a second of each.

    Args:
        connection: a report database.
        limit: how many at most.
    """
    return query(connection, _BEST, _PER_LABEL, limit)


def make_exhibits(
    path: Path,
    detections: Sequence[dict[str, Any]],
    padding_s: float,
    channel: Channel,
    segments: Sequence[SpeechSegment] = (),
    privacy: Privacy = "off",
) -> tuple[Exhibit, ...]:
    """Returns detections with picture and sound.

    Args:
        path: the recording's audio.
        detections: as `best_detections` returns them, each with the `name` to show.
        padding_s: sound shown before and after each.
        channel: that was analysed; where each was, the loudest of an excerpt is shown.
        segments: where people speak.
        privacy: whether that is neither seen nor heard.

    Raises:
        ContentMissing: the audio is not here.
        UnreadableRecording: it cannot be decoded.
        ChannelMissing: it has no such channel.
    """
    if not detections:
        return ()
    exhibits: dict[str, Exhibit] = {}
    with ExitStack() as opened:
        files = open_channels(path, channel, accept_truncated=True)
        for file in files:
            opened.enter_context(file)
        # In order of time: going back in an MP3 decodes it from its start again.
        for one in sorted(detections, key=lambda one: one["absolute_time_ms"]):
            exhibits[one["detection_id"]] = _exhibit(files, one, padding_s, segments, privacy)
    return tuple(exhibits[one["detection_id"]] for one in detections)


def _exhibit(
    files: Sequence[AudioFile],
    detection: dict[str, Any],
    padding_s: float,
    segments: Sequence[SpeechSegment],
    privacy: Privacy,
) -> Exhibit:
    start_ms, end_ms = detection["absolute_time_ms"], detection["absolute_end_ms"]
    silenced = segments if privacy == "mute" else ()
    shown = read_surroundings(files, start_ms / 1000, end_ms / 1000, padding_s, silenced)
    spectrogram = render_spectrogram(shown.samples, shown.sample_rate_hz)
    return Exhibit(
        detection_id=detection["detection_id"],
        label=detection["label"],
        name=detection["name"],
        scientific_name=detection["scientific_name"],
        confidence=detection["confidence"],
        start_ms=start_ms,
        end_ms=end_ms,
        picture=data_uri("image/png", spectrogram.png),
        top_hz=spectrogram.top_hz,
        shown_s=shown.duration_s,
        mark_start=shown.mark_start,
        mark_end=shown.mark_end,
        sound=data_uri("audio/mpeg", encode_excerpt(shown.samples, shown.sample_rate_hz)),
        is_expected=detection["is_expected"],
        in_speech=overlaps_speech(segments, start_ms, end_ms),
    )
