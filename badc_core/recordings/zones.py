"""The time zone that a text names beside a time: `+1000`, `(UTC-6)`, `Z`, `JST`.

Pure functions on text in which dashes are plain, see `plain_text`.

Abbreviations that are read are those with one offset in all of the IANA time zone database since
2000 that are no usual name of another zone either and no word. The others are never dropped
silently: `IST` is the time of India, Israel and Ireland, `PST` that of California and the
Philippines, `EST` that of New York and, until lately, of Sydney.

Source: https://www.iana.org/time-zones (files `australasia` to `southamerica`); ISO 8601-1, 5.3.4.
"""

import re

_OFFSETS_H = {
    "AKDT": -8, "AKST": -9, "HST": -10, "HDT": -9, "MDT": -6, "PDT": -7, "NDT": -2.5, "NST": -3.5,
    "CET": 1, "CEST": 2, "EET": 2, "EEST": 3, "SAST": 2, "WIB": 7, "WITA": 8,
    "AWST": 8, "ACST": 9.5, "ACDT": 10.5, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13,
    "HKT": 8, "JST": 9, "KST": 9, "PKT": 5, "CHST": 10,
}  # fmt: skip
_AMBIGUOUS = frozenset(
    re.findall(
        r"\w+",
        "IST BST EST EDT CST CDT MST PST AST ADT MSK MSD SST GST WST PHT PHST SGT MYT ICT NPT BDT"
        " BDST AMT AMST BRT BRST CLT CLST COT PET ECT VET GFT UYT PYT PYST FKT IRST IRDT TRT AZT"
        " GET UZT YEKT OMST NOVT KRAT IRKT YAKT VLAT MAGT PETT FJT NCT LINT EGT AZOT CVT WAST MMT"
        " LHST DST",
    )
)
# Words too, so that only capitals are taken for a zone, and then doubted.
_WORDS = frozenset({"WET", "WEST", "CAT", "EAT", "WAT", "EST", "PET", "GET", "ACT", "ECT"})
_MINUTES = r"(?P<minutes>[0-5]\d)"
_SIGN_WORD = r"(?:minus|plus|[mp](?=\d))"
_NAMED = (
    rf"(?P<named>UTC?|GMT)(?:[ _]?(?P<sign>[+-]|{_SIGN_WORD})[ _]?"
    r"(?:(?P<hours>0\d|1[0-4])(?:[:_h-]?(?P<minutes>[0-5]\d)|\.(?P<decimal>00|15|30|45)(?!\d))?"
    r"|(?P<hour>\d)(?:[:h]?(?P<minute>[0-5]\d)|\.(?P<point>00|15|30|45)(?!\d))?)(?![\d.:])"
    r"|(?<=UTC|GMT)(?:[ _]?\u00b1?0{1,2}(?::?00)?)?(?![A-Za-z0-9]|[ _]?[+-] ?\d| \d)"
    rf"(?![ _]{_SIGN_WORD}))"
)
_BESIDE = re.compile(rf"[ _-]{{0,2}}[(\[{{]? ?{_NAMED}", re.IGNORECASE)
_ANYWHERE = re.compile(rf"(?<![A-Za-z0-9])[(\[{{]?{_NAMED}[)\]}}]?", re.IGNORECASE)
_ZULU = re.compile(r"[Zz](?![A-Za-z0-9])")
_NO_UUID_OR_UNIT = (
    r"(?:(?=(?![0-9A-F]+\b)[A-Z]{3,4}(?![A-Za-z0-9]))"
    r"|(?![A-Za-z0-9.:]|-[0-9A-Fa-f]{4}(?![0-9A-Fa-f])))"
)
_PLAIN = re.compile(
    r"(?P<before>[ _]?[(\[{]|[ _]?(?=[+-]\d\d:)| (?=[+-]\d{4})|)(?P<sign>[+-])(?P<hours>0\d|1[0-4])"
    rf"(?::?{_MINUTES}|-(?P<minute>00|15|30|45)(?=_|$))?{_NO_UUID_OR_UNIT}"
)
_SHORT_HOUR = re.compile(r"[ _]?[(\[{]?(?P<sign>[+-])(?P<hours>\d):(?P<minutes>[0-5]\d)(?![\d.:])")
_ABBREVIATION = re.compile(r"[ _.-]?[(\[{]?(?P<name>[A-Za-z]{3,5})(?![A-Za-z0-9])")
_LIKE_OFFSET = re.compile(
    r"[ _-]{0,2}[(\[{]?[+-](?:\d\d(?::?\d\d)?(?![\dA-Za-z.])(?!-[0-9A-Fa-f]{4}(?![0-9A-Fa-f]))"
    r"|(?:0\d|1[0-4])[0-5]\d(?!\w*[Hh]z|m?s\b|dB)(?![0-9A-Fa-f]{4})[G-Zg-z]\w*)"
)
_LIKE_NAMED = re.compile(
    r"(?<![A-Za-z])(?:(?:UTC|GMT)(?![A-Za-z])[ _]?[+-]?[\d.:]*|(?:UTC|GMT)(?:plus|minus)\S*"
    r"|tz[ _]?[+-]?\d+|zulu(?![A-Za-z])|[A-Z]{3}\d[A-Z]{3}(?![A-Za-z0-9])"
    r"|(?:Africa|America|Asia|Atlantic|Australia|Europe|Indian|Pacific)[-_][A-Za-z_]+)",
    re.IGNORECASE,
)
_CAPITALS = re.compile(r"(?<![A-Za-z0-9])[A-Z]{3,5}(?![A-Za-z0-9])")
_LIKE_Z = re.compile(r"[ _-][Zz](?![A-Za-z0-9])|-\d(?![\d.])")
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


def read_zone(before: str, behind: str, *, has_t: bool) -> tuple[int | None, str]:
    """Returns the minutes from UTC that the text around a time says, and what is doubtful in it.

    Args:
        before: the text before the date.
        behind: the text after the time.
        has_t: whether the time is written with `T`. A lone `-05` counts only then: elsewhere it is
            more often a running number.

    Returns:
        The offset, None where none can be read; what looks like one and is not read as one.
    """
    found = _read_beside(behind, has_t)
    if found is not None:
        offset_min, match = found
        second = _read_beside(behind[match.end() :].lstrip(")]}"), has_t=False)
        is_same = second is None or second[0] == offset_min or _is_bare(second[1])
        return (offset_min, "") if is_same else (None, behind[: match.end() + second[1].end()])  # type: ignore[index]
    if doubtful := _find_doubtful(behind, has_t):
        return None, doubtful
    elsewhere = [*_ANYWHERE.finditer(before), *_ANYWHERE.finditer(behind)]
    offsets = {_minutes(match) for match in elsewhere}
    if len(offsets) == 1:
        return offsets.pop(), ""
    like = [match[0] for part in (before, behind) for match in _LIKE_NAMED.finditer(part)]
    known = (_OFFSETS_H.keys() | _AMBIGUOUS) - _WORDS
    # Before the date there is more often a place; but not where there is nothing else.
    near = f"{before.strip('_- ')} {behind}" if before.strip("_- ") in known else behind
    like += [match[0] for match in _CAPITALS.finditer(near) if match[0] in known]
    return None, " and ".join(like)


def drop_zone(text: str) -> str:
    """Returns a text without a zone that it names, so that `UTC` is no place."""
    return _ANYWHERE.sub("", text)


def parse_offset_min(text: str) -> int | None:
    """Returns the minutes of `Z`, `+10:00`, `-0330`; None for anything else."""
    if text == "Z":
        return 0
    match = re.fullmatch(r"([+-])(\d\d):?(\d\d)", text)
    if match is None:
        return None
    minutes = int(match[2]) * 60 + int(match[3])
    return -minutes if match[1] == "-" else minutes


def _read_beside(behind: str, has_t: bool) -> tuple[int, re.Match[str]] | None:
    """Returns the offset right after a time, and its text."""
    if match := _ZULU.match(behind):
        return 0, match
    if match := _BESIDE.match(behind):
        return _minutes(match), match
    if match := _PLAIN.match(behind):
        is_running_number = match["sign"] == "-" and match["minutes"] is None
        if not (is_running_number and match["before"][-1:] not in {*"([{"} and not has_t):
            return _minutes(match), match
    if match := _SHORT_HOUR.match(behind):
        return _minutes(match), match
    match = _ABBREVIATION.match(behind)
    name = "" if match is None else match["name"].upper()
    return (round(_OFFSETS_H[name] * 60), match) if match and name in _OFFSETS_H else None


def _find_doubtful(behind: str, has_t: bool) -> str:
    """Returns what looks like an offset right after a time."""
    if match := _LIKE_OFFSET.match(behind):
        return match[0]
    if (match := _LIKE_Z.match(behind)) and (has_t or match[0][-1] in {*"Zz"}):
        return match[0]
    match = _ABBREVIATION.match(behind)
    name = "" if match is None else match["name"]
    is_zone = name in _WORDS or (name.upper() in _AMBIGUOUS and name.upper() not in _WORDS)
    return match[0] if match is not None and is_zone and not _BESIDE.match(behind) else ""


def _is_bare(match: re.Match[str]) -> bool:
    """Whether a zone is just `UTC`, as in `-06:00 UTC`."""
    return bool(match.groupdict().get("named")) and match["sign"] is None


def _minutes(match: re.Match[str]) -> int:
    parts = match.groupdict()
    hours = int(parts["hours"] or parts.get("hour") or 0)
    names = ("minutes", "minute", "decimal", "point")
    minutes = next((int(parts[name]) for name in names if parts.get(name)), 0)
    total_min = hours * 60 + minutes
    is_west = parts["sign"] is not None and parts["sign"].lower() in {"-", "minus", "m"}
    return -total_min if is_west else total_min
