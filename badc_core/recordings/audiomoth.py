"""The comment that an AudioMoth writes into its WAV files, in whatever format they are kept.

Its wording changed with the firmware, so each fact is searched for separately.

Source: https://github.com/OpenAcousticDevices/AudioMoth-Firmware-Basic, `setHeaderComment`,
releases 1.0 to 1.11.
"""

import re
from collections.abc import Mapping
from datetime import datetime

from badc_core.recordings.findings import Findings
from badc_core.recordings.naming import parse_fraction
from badc_core.recordings.zones import plain_text

# Of RIFF; of Vorbis comments, as converters name them; of ID3.
_COMMENT_TAGS = ("ICMT", "COMMENT", "DESCRIPTION", "COMMENTS", "COMM", "TIT3")
_ARTIST_TAGS = ("IART", "ARTIST", "TPE1", "AUTHOR")
_START = re.compile(r"Recorded at (\d\d:\d\d:\d\d)(\.\d+)? (\d\d/\d\d/\d{4})(?: \(UTC([^)]*)\))?")
_OFFSET = re.compile(r"([+-])(\d{1,2})(?::(\d{1,2}))?")
_DEVICE = re.compile(r"AudioMoth ([0-9A-F]{16})")
_DEPLOYMENT = re.compile(r"during deployment ([0-9A-F]{16})")
_GAIN = re.compile(r"at (?:gain setting (\d)|([a-z-]+) gain(?: setting)?)")
_BATTERY = re.compile(r"battery(?: state)? was (less than|greater than|<|>)? ?(\d+\.\d+)V")
_TEMPERATURE = re.compile(r"temperature was (-?\d+\.\d+)C")
_STOPPED = re.compile(r"Recording (?:cancelled before completion|stopped) (?:due to|by) ([^.]+)\.")
_FILTER = re.compile(r"((?:Low|Band|High)-pass filter [^.]*(?:\.\d[^.]*)*)\.")
_THRESHOLD = re.compile(r"Amplitude threshold was (.+?)\.(?: |$)")


def read_audiomoth(tags: Mapping[str, str]) -> Findings | None:
    """Returns the facts that an AudioMoth left in a file's tags; None for other files."""
    comments = [text for name in _COMMENT_TAGS if (text := tags.get(name))]
    comment = next((text for text in comments if "AudioMoth" in text), "")
    artist = next((text for name in _ARTIST_TAGS if (text := tags.get(name))), "")
    if not comment and "AudioMoth" not in artist:
        return None
    return interpret_comment(plain_text(comment or next(iter(comments), "")), artist)


def interpret_comment(comment: str, artist: str = "") -> Findings:
    """Returns the facts in an AudioMoth comment.

    A voltage beyond the recorder's scale (`greater than 4.9V`) is given as the end of the scale,
    and its wording is kept in the comments.
    """
    clock, offset_min = _read_start(comment)
    fields: dict[str, str | float] = {"device_make": "Open Acoustic Devices"}
    fields["device_model"] = "AudioMoth"
    comments: dict[str, str] = {"ICMT": comment} if comment else {}
    if device := _DEVICE.search(artist) or _DEVICE.search(comment):
        fields["device_serial"] = device[1]
    if gain := _GAIN.search(comment):
        fields["gain"] = gain[1] or gain[2]
    if temperature := _TEMPERATURE.search(comment):
        fields["temperature_c"] = float(temperature[1])
    if battery := _BATTERY.search(comment):
        fields["battery_v"] = float(battery[2])
        if battery[1]:
            comments["battery"] = f"{battery[1]} {battery[2]} V"
    comments.update(_read_notes(comment))
    stopped = comments.get("stopped")
    warnings = [f"The recorder stopped early: {stopped}."] if stopped else []
    if comment and (clock is None or offset_min is None):
        what = "start" if clock is None else "offset from UTC"
        warnings.append(f"The AudioMoth comment's {what} cannot be read: {comment[:80]!r}.")
    return Findings("audiomoth", clock, offset_min, fields, comments, tuple(warnings))


def _read_start(comment: str) -> tuple[datetime | None, int | None]:
    """Returns clock and offset; firmware 1.0 names no zone, and its clock ran in UTC."""
    match = _START.search(comment)
    if match is None:
        return None, None
    try:
        clock = datetime.strptime(f"{match[1]} {match[3]}", "%H:%M:%S %d/%m/%Y")
        clock += parse_fraction(match[2] or "")
    except ValueError:
        return None, None
    offset = _OFFSET.fullmatch(match[4] or "")
    if offset is None:
        return clock, None if match[4] else 0
    minutes = int(offset[2]) * 60 + int(offset[3] or 0)
    return clock, -minutes if offset[1] == "-" else minutes


def _read_notes(comment: str) -> dict[str, str]:
    searches = {
        "deployment": _DEPLOYMENT,
        "stopped": _STOPPED,
        "filter": _FILTER,
        "amplitude_threshold": _THRESHOLD,
    }
    found = {name: pattern.search(comment) for name, pattern in searches.items()}
    notes = {name: match[1] for name, match in found.items() if match}
    if "using external microphone" in comment:
        notes["microphone"] = "external"
    return notes
