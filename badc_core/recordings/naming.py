"""The facts in a recording's file name: start, offset, position, serial number, place.

Pure functions on text. Folders are read in `folders.py`, zones beside a time in `zones.py`.
Identity is in `identity.py`.

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
    Peersonic: `Wav0012_2024_08_15__21_32_40`; macOS and WhatsApp: `2024-08-15 at 9.11.56 PM`.
"""

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

from badc_core.recordings.findings import Findings
from badc_core.recordings.zones import drop_zone, plain_text, read_zone

_FIRST_HEX_YEAR, _LAST_HEX_YEAR = 2010, 2060
MONTHS = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    r"|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
# One grammar for all forms: a date, a time, perhaps a fraction, perhaps a half of the day.
_FRACTION = r"(?P<fraction>[.,]\d{1,9}|\d{3}|_\d{3}(?=[+-]))?(?!\d)"
_HALF = r"(?:[ _.-]?(?P<half>[AaPp])\.?[Mm](?:\.|(?![A-Za-z0-9])))?"
_YEAR = r"(?:19|20)\d\d"
_DATE = rf"(?P<date>{_YEAR}[ 01]\d[ 0-3]\d)"
# What is before a date in the usual order is a station's: `MAY-1_2024-08-15`.
_LAST_YEAR = (
    rf"{_YEAR}(?![-_.](?:0[1-9]|1[0-2])[-_.](?:0[1-9]|[12]\d|3[01])"
    r"[T_\- ,@.]{1,3}\d\d[-_.:h]?\d\d)(?!(?:-\d\d-|_\d\d_|\.\d\d\.)\d\d(?![-_.]?\d))"
)
_SPELT_DATE = (
    rf"(?P<date>{_YEAR}[-_. ]\d\d[-_. ]\d\d|\d\d(?P<between>[-_.])\d\d(?P=between){_LAST_YEAR}"
    rf"|{_YEAR}[-_. ]?{MONTHS}[-_. ]?\d\d|\d\d?[-_. ]?{MONTHS}[-_., ]{{0,2}}{_LAST_YEAR}"
    rf"|(?<![A-Za-z]){MONTHS}[-_. ]?\d\d?[-_., ]{{1,2}}{_LAST_YEAR})"
)
_TIMES = (
    re.compile(
        rf"(?<!\d){_DATE}(?:(?:[Tt]|[_\- $@.]{{0,3}})(?P<time>\d{{6}})"
        rf"|T(?P<padded>[ \d]\d[ \d]\d[ \d]\d))" + _FRACTION + _HALF
    ),
    re.compile(
        rf"(?<!\d){_SPELT_DATE}"
        r"(?:[_ ]?T[_ ]?|[_\- ,@.]{1,3}|[ _,-]{0,2}(?:at|um|kl)[ _-]|-birdnet-(?:\w+-)?)"
        r"(?P<time>\d\d[-_.:h]?\d\d(?:[-_.:m]?\d\d)?|\d[.:h]\d\d(?:[.:m]\d\d)?"
        r"|\d-\d\d-\d\d(?=[ _]?[ap]\.?m))(?:(?<=m\d\d)s)?" + _FRACTION + _HALF,
        re.IGNORECASE,
    ),
    re.compile(rf"(?<!\d){_DATE}(?:[Tt]|[_\- @]{{1,3}})(?P<time>\d{{4}})(?!\d){_HALF}"),
    re.compile(
        rf"(?<!\d){_DATE}(?:[Tt]|[_\- @]{{1,3}})"
        r"(?P<time>\d\d(?P<apart>[-_.:h])\d\d(?:(?P=apart)|m)\d\d|\d\d[:h]\d\d)" + _FRACTION + _HALF
    ),
    # Hand-held recorders: year in two digits.
    re.compile(r"(?<![A-Za-z0-9.])(?P<date>\d{6})[Tt_\-](?P<time>\d{6}|\d{4})" + _FRACTION + _HALF),
    # SoundTrap: serial number, then all in twelve digits.
    re.compile(r"^(?P<serial>\d{3,10})\.(?P<date>\d{6})(?P<time>\d{6})(?!\d)"),
)
_DAY_OR_MONTH = re.compile(rf"(?<!\d)\d\d([-_.])\d\d\1{_LAST_YEAR}(?!\d)")
# Tascam and Olympus write the number of the file, from 1, where others write hour and minute.
_NUMBERED = re.compile(r"00(?:0[1-9]|[1-5]\d)")
_START_AND_END = re.compile(r"_E(?:19|20)\d{6}T")
_OLD_AUDIOMOTH = re.compile(r"[0-9A-Fa-f]{8}")
_SIGNED = r"[+-]\d{1,3}(?:\.\d+)?"
_POSITION = re.compile(rf"(?P<latitude>{_SIGNED})[, _]*(?P<longitude>{_SIGNED})\]?$")
_CHANNELS = re.compile(r"(?:__[01]|_[0-]\+[1-])$")
# Excerpts that BirdNET-Pi and BirdNET-Go keep begin with the species and its score.
_SPECIES = re.compile(r"_\d{1,3}p_?$")
# What phones and programs write before the date.
_NO_PLACE = re.compile(
    r"(?i:(?:(?:whatsapp|new|voice|audio|sound|recording|recorder|rec|memo|note|zoom|wav(?:\d{4})?"
    r"|track|ptt|merlin|message)[ _-]*)+)"
)
_LARGEST_LATITUDE, _LARGEST_LONGITUDE = 90, 180
_SERIAL = re.compile(r"[0-9A-F]{16}")


def read_file_name(file_name: str) -> Findings:
    """Returns the start, offset, position, serial number or place that a file name contains."""
    written = PurePosixPath(file_name).stem
    stem = plain_text(written)
    found = _find_time(stem)
    if found is None:
        warnings = [_doubt_date(match[0]) for match in _DAY_OR_MONTH.finditer(stem)]
        hex_clock = _parse_hex(stem)
        offset_min = None if hex_clock is None else 0
        return Findings("filename", hex_clock, offset_min, warnings=tuple(warnings))
    match, clock = found
    prefix, suffix = stem[: match.start()], stem[match.end() :]
    fields: dict[str, str | float] = {}
    if "serial" in match.groupdict():
        fields["device_serial"] = match["serial"]
    elif not (prefix == "S" and _START_AND_END.search(suffix)):
        is_birdnet = "-birdnet-" in match[0]
        fields.update({} if is_birdnet else _read_prefix(drop_zone(written[: match.start()])))
    fields.update(_read_position(suffix))
    has_seconds = len(re.sub(r"\D", "", match["time"] or "padded")) != len("HHMM")
    offset_min, doubtful = read_zone(prefix, suffix, has_t=_has_t(match), has_seconds=has_seconds)
    warnings = [_doubt_zone(doubtful)] if doubtful else []
    warnings += _doubt_time(match, clock)
    return Findings("filename", clock, offset_min, fields, warnings=tuple(warnings))


def read_moment(text: str) -> tuple[datetime, int | None] | None:
    """Returns the time and the offset in a text such as `2024-08-15 09:11:56.5-05:00`.

    None for a text without a time, and for one with a zone that cannot be read.
    """
    plain = plain_text(text.strip())
    if (found := _find_time(plain)) is None:
        return None
    match, clock = found
    offset_min, doubtful = read_zone("", plain[match.end() :], has_t=True)
    return None if doubtful else (clock, offset_min)


def _has_t(match: re.Match[str]) -> bool:
    return re.search(r"\d[Tt][ \d]", match[0]) is not None


def _doubt_zone(text: str) -> str:
    what = f"{text!r} in the file name looks like an offset from UTC but is not read as one"
    return f"{what}; the station's time zone is used."


def _doubt_date(text: str) -> str:
    return f"{text!r} in the file name may begin with the day or the month; it is not read."


def _doubt_time(match: re.Match[str], clock: datetime) -> list[str]:
    """Returns warnings about a time that may mean something else."""
    warnings = []
    if _NUMBERED.fullmatch(match["time"] or ""):
        what = f"{match['time']!r} in the file name is read as the time {clock:%H:%M}"
        warnings.append(f"{what}; some recorders count files there, and then it is wrong.")
    half = match.groupdict().get("half")
    if half and clock.hour != _count_hour(match, clock.hour) and (match["time"] or "").isdigit():
        what = f"'{half}M' in the file name may be the half of the day"
        warnings.append(f"{what}; the time is read as {clock:%H:%M}, without it.")
    return warnings


def _find_time(stem: str) -> tuple[re.Match[str], datetime] | None:
    """Returns the first part of a name that is a date and time."""
    for pattern in _TIMES:
        for match in pattern.finditer(stem):
            if clock := _parse_clock(match):
                return match, clock
    return None


def _parse_clock(match: re.Match[str]) -> datetime | None:
    """Returns the date and time of a match; None if the digits are not a date."""
    parts = match.groupdict()
    written = parts["time"] or parts.get("padded") or ""
    time = re.sub(r"\D", "", written.replace(" ", "0"))
    time = time.zfill(len(time) + len(time) % 2)
    try:
        clock = datetime.strptime(f"{_order_date(parts['date'])}{time:0<6}", "%Y%m%d%H%M%S")
    except ValueError:
        return None
    if not written.isdigit():
        clock = clock.replace(hour=_count_hour(match, clock.hour))
    has_seconds = len(time) == 6  # noqa: PLR2004
    return clock + parse_fraction(parts.get("fraction") or "") if has_seconds else clock


def _count_hour(match: re.Match[str], hour: int) -> int:
    """Returns the hour of 24 where a time says its half of the day."""
    half = (match.groupdict().get("half") or "").lower()
    if not half or not 1 <= hour <= 12:  # noqa: PLR2004
        return hour
    return hour % 12 + (12 if half == "p" else 0)


def _order_date(text: str) -> str:
    """Returns a date as YYYYMMDD; digits that are no date where day and month are not certain."""
    if month := re.search(r"[A-Za-z]{3}", text):
        number = _MONTHS.index(month[0].lower()) + 1
        day, year = sorted(re.findall(r"\d+", text), key=len)
        return f"{year}{number:02}{int(day):02}"
    digits = re.sub(r"\D", "", text.replace(" ", "0"))
    if len(digits) == 6:  # noqa: PLR2004
        return f"20{digits}"
    if not re.match(r"\d\d\D", text):
        return digits
    first, second, year = digits[:2], digits[2:4], digits[4:]
    if first == second or int(first) > 12:  # noqa: PLR2004
        return f"{year}{second}{first}"
    return f"{year}{first}{second}" if int(second) > 12 else ""  # noqa: PLR2004


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


def _read_prefix(prefix: str) -> dict[str, str]:
    """Returns the part before the date: an AudioMoth's serial number or a place."""
    prefix = unicodedata.normalize("NFC", prefix)
    name = _CHANNELS.sub("", prefix.rstrip("_- =")) or ""
    name = name.rstrip("_- =")
    if not name or _SPECIES.search(prefix) or _NO_PLACE.fullmatch(name):
        return {}
    return {"device_serial" if _SERIAL.fullmatch(name) else "location": name}


def _read_position(suffix: str) -> dict[str, float]:
    match = _POSITION.search(suffix)
    if match is None or "." not in match[0]:
        return {}
    latitude, longitude = float(match["latitude"]), float(match["longitude"])
    if abs(latitude) > _LARGEST_LATITUDE or abs(longitude) > _LARGEST_LONGITUDE:
        return {}
    return {"latitude": latitude, "longitude": longitude}
