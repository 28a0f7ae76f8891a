"""The facts in a recording's path and file name: place, start, position.

Pure functions on text. Identity is in `identity.py`.

Sources of the forms:
    Song Meter: Wildlife Acoustics user guides, `PREFIX_YYYYMMDD_HHMMSS`, SM2 to SM4 with the
        channels in between (`_0+1_`); WildTrax keeps them as `__0__` and `__1__`.
    AudioMoth: Operation Manual, `YYYYMMDD_HHMMSS`, with `T` after it for triggered recordings and
        optionally the 16-digit serial number before it; firmware before 1.2 wrote the start as
        seconds since 1970 in 8 hex digits, UTC.
    Frontier Labs: https://github.com/ecoacoustics/known-problems and the EMU project's documents:
        `20190401T000000+1000_REC [-19.2144+152.8811].flac`,
        `20210617T080000+0000_Rec2_-18.2656+144.5564.flac`.
        Some firmware drops the signs of a position; such a position is ignored.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import PurePosixPath

from badc_core.errors import ConfigInvalid
from badc_core.recordings.findings import Findings

_FIRST_HEX_YEAR, _LAST_HEX_YEAR = 2010, 2060
_OFFSET = r"(?P<offset>Z(?![A-Za-z0-9])|[+-](?:0\d|1[0-4]):?[0-5]\d(?!\d))?"
_COMPACT = re.compile(r"(?<!\d)(?P<date>(?:19|20)\d{6})[T_\- $]?(?P<time>\d{6})(?!\d)" + _OFFSET)
_DASHED = re.compile(
    r"(?<!\d)(?P<date>(?:19|20)\d\d[-_.]\d\d[-_.]\d\d)(?:[T_\- ]|-birdnet-)"
    r"(?P<time>\d\d[-_.:h]?\d\d[-_.:m]?\d\d)(?!\d)" + _OFFSET
)
_OLD_AUDIOMOTH = re.compile(r"[0-9A-Fa-f]{8}")
_SIGNED = r"[+-]\d{1,3}(?:\.\d+)?"
_POSITION = re.compile(rf"(?P<latitude>{_SIGNED})[, _]*(?P<longitude>{_SIGNED})\]?$")
_CHANNELS = re.compile(r"(?:__[01]|_0\+1)$")
_SERIAL = re.compile(r"[0-9A-F]{16}")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}|\*|([^{}*]+)")
_LARGEST_LATITUDE, _LARGEST_LONGITUDE = 90, 180


def read_place(path_below_root: str, templates: Sequence[str]) -> dict[str, str] | None:
    """Returns the names that the first matching template captures; None if none matches.

    In a template `{name}` captures one folder, `{A|B}` is either word, `*` any one name.

    Args:
        path_below_root: with forward slashes, from below the recordings folder.
        templates: such as `{study_area}/{location}/*`.

    Raises:
        ConfigInvalid: a template has unbalanced braces or repeats a name.
    """
    for template in templates:
        match = _compile_template(template).fullmatch(path_below_root)
        if match is not None:
            return match.groupdict()
    return None


def read_file_name(file_name: str) -> Findings:
    """Returns the start, offset, position, serial number or place that a file name contains."""
    stem = PurePosixPath(file_name).stem
    match = _COMPACT.search(stem) or _DASHED.search(stem)
    clock = _parse_clock(match) if match else None
    if match is None or clock is None:
        return Findings("filename", clock=_parse_hex(stem), utc_offset_min=_hex_offset(stem))
    fields: dict[str, str | float] = {}
    fields.update(_read_prefix(stem[: match.start()]))
    fields.update(_read_position(stem[match.end() :]))
    return Findings("filename", clock, parse_offset_min(match["offset"] or ""), fields)


def parse_offset_min(text: str) -> int | None:
    """Returns the minutes of `Z`, `+10:00`, `-0330`; None for anything else."""
    if text == "Z":
        return 0
    match = re.fullmatch(r"([+-])(\d\d):?(\d\d)", text)
    if match is None:
        return None
    minutes = int(match[2]) * 60 + int(match[3])
    return -minutes if match[1] == "-" else minutes


def _parse_clock(match: re.Match[str]) -> datetime | None:
    """Returns the date and time of a match; None if the digits are not a date."""
    digits = re.sub(r"\D", "", match["date"] + match["time"])
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%S")
    except ValueError:
        return None


def _parse_hex(stem: str) -> datetime | None:
    """Returns the start in an old AudioMoth name; None for other names."""
    if not _OLD_AUDIOMOTH.fullmatch(stem):
        return None
    clock = datetime.fromtimestamp(int(stem, 16), UTC).replace(tzinfo=None)
    return clock if _FIRST_HEX_YEAR <= clock.year < _LAST_HEX_YEAR else None


def _hex_offset(stem: str) -> int | None:
    return None if _parse_hex(stem) is None else 0


def _read_prefix(prefix: str) -> dict[str, str]:
    """Returns the part before the date: an AudioMoth's serial number or a place."""
    name = _CHANNELS.sub("", prefix.rstrip("_- ")) or ""
    name = name.rstrip("_- ")
    if not name:
        return {}
    return {"device_serial" if _SERIAL.fullmatch(name) else "location": name}


def _read_position(suffix: str) -> dict[str, float]:
    match = _POSITION.search(suffix)
    if match is None:
        return {}
    latitude, longitude = float(match["latitude"]), float(match["longitude"])
    if abs(latitude) > _LARGEST_LATITUDE or abs(longitude) > _LARGEST_LONGITUDE:
        return {}
    return {"latitude": latitude, "longitude": longitude}


@lru_cache(maxsize=64)
def _compile_template(template: str) -> re.Pattern[str]:
    parts: list[str] = []
    position = 0
    while position < len(template):
        match = _PLACEHOLDER.match(template, position)
        if match is None:
            raise ConfigInvalid("unbalanced braces", template, "Correct recordings.templates")
        parts.append(_template_part(match))
        position = match.end()
    try:
        return re.compile("".join(parts))
    except re.error as error:
        raise ConfigInvalid(
            f"not a path template ({error})", template, "Correct recordings.templates"
        ) from error


def _template_part(match: re.Match[str]) -> str:
    if match[0] == "*":
        return "[^/]+"
    if match[1] is None:
        return re.escape(match[2])
    if "|" in match[1]:
        return f"(?:{'|'.join(re.escape(word) for word in match[1].split('|'))})"
    return f"(?P<{match[1]}>[^/]+)"
