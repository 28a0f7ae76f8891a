"""The date in a Broadcast WAV's `bext`, which hand-held recorders write, and other dates.

Editors write `bext` too, so that a date in the file name goes before it. The other dates may be
those of a copy or a conversion: they are named and not believed.

Source: EBU Tech 3285, 2.3 (OriginationDate and OriginationTime, local time of the recorder).
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from badc_core.recordings.findings import Findings

_OTHER_DATES = ("ICRD", "IDIT", "CREATION_TIME", "DATE", "TDRC", "TDAT", "TYER")
_COMMENTS = {"BEXT ORIGINATOR": "Originator", "BEXT DESCRIPTION": "Description"}
_DATE = re.compile(r"(\d{4})\D(\d\d)\D(\d\d)")
_TIME = re.compile(r"(\d\d)\D(\d\d)\D(\d\d)")


def read_bext(tags: Mapping[str, str]) -> Findings | None:
    """Returns the start among a file's tags, and who wrote it; None where neither is there."""
    comments = {name: tags[tag] for tag, name in _COMMENTS.items() if tags.get(tag)}
    clock = _parse_start(tags.get("BEXT DATE", ""), tags.get("BEXT TIME", ""))
    return Findings("bext", clock, comments=comments) if clock or comments else None


def name_other_date(tags: Mapping[str, str]) -> str:
    """Returns a date in a file's tags that may be another than that of recording; else nothing."""
    return next((f"{name} {tags[name]}" for name in _OTHER_DATES if tags.get(name)), "")


def _parse_start(day: str, time: str) -> datetime | None:
    date, hour = _DATE.fullmatch(day), _TIME.fullmatch(time)
    if date is not None and hour is not None:
        with suppress(ValueError):
            return datetime(*map(int, (*date.groups(), *hour.groups())))  # type: ignore[arg-type]
    return None
