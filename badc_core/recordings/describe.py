"""A recording's description, combined from all sources.

Each field comes from the first source that has it: deployments, guano, audiomoth, wamd, filename,
bext, path, settings. One exception: for `location` the path goes before the file name, whose first
part is often a recorder's serial number or nickname.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from badc_core.audio.reader import AudioFile
from badc_core.audio.tags import read_tags
from badc_core.datasets.dataset import Dataset
from badc_core.hashing import fingerprint_file, sha256_file
from badc_core.recordings.audiomoth import read_audiomoth
from badc_core.recordings.bext import name_other_date, read_bext
from badc_core.recordings.channels import SILENCE_DBFS
from badc_core.recordings.clock import (
    Moment,
    at_offset,
    format_offset,
    locate_in_time,
    to_local,
)
from badc_core.recordings.deployments import Deployment, read_deployments
from badc_core.recordings.findings import Findings
from badc_core.recordings.folders import read_place
from badc_core.recordings.guano import read_guano
from badc_core.recordings.identity import below_root
from badc_core.recordings.naming import read_file_name
from badc_core.recordings.plausible import (
    keep_plausible,
    keep_plausible_fields,
    last_possible_start,
)
from badc_core.recordings.quality import Quality, measure_quality
from badc_core.recordings.recording import Recording
from badc_core.recordings.registered import RegisteredRecording
from badc_core.recordings.wamd import read_wamd

_DISAGREEMENT = timedelta(minutes=1)
_CLIPPED_WARNING = 0.01
_MAX_LENGTH_ERROR_S = 1.0
_OTHER, _OTHER_DATE = "other", "Other date"
_PLACE_FIELDS = ("location", "study_area")
_STATION_FIELDS = ("study_area", "timezone", "latitude", "longitude", "elevation_m")


@dataclass
class _Draft:
    """The fields found so far and their sources; the first value of a field stays."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def add(self, source: str, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if value is not None and name not in self.values:
                self.values[name] = value
                self.sources[name] = source


@dataclass(frozen=True)
class PlaceAndTime:
    """What is said about a recording beside its sound.

    Attributes:
        values: attribute of `Recording` -> value.
        sources: attribute -> source of its value.
        comments: what has no attribute of its own.
        warnings: one sentence each.
    """

    values: dict[str, Any]
    sources: dict[str, str]
    comments: dict[str, str]
    warnings: tuple[str, ...]


def describe_recording(dataset: Dataset, registered: RegisteredRecording) -> Recording:
    """Returns the description of a recording, after decoding all of it.

    Raises:
        ContentMissing: the file or its annexed content is not here.
        UnreadableRecording: it cannot be decoded to its end.
        ConfigInvalid: the deployments table or a path template is wrong.
    """
    path = dataset.audio(registered.path)
    accept = dataset.settings.recordings.accept_truncated
    with AudioFile(path, accept_truncated=accept) as audio:
        quality, about_channels = measure_quality(audio)
        facts: dict[str, Any] = {
            "audio_format": audio.format,
            "subtype": audio.subtype,
            "sample_rate_hz": audio.sample_rate_hz,
            "n_channels": audio.n_channels,
            "is_truncated": audio.is_truncated,
        }
        decoder = {"Decoder": audio.decoder} if audio.decoder else {}
        remarks = [*audio.warnings, *about_channels]
        if audio.n_not_numbers:
            remarks.append(f"Samples that are not numbers, taken as 0: {audio.n_not_numbers}.")
    said = read_place_and_time(dataset, registered.path)
    warnings = [
        *remarks,
        *said.warnings,
        *_judge(quality, said.comments, facts["sample_rate_hz"]),
    ]
    kind = dataset.settings.recordings.fingerprint
    return Recording(
        recording_id=registered.recording_id,
        path=registered.path,
        size_bytes=path.stat().st_size,
        sha256=sha256_file(path),
        fingerprint=registered.fingerprint or fingerprint_file(path, kind),
        **facts,
        **vars(quality),
        **said.values,
        sources=said.sources,
        comments={**said.comments, **decoder},
        warnings=tuple(dict.fromkeys(warnings)),
    )


def read_place_and_time(dataset: Dataset, path: str) -> PlaceAndTime:
    """Returns what headers, name, folders, table and settings say, without decoding the sound.

    Args:
        dataset: that the recording is in.
        path: of the recording, relative to the dataset.

    Raises:
        ConfigInvalid: the deployments table or a path template is wrong.
    """
    file = dataset.audio(path)
    findings = _collect(dataset, path, file)
    place = _read_place(findings)
    station = _find_station(dataset, place)
    latest = last_possible_start(file)
    findings = [keep_plausible(one, latest, station.clock_offset_s) for one in findings]
    draft, warnings = _combine(dataset, findings, place, station)
    sources = dict(sorted(draft.sources.items()))
    comments = {**station.extras, **_merge_comments(findings)}
    return PlaceAndTime(draft.values, sources, comments, tuple(warnings))


def _collect(dataset: Dataset, path: str, file: Path) -> list[Findings]:
    """Returns the findings of all sources, the most trusted first."""
    settings = dataset.settings.recordings
    tags = read_tags(file)
    findings = [read_guano(tags), read_audiomoth(tags), read_wamd(tags)]
    findings += [read_file_name(PurePosixPath(path).name), bext := read_bext(tags)]
    if (bext is None or bext.clock is None) and (other_date := name_other_date(tags)):
        findings.append(Findings(_OTHER, comments={_OTHER_DATE: other_date}))
    place = read_place(below_root(path, settings.roots), settings.templates) or {}
    fields: dict[str, str | float] = {name: place[name] for name in _PLACE_FIELDS if name in place}
    return [*(found for found in findings if found is not None), Findings("path", fields=fields)]


def _read_place(findings: list[Findings]) -> _Draft:
    place = _Draft()
    for found in reversed(findings):
        names = {name: found.fields.get(name) for name in _PLACE_FIELDS}
        place.add(found.source, names)
    return place


def _find_station(dataset: Dataset, place: _Draft) -> Deployment:
    """Returns the row of a place in the table of deployments; an empty one without a row."""
    stations, nothing = read_deployments(dataset.deployments), Deployment(location="")
    location = place.values.get("location")
    return nothing if location is None else stations.get(location, nothing)


def _combine(
    dataset: Dataset, findings: list[Findings], place: _Draft, station: Deployment
) -> tuple[_Draft, list[str]]:
    draft = _Draft()
    said = {name: getattr(station, name) for name in _STATION_FIELDS}
    said, warnings = keep_plausible_fields(said, "deployments")
    draft.add("deployments", said)
    for name, value in place.values.items():
        draft.add(place.sources[name], {name: value})
    for found in findings:
        draft.add(found.source, found.fields)
    draft.add("settings", {"timezone": dataset.settings.recordings.timezone})
    warnings += [warning for found in findings for warning in found.warnings]
    if "location" not in draft.values:
        warnings.append("Neither path nor file name says where it was recorded.")
    return draft, warnings + _add_start(draft, findings, station.clock_offset_s)


def _add_start(draft: _Draft, findings: list[Findings], clock_offset_s: float | None) -> list[str]:
    """Adds the start to a draft and returns warnings about it."""
    timed = [found for found in findings if found.clock is not None]
    if not timed or timed[0].clock is None:
        return [_explain_no_start(findings)]
    first = timed[0]
    clock = timed[0].clock + timedelta(seconds=clock_offset_s or 0)
    zoned = next((found for found in timed if found.utc is not None and _agree(first, found)), None)
    moment, source = _locate(draft, clock, zoned)
    named = draft.values.get("timezone")
    if zoned is not None and named is not None and moment.utc is not None:
        # Such as a recorder set to UTC: the moment is certain, but people want the station's hour.
        clock, offset_min = to_local(moment.utc, named)
        draft.add(draft.sources["timezone"], {"utc_offset_min": offset_min})
    draft.add(first.source, {"start_local": clock})
    draft.add(source, {"start_utc": moment.utc, "utc_offset_min": moment.utc_offset_min})
    if zoned is not None and moment.utc_offset_min is not None:
        draft.add(source, {"timezone": format_offset(moment.utc_offset_min)})
    return [*moment.warnings, *_compare_clocks(timed, named)]


def _explain_no_start(findings: list[Findings]) -> str:
    what = "Neither header nor file name says when it was recorded"
    dates = [found.comments[_OTHER_DATE] for found in findings if found.source == _OTHER]
    also = f"; the date in its header, {dates[0]}, may be that of a copy" if dates else ""
    return f"{what}{also}."


def _locate(draft: _Draft, clock: datetime, zoned: Findings | None) -> tuple[Moment, str]:
    """Returns the start in UTC and its source: an offset beside the time beats any named zone."""
    if zoned is not None and zoned.utc_offset_min is not None:
        return at_offset(clock, zoned.utc_offset_min), zoned.source
    moment = locate_in_time(clock, draft.values.get("timezone"))
    return moment, draft.sources.get("timezone", "")


def _agree(one: Findings, other: Findings) -> bool:
    """Returns whether two sources agree on the start, within a minute."""
    if one.clock is None or other.clock is None:
        return True
    both_zoned = one.utc is not None and other.utc is not None
    here, there = (one.utc, other.utc) if both_zoned else (one.clock, other.clock)
    return here is None or there is None or abs(here - there) <= _DISAGREEMENT


def _same_moment(one: Findings, other: Findings, timezone: str | None) -> bool:
    """Returns whether two sources are one moment, where only one of them says its offset."""
    moments = [
        found.utc
        if found.utc is not None or found.clock is None
        else locate_in_time(found.clock, timezone).utc
        for found in (one, other)
    ]
    here, there = (None if moment is None else moment.replace(tzinfo=None) for moment in moments)
    return here is not None and there is not None and abs(here - there) <= _DISAGREEMENT


def _compare_clocks(timed: list[Findings], timezone: str | None) -> Iterable[str]:
    first = timed[0]
    for other in timed[1:]:
        if not _agree(first, other) and not _same_moment(first, other, timezone):
            yield (
                f"{first.source} says it starts at {first.clock}, {other.source} at "
                f"{other.clock}; {first.source} is used."
            )


def _judge(quality: Quality, comments: dict[str, str], sample_rate_hz: int) -> list[str]:
    """Returns warnings about the sound, and about headers that contradict it."""
    warnings: list[str] = []
    if quality.is_silent:
        warnings.append(f"Nothing is louder than {SILENCE_DBFS:g} dBFS: check microphone and gain.")
    if quality.clipped_fraction > _CLIPPED_WARNING:
        warnings.append(f"{quality.clipped_fraction:.1%} of the samples are clipped.")
    duration_s = quality.n_samples / sample_rate_hz
    claimed = {"Samplerate": (sample_rate_hz, 1.0), "Length": (duration_s, _MAX_LENGTH_ERROR_S)}
    for name, (real, tolerance) in claimed.items():
        try:
            differs = abs(float(comments.get(name, real)) - real) > tolerance
        except ValueError:
            differs = True
        if differs:
            warnings.append(f"GUANO gives {name} {comments[name]}, the sound has {real:g}.")
    return warnings


def _merge_comments(findings: list[Findings]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for found in reversed(findings):
        merged.update(found.comments)
    return merged
