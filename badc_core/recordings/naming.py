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
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import PurePosixPath

from badc_core.errors import ConfigInvalid
from badc_core.recordings.findings import Findings

_FIRST_HEX_YEAR, _LAST_HEX_YEAR = 2010, 2060
# One grammar for all forms: a date, a time, perhaps a fraction, perhaps an offset.
_FRACTION = r"(?P<fraction>[.,]\d{1,9}|\d{3}|_\d{3}(?=[+-]))?(?!\d)"
_DATE = r"(?P<date>(?:19|20)\d\d[ 01]\d[ 0-3]\d)"
_TIMES = (
    re.compile(
        rf"(?<!\d){_DATE}(?:[T_\- $]?(?P<time>\d{{6}})|T(?P<padded>[ \d]\d[ \d]\d[ \d]\d))"
        + _FRACTION
    ),
    re.compile(
        r"(?<!\d)(?P<date>(?:19|20)\d\d[-_.]\d\d[-_.]\d\d)(?:[T_\- ]|-birdnet-(?:\w+-)?)"
        r"(?P<time>\d\d[-_.:h]?\d\d(?:[-_.:m]?\d\d)?)" + _FRACTION
    ),
    re.compile(rf"(?<!\d){_DATE}[T_\- ](?P<time>\d{{4}})(?!\d)"),
    # Hand-held recorders: year in two digits.
    re.compile(r"(?<![A-Za-z0-9.])(?P<date>\d{6})[T_\-](?P<time>\d{6}|\d{4})" + _FRACTION),
    # SoundTrap: serial number, then all in twelve digits.
    re.compile(r"^(?P<serial>\d{3,10})\.(?P<date>\d{6})(?P<time>\d{6})(?!\d)"),
)
_OFFSET = re.compile(
    r"Z(?![A-Za-z0-9])"
    r"|[ _]?(?:UTC|GMT)(?:(?P<named>[+-])(?P<named_hours>1[0-4]|0?\d)"
    r"(?::?(?P<named_minutes>[0-5]\d))?(?![\d.:])|(?![A-Za-z0-9+-]))"
    r"|(?P<sign>[+-])(?P<hours>0\d|1[0-4])(?::?(?P<minutes>[0-5]\d))?(?![\d.:])"
)
_ZONES = "A?[ECW][SD]T|[PM][SD]T|AK[SD]T|N[SD]T|NZ[SD]T|AWST|A[SD]T|CES?T|EES?T|WES?T|BST"
_LIKE_OFFSET = re.compile(
    r"[ _]?(?:UTC|GMT)[+-]?\d*|[ _]?[+-]\d\d(?::?\d\d)?(?![\d.])"
    rf"|[ _]?(?:{_ZONES})(?![A-Za-z0-9])"
)
# Tascam and Olympus write the number of the file, from 1, where others write hour and minute.
_NUMBERED = re.compile(r"00(?:0[1-9]|[1-5]\d)")
_START_AND_END = re.compile(r"_E(?:19|20)\d{6}T")
_OLD_AUDIOMOTH = re.compile(r"[0-9A-Fa-f]{8}")
_SIGNED = r"[+-]\d{1,3}(?:\.\d+)?"
_POSITION = re.compile(rf"(?P<latitude>{_SIGNED})[, _]*(?P<longitude>{_SIGNED})\]?$")
_CHANNELS = re.compile(r"(?:__[01]|_[0-]\+[1-])$")
# Excerpts that BirdNET-Pi and BirdNET-Go keep begin with the species and its score.
_SPECIES = re.compile(r"_\d{1,3}p_?$")
_SERIAL = re.compile(r"[0-9A-F]{16}")
_YEAR = re.compile(r"(?:19|20)\d\d")
_SHORT_DATE = re.compile(r"\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_MONTH_OR_DAY = re.compile(r"0[1-9]|[12]\d|3[01]")
# Song Meter's Data, day folders as Frontier Labs makes them, copies sorted by date, and what
# hand-held recorders make: Zoom, Tascam, Olympus, Sony.
_RECORDER_FOLDER = re.compile(
    r"(?i:data|dcim)|(?:19|20)\d\d"
    r"|(?:19|20)\d\d[-_.]?(?:0[1-9]|1[0-2])(?:[-_.]?(?:0[1-9]|[12]\d|3[01])(?:[-_]\w{1,4})?)?"
    r"|ZOOM\d{4}|FOLDER(?:\d\d|_[A-E])|STEREO|MULTI|MUSIC|VOICE|RECORDER|REC_FILE"
)
_CARD_SLOT = re.compile(r"(?i:[ab]|(?:card|slot)[ _-]?[ab12])")
_CAMERA_FOLDER = re.compile(r"\d{3}\w{3,5}")
# BirdNET-Pi makes a whole tree, with folders of days and species.
_RECORDER_TREES = {"BirdSongs", "StreamData", "By_Date"}
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}|\*|([^{}*]+)")
_LARGEST_LATITUDE, _LARGEST_LONGITUDE = 90, 180


def read_place(path_below_root: str, templates: Sequence[str]) -> dict[str, str] | None:
    """Returns the names that the first matching template captures; None if none matches.

    In a template `{name}` captures one folder, `{A|B}` is either word, `*` any one name. A folder
    that recorders make (`Data`, a date, a year, a card slot in it) is never the location: where a
    template would take one for it, the templates are tried without such folders.

    Names are in Unicode's composed form: macOS writes the letters of one name in two ways.

    Args:
        path_below_root: with forward slashes, from below the recordings folder.
        templates: such as `{study_area}/{location}/*`.

    Raises:
        ConfigInvalid: a template has unbalanced braces or repeats a name.
    """
    for path in (path_below_root, _without_recorder_folders(path_below_root)):
        for template in templates:
            match = _compile_template(template).fullmatch(path)
            if match is not None and not _names_recorder_folder(match, path):
                return {
                    name: unicodedata.normalize("NFC", found)
                    for name, found in match.groupdict().items()
                }
    return None


def _names_recorder_folder(match: re.Match[str], path: str) -> bool:
    """Whether a template takes a recorder's folder for the location."""
    location, folders = match.groupdict().get("location"), path.split("/")[:-1]
    if not folders or location != folders[-1]:
        return location is not None and _is_recorder_folder(location)
    # A folder A may be a station's, unless the one it is in is a recorder's too.
    decided = folders[:-1] if is_card_slot(location) else folders
    return bool(decided) and _made_by_recorder(decided)


def is_card_slot(name: str) -> bool:
    """Whether a folder may be named for the slot of the card that was copied into it."""
    return _CARD_SLOT.fullmatch(name) is not None


def _is_recorder_folder(name: str) -> bool:
    return _RECORDER_FOLDER.fullmatch(name) is not None


def _without_recorder_folders(path: str) -> str:
    """Returns a path without the folders that a recorder made around the file."""
    *folders, name = path.split("/")
    while folders and _made_by_recorder(folders):
        folders.pop()
    return "/".join([*folders, name])


def _made_by_recorder(folders: Sequence[str]) -> bool:
    """Whether the last of some folders is a recorder's: `2024/05/12` only as a whole."""
    *above, last = folders
    if _is_recorder_folder(last) or _RECORDER_TREES.intersection(folders):
        return True
    if _MONTH_OR_DAY.fullmatch(last):
        years = [index for index, name in enumerate(above[-2:]) if _YEAR.fullmatch(name)]
        return bool(years) and all(map(_MONTH_OR_DAY.fullmatch, above[-2:][years[-1] + 1 :]))
    if not above:
        return False
    is_camera = above[-1].upper() == "DCIM" and _CAMERA_FOLDER.fullmatch(last) is not None
    return is_camera or is_card_slot(last) or _SHORT_DATE.fullmatch(last) is not None


def read_file_name(file_name: str) -> Findings:
    """Returns the start, offset, position, serial number or place that a file name contains."""
    stem = PurePosixPath(file_name).stem
    found = _find_time(stem)
    if found is None:
        return Findings("filename", clock=_parse_hex(stem), utc_offset_min=_hex_offset(stem))
    match, clock = found
    suffix = stem[match.end() :]
    fields: dict[str, str | float] = {}
    if "serial" in match.groupdict():
        fields["device_serial"] = match["serial"]
    elif not (stem[: match.start()] == "S" and _START_AND_END.search(suffix)):
        is_birdnet = "-birdnet-" in match[0]
        fields.update({} if is_birdnet else _read_prefix(stem[: match.start()]))
    fields.update(_read_position(suffix))
    offset_min = _read_offset(suffix, match[0])
    warnings: list[str] = []
    if offset_min is None and (text := _LIKE_OFFSET.match(suffix)):
        what = f"{text[0]!r} in the file name looks like an offset from UTC but is not read as one"
        warnings.append(f"{what}; the station's time zone is used.")
    if _NUMBERED.fullmatch(match["time"] or ""):
        what = f"{match['time']!r} in the file name is read as the time {clock:%H:%M}"
        warnings.append(f"{what}; some recorders count files there, and then it is wrong.")
    return Findings("filename", clock, offset_min, fields, warnings=tuple(warnings))


def _find_time(stem: str) -> tuple[re.Match[str], datetime] | None:
    """Returns the first part of a name that is a date and time."""
    for pattern in _TIMES:
        for match in pattern.finditer(stem):
            if clock := _parse_clock(match):
                return match, clock
    return None


def _read_offset(suffix: str, time: str) -> int | None:
    """Returns the minutes from UTC of an offset right after a time.

    A lone `-05` counts only after a time with `T`: elsewhere it is more often a running number.
    """
    match = _OFFSET.match(suffix)
    if match is None:
        return None
    parts = match.groupdict()
    sign = parts["named"] or parts["sign"]
    if sign is None:
        return 0
    if match[0][0] == "-" and parts["minutes"] is None and "T" not in time:
        return None
    hours, minutes = (parts[f"named_{name}"] or parts[name] or 0 for name in ("hours", "minutes"))
    total_min = int(hours) * 60 + int(minutes)
    return -total_min if sign == "-" else total_min


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
    parts = match.groupdict()
    time = parts["time"] or parts.get("padded") or ""
    date, time = (re.sub(r"\D", "", text.replace(" ", "0")) for text in (parts["date"], time))
    century = "20" if len(date) == 6 else ""  # noqa: PLR2004
    try:
        clock = datetime.strptime(f"{century}{date}{time:0<6}", "%Y%m%d%H%M%S")
    except ValueError:
        return None
    has_seconds = len(time) == 6  # noqa: PLR2004
    return clock + parse_fraction(parts.get("fraction") or "") if has_seconds else clock


def parse_fraction(text: str) -> timedelta:
    """Returns what digits behind a second mean, `.982648` or `_500`, to the millisecond."""
    digits = re.sub(r"\D", "", text)
    return timedelta(milliseconds=int(digits[:3].ljust(3, "0")))


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
    prefix = unicodedata.normalize("NFC", prefix)
    name = _CHANNELS.sub("", prefix.rstrip("_- =")) or ""
    name = name.rstrip("_- =")
    if not name or _SPECIES.search(prefix):
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
