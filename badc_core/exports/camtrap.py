"""A data package in the style of Camtrap DP: stations, recordings and detections as three tables.

Camtrap DP is made for pictures of camera traps; a package of sound can follow its names and links,
but does not conform to it, and does not say so.

Source: https://camtrap-dp.tdwg.org, version 1.0.2; https://specs.frictionlessdata.io/data-package
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from badc_core.atomic import writing_text
from badc_core.csv_tables import append_rows, write_rows
from badc_core.exports.rows import Found, RecordingResults, SourceRecording
from badc_core.exports.source import ExportSource

_TEXT, _NUMBER, _TIME = "string", "number", "datetime"
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%S%z"
TABLES: dict[str, dict[str, str]] = {
    "deployments": {
        "deploymentID": _TEXT,
        "locationName": _TEXT,
        "latitude": _NUMBER,
        "longitude": _NUMBER,
        "deploymentStart": _TIME,
        "deploymentEnd": _TIME,
        "deploymentGroups": _TEXT,
    },
    "media": {
        "mediaID": _TEXT,
        "deploymentID": _TEXT,
        "timestamp": _TIME,
        "filePath": _TEXT,
        "filePublic": "boolean",
        "fileName": _TEXT,
        "fileMediatype": _TEXT,
    },
    "observations": {
        "observationID": _TEXT,
        "deploymentID": _TEXT,
        "mediaID": _TEXT,
        "eventStart": _TIME,
        "eventEnd": _TIME,
        "observationLevel": _TEXT,
        "observationType": _TEXT,
        "scientificName": _TEXT,
        "classificationMethod": _TEXT,
        "classifiedBy": _TEXT,
        "classificationProbability": _NUMBER,
        "observationTags": _TEXT,
        "observationComments": _TEXT,
    },
}
_MEDIA_TYPES = {"WAV": "audio/wav", "FLAC": "audio/flac", "MP3": "audio/mpeg", "OGG": "audio/ogg"}


@dataclass
class _Deployment:
    """A station, from its first recording to the end of its last."""

    recording: SourceRecording
    start: datetime
    end: datetime


def write_camtrap(source: ExportSource, folder: Path) -> None:
    """Writes the package; recordings without station, place or UTC time are left out and noted."""
    deployments: dict[str, _Deployment] = {}
    unplaced = []
    chosen = source.selection
    # Where only some of the detections are chosen, nothing of them does not mean nothing at all.
    says_blank = not (chosen.species or chosen.min_score or chosen.expected_only)
    with (
        writing_text(folder / "media.csv") as media,
        writing_text(folder / "observations.csv") as observations,
    ):
        write_rows(media, list(TABLES["media"]), ())
        write_rows(observations, list(TABLES["observations"]), ())
        for one in source.read():
            if not _is_placed(one.recording):
                unplaced.append(one.recording)
                continue
            _extend(deployments, one.recording)
            append_rows(media, [_medium(one.recording)])
            append_rows(observations, _observations(one, says_blank=says_blank))
    with writing_text(folder / "deployments.csv") as file:
        write_rows(file, list(TABLES["deployments"]), map(_deployment, sorted(deployments.items())))
    with writing_text(folder / "datapackage.json") as file:
        file.write(f"{json.dumps(_describe(source), indent=1, ensure_ascii=False)}\n")
    source.note_left_out("station, place or zone is not known", unplaced)


def _is_placed(one: SourceRecording) -> bool:
    return bool(one.location) and None not in (one.lat, one.lon, one.start_utc)


def _id_of(one: SourceRecording) -> str:
    return "/".join(filter(None, (one.study_area, one.location)))


def _at(one: SourceRecording, ms: int) -> datetime:
    """Returns a moment as the station's clocks show it, with their offset."""
    assert one.start_utc is not None  # noqa: S101  (see `_is_placed`)
    utc = one.start_utc + timedelta(milliseconds=ms)
    local = one.local_time(ms)
    if local is None:
        return utc
    return utc.astimezone(timezone(local - utc.replace(tzinfo=None)))


def _write_time(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _extend(deployments: dict[str, _Deployment], one: SourceRecording) -> None:
    start, end = _at(one, 0), _at(one, round(one.duration_s * 1000))
    known = deployments.setdefault(_id_of(one), _Deployment(one, start, end))
    known.start, known.end = min(known.start, start), max(known.end, end)


def _deployment(item: tuple[str, _Deployment]) -> tuple[object, ...]:
    name, one = item
    return (
        *(name, one.recording.location, one.recording.lat, one.recording.lon),
        *(_write_time(one.start), _write_time(one.end), one.recording.study_area),
    )


def _medium(one: SourceRecording) -> tuple[object, ...]:
    kind = _MEDIA_TYPES.get(one.audio_format, f"audio/x-{one.audio_format.lower()}")
    return (
        *(one.recording_id, _id_of(one), _write_time(_at(one, 0)), one.path, "false"),
        *(one.file_name, kind),
    )


def _observations(one: RecordingResults, *, says_blank: bool) -> Iterator[Sequence[object]]:
    """Yields the detections; a row that may say blank for an analysed recording without any."""
    recording = one.recording
    about = _id_of(recording), recording.recording_id
    if says_blank and not one.found and one.analysed:
        end_ms = round(recording.duration_s * 1000)
        times = _write_time(_at(recording, 0)), _write_time(_at(recording, end_ms))
        yield (
            *(f"{recording.recording_id}-blank", *about, *times, "media", "blank"),
            *("", "machine", "", "", "", f"{one.analysed_ms / 1000} s analysed"),
        )
    for found in one.found:
        yield _observation(recording, found, about)


def _observation(
    recording: SourceRecording, found: Found, about: tuple[str, str]
) -> Sequence[object]:
    times = (_write_time(_at(recording, ms)) for ms in (found.start_ms, found.end_ms))
    seconds = f"startSeconds:{found.start_s:.3f}|endSeconds:{found.end_s:.3f}"
    return (
        *(found.detection_id, *about, *times, "media"),
        *("animal" if found.scientific_name else "unknown", found.scientific_name, "machine"),
        *(f"{found.runner} {found.model_version}", round(found.score, 4), seconds),
        found.label_name,
    )


def _describe(source: ExportSource) -> dict[str, Any]:
    return {
        "name": "badc-detections",
        "title": f"Detections in {source.dataset.name}",
        "description": "In the style of Camtrap DP 1.0.2, for sound; does not conform to it.",
        "resources": [_resource(name, columns) for name, columns in TABLES.items()],
    }


def _resource(name: str, columns: dict[str, str]) -> dict[str, Any]:
    key, *_ = columns
    fields = [
        {"name": column, "type": kind, **({"format": _TIME_FORMAT} if kind == _TIME else {})}
        for column, kind in columns.items()
    ]
    schema: dict[str, Any] = {"fields": fields, "primaryKey": key}
    linked = {column: table for column, table in _LINKS.items() if column in columns}
    linked.pop(key, None)
    if linked:
        schema["foreignKeys"] = [
            {"fields": column, "reference": {"resource": table, "fields": column}}
            for column, table in linked.items()
        ]
    return {
        "name": name,
        "path": f"{name}.csv",
        "profile": "tabular-data-resource",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "schema": schema,
    }


_LINKS = {"deploymentID": "deployments", "mediaID": "media"}
