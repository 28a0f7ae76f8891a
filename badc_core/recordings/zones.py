"""The time zone that a text names beside a time: `+1000`, `(UTC-6)`, `Z`, `JST`.

Pure functions on text in which dashes are plain, see `plain_text`.

Digits behind a time are more often a running number, the end of the time, a hash or a unit's, and
letters before a date more often a station's: only what can be nothing else is read.

Abbreviations that are read are those with one offset in all of the IANA time zone database since
2000 that are no usual name of another zone either and no word. The others are never dropped
silently: `IST` is the time of India, Israel and Ireland, `PST` that of California and the
Philippines, `EST` that of New York and, until lately, of Sydney.

Source: https://www.iana.org/time-zones (files `australasia` to `southamerica`); ISO 8601-1, 5.3.4.
"""

import re
from functools import lru_cache
from zoneinfo import available_timezones

_OFFSETS_H = {
    "AKDT": -8, "AKST": -9, "HST": -10, "HDT": -9, "MDT": -6, "PDT": -7, "NDT": -2.5, "NST": -3.5,
    "CET": 1, "CEST": 2, "EET": 2, "EEST": 3, "SAST": 2, "WIB": 7, "WITA": 8,
    "AWST": 8, "ACST": 9.5, "ACDT": 10.5, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13,
    "HKT": 8, "JST": 9, "KST": 9, "CHST": 10,
}  # fmt: skip
_AMBIGUOUS = frozenset(
    re.findall(
        r"\w+",
        "IST BST EST EDT CST CDT MST PST AST ADT MSK MSD SST GST WST PHT PHST SGT MYT ICT NPT BDT"
        " BDST AMT AMST BRT BRST CLT CLST COT PET ECT VET GFT UYT PYT PYST FKT IRST IRDT TRT AZT"
        " GET UZT YEKT OMST NOVT KRAT IRKT YAKT VLAT MAGT PETT FJT NCT LINT EGT AZOT CVT WAST MMT"
        " LHST DST PKT",
    )
)
# Words too, so that only capitals are taken for a zone, and then doubted.
_WORDS = frozenset({"WET", "WEST", "CAT", "EAT", "WAT", "EST", "PKT", "PET", "GET", "ACT", "ECT"})
_QUARTERS = "00|15|30|45"
_SIGN_WORD = r"(?:minus|plus)"
_SIGNED = (
    rf"[ _]?(?P<sign>[+-]|{_SIGN_WORD})[ _]?"
    rf"(?:(?P<hours>0\d|1[0-4])(?:[:_h-]?(?P<minutes>{_QUARTERS})|\.(?P<decimal>{_QUARTERS}))?"
    rf"|(?P<hour>\d)(?:[:h]?(?P<minute>{_QUARTERS})|\.(?P<point>{_QUARTERS}))?)(?![\d.:])"
)
_BARE = (
    r"(?:[ _]?\u00b1?0{1,2}(?::?00)?)?(?![A-Za-z0-9]|[ _]?[+-] ?\d| \d)"
    rf"(?![ _]{_SIGN_WORD})"
)
_NAMED = rf"(?P<named>UTC|GMT)(?:{_SIGNED}|{_BARE})"
_BESIDE = re.compile(rf"[ _-]{{0,2}}[(\[{{]? ?{_NAMED}", re.IGNORECASE)
_ANYWHERE = re.compile(rf"(?<![A-Za-z0-9])[(\[{{]?{_NAMED}[)\]}}]?", re.IGNORECASE)
# A place may be called GMT-1, or UTC-1: before the date only UTC alone, or behind a place.
_BEFORE = re.compile(
    rf"(?:(?:^|(?<=[ _]))[(\[{{]?(?:UTC|GMT){_BARE}"
    rf"|(?<=[A-Za-z0-9][ _])[(\[{{]?(?P<named>UTC){_SIGNED})[)\]}}]?(?=[ _-]*$)",
    re.IGNORECASE,
)
_ZULU = re.compile(r"[Zz](?![A-Za-z0-9])")
_HEX = "[0-9A-Fa-f]"
_NO_UUID = rf"(?!{_HEX}{{8}}-{_HEX}{{4}}|{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}})"
_NO_UNIT = r"(?!(?:k?[Hh]z|d[Bb]|bit|m?s|secs?|[ckm]?m|h|[a-z]*min\w*)(?![A-Za-z]))"
_PLAIN = re.compile(
    rf"(?P<before>[ _]?[(\[{{]|[ _]?(?=[+-]\d\d:)| (?=[+-]\d{{4}})|)(?P<sign>[+-]){_NO_UUID}"
    rf"(?P<hours>0\d|1[0-4])(?::?(?P<minutes>{_QUARTERS})|-(?P<minute>{_QUARTERS})(?=_|$))?"
    # Hours alone are no degrees, volts or bearing: `-10C`, `-12V`.
    rf"(?![0-9.:]){_NO_UNIT}(?(minutes)|(?![A-Za-z]{{1,2}}(?![A-Za-z])))"
)
_SHORT_HOUR = re.compile(
    rf"[ _]?[(\[{{]?(?P<sign>[+-])(?P<hours>\d):(?P<minutes>{_QUARTERS})(?![\d.:])"
)
_HEX_BEHIND = re.compile(rf"{_HEX}+(?![A-Za-z0-9])")
_ABBREVIATION = re.compile(r"[ _.-]?[(\[{]?(?P<name>[A-Za-z]{3,5})(?![A-Za-z0-9])")
_NUMBER_BEHIND = re.compile(r"[ _-]\d")
# No zone is 00:12 from UTC: that is the twelfth file.
_LIKE_OFFSET = re.compile(
    rf"[ _-]{{0,2}}[(\[{{]?[+-]{_NO_UUID}(?!00:?(?!00)\d\d)"
    rf"(?:\d\d(?::?\d\d)?(?![\dA-Za-z.])(?!-{_HEX}{{4}}(?!{_HEX}))"
    rf"|(?:0\d|1[0-4])[0-5]\d(?![\d.:]){_NO_UNIT}\w*)"
)
_LIKE_NAMED = re.compile(
    r"(?<![A-Za-z])(?:(?:UTC|GMT)(?![A-Za-z])[ _]?[+-]?[\d.:]*|(?:UTC|GMT)(?:plus|minus|[mp]\d)\S*"
    r"|tz[ _]?[+-]?\d+|zulu(?![A-Za-z])|[A-Z]{3}\d[A-Z]{3}(?![A-Za-z0-9]))",
    re.IGNORECASE,
)
_LIKE_NAMED_BEFORE = re.compile(r"(?<![A-Za-z])(?:UTC|GMT)[ _]?[+-][\d.:]+", re.IGNORECASE)
_AREA = re.compile(r"(?<![A-Za-z])[A-Z][a-z]+[-_][A-Za-z_]+")
_CAPITALS = re.compile(r"(?<![A-Za-z0-9])[A-Z]{3,5}(?![A-Za-z0-9])")
_LIKE_Z = re.compile(r"[ _-][Zz](?![A-Za-z0-9])| ?-\d(?![\d.])")
_WESTERNMOST_MIN, _EASTERNMOST_MIN = -12 * 60, 14 * 60
_PLAIN_LETTERS = {
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-"),
    **dict.fromkeys("\uff0b\ufe62", "+"),
    **dict.fromkeys("\ua789\u2236\uff1a\u02d0", ":"),
    **dict.fromkeys("\u00a0\u2007\u2009\u202f", " "),
    **dict.fromkeys("\uff08", "("),
    **dict.fromkeys("\uff09", ")"),
}
_PLAIN_TABLE = str.maketrans(_PLAIN_LETTERS)


def plain_text(text: str) -> str:
    """Returns a text of the same length with plain dashes, colons and spaces for typeset ones."""
    return text if text.isascii() else text.translate(_PLAIN_TABLE)


def read_zone(
    before: str, behind: str, *, has_t: bool, has_seconds: bool = True
) -> tuple[int | None, str]:
    """Returns the minutes from UTC that the text around a time says, and what is doubtful in it.

    Args:
        before: the text before the date.
        behind: the text after the time.
        has_t: whether the time is written with `T`. A lone `-05` counts only then: elsewhere it is
            more often a running number.
        has_seconds: whether the time has seconds. `0600-0700` is from six to seven.

    Returns:
        The offset, None where none can be read; what looks like one and is not read as one.
    """
    found = _read_beside(behind, has_t, has_seconds)
    if found is not None:
        offset_min, match = found
        second = _read_beside(behind[match.end() :].lstrip(")]}"), has_t=False)
        if second is None or second[0] == offset_min or not _contradicts(match, second[1]):
            return offset_min, ""
        return None, behind[: match.end() + second[1].end()]
    if doubtful := _find_doubtful(behind, has_t):
        return None, doubtful
    elsewhere = [*_BEFORE.finditer(before), *_ANYWHERE.finditer(behind)]
    offsets = {_minutes(match) for match in elsewhere}
    if len(offsets) == 1 and None not in offsets:
        return offsets.pop(), ""
    return None, " and ".join(_find_elsewhere(before, behind))


def drop_zone(text: str) -> str:
    """Returns the text before a date without a zone that it names, so that `UTC` is no place."""
    return _BEFORE.sub("", text)


def parse_offset_min(text: str) -> int | None:
    """Returns the minutes of `Z`, `+10:00`, `-0330`; None for anything else."""
    if text == "Z":
        return 0
    match = re.fullmatch(r"([+-])(\d\d):?(\d\d)", text)
    if match is None:
        return None
    minutes = int(match[2]) * 60 + int(match[3])
    return -minutes if match[1] == "-" else minutes


def _read_beside(
    behind: str, has_t: bool, has_seconds: bool = True
) -> tuple[int, re.Match[str]] | None:
    """Returns the offset right after a time, and its text."""
    if match := _ZULU.match(behind):
        return 0, match
    plain = _PLAIN.match(behind)
    if plain and not has_t and _is_number(plain, behind, has_seconds):
        plain = None
    for match in (_BESIDE.match(behind), plain, _SHORT_HOUR.match(behind)):
        if match is not None and (offset_min := _minutes(match)) is not None:
            return offset_min, match
    match = _ABBREVIATION.match(behind)
    if (
        match is None
        or match["name"] not in _OFFSETS_H
        or _NUMBER_BEHIND.match(behind, match.end())
    ):
        return None
    return round(_OFFSETS_H[match["name"]] * 60), match


def _is_number(match: re.Match[str], behind: str, has_seconds: bool) -> bool:
    """Whether what may be an offset, behind a time without `T`, is as likely another number."""
    if match["before"][-1:] in {*"([{"}:
        return False
    is_open = match["sign"] == "-" and (match["minutes"] is None or not has_seconds)
    return is_open or _HEX_BEHIND.match(behind, match.end()) is not None


def _contradicts(match: re.Match[str], second: re.Match[str]) -> bool:
    """Whether a second zone says another than a first: not a running number, nor `-06:00 UTC`."""
    is_number = match.re is _PLAIN and second.re is _PLAIN
    is_bare = bool(second.groupdict().get("named")) and second["sign"] is None
    return not is_number and not is_bare


def _find_doubtful(behind: str, has_t: bool) -> str:
    """Returns what looks like an offset right after a time."""
    if match := _LIKE_OFFSET.match(behind):
        return match[0]
    if (match := _LIKE_Z.match(behind)) and (has_t or match[0][-1] in {*"Zz"}):
        return match[0]
    match = _ABBREVIATION.match(behind)
    name = "" if match is None else match["name"]
    known = (_OFFSETS_H.keys() | _AMBIGUOUS) - _WORDS
    is_zone = name in _WORDS or name.upper() in known
    return match[0] if match is not None and is_zone and not _BESIDE.match(behind) else ""


def _find_elsewhere(before: str, behind: str) -> list[str]:
    """Returns what looks like a zone anywhere in a name."""
    like = [match[0] for match in _LIKE_NAMED_BEFORE.finditer(before)]
    like += [match[0] for match in _LIKE_NAMED.finditer(behind)]
    like += [match[0] for match in _AREA.finditer(behind) if _is_area(match[0])]
    known = (_OFFSETS_H.keys() | _AMBIGUOUS) - _WORDS
    # Before the date there is more often a place; but not where there is nothing else.
    near = f"{before.strip('_- ')} {behind}" if before.strip("_- ") in known else behind
    return [*like, *(match[0] for match in _CAPITALS.finditer(near) if match[0] in known)]


@lru_cache(maxsize=1024)
def _is_area(text: str) -> bool:
    area, city = re.split("[-_]", text, maxsplit=1)
    return f"{area}/{city}" in available_timezones()


def _minutes(match: re.Match[str]) -> int | None:
    """Returns the minutes from UTC in a match; None where no zone has them."""
    parts = match.groupdict()
    hours = int(parts["hours"] or parts.get("hour") or 0)
    names = ("minutes", "minute", "decimal", "point")
    minutes = next((int(parts[name]) for name in names if parts.get(name)), 0)
    is_west = parts["sign"] is not None and parts["sign"].lower() in {"-", "minus"}
    total_min = (-1 if is_west else 1) * (hours * 60 + minutes)
    is_zone = _WESTERNMOST_MIN <= total_min <= _EASTERNMOST_MIN and (hours or not minutes)
    return total_min if is_zone else None
