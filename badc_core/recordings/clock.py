"""Conversion of a recorder's clock time to UTC.

Pure functions. The time zone is chosen in `describe.py`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from badc_core.recordings.zones import parse_offset_min
from badc_core.settings import is_fixed_offset

NO_TIMEZONE = "No time zone is known, so the start has no UTC time."


@dataclass(frozen=True)
class Moment:
    """A start in UTC.

    Attributes:
        utc: timezone-aware; None if the zone is not known.
        utc_offset_min: clock minus UTC; None if the zone is not known.
        warnings: one sentence each.
    """

    utc: datetime | None
    utc_offset_min: int | None
    warnings: tuple[str, ...] = ()


def locate_in_time(clock: datetime, timezone: str | None) -> Moment:
    """Returns the UTC time of a clock reading.

    A time that occurs twice, when summer time ends, is read as the earlier; one that never occurs,
    when summer time begins, as if the clock had not been put forward. Both give a warning.

    Args:
        clock: without a zone.
        timezone: IANA name or fixed offset (`-07:00`) of the recorder's clock; None if unknown.
    """
    if timezone is None:
        return Moment(None, None, (NO_TIMEZONE,))
    if is_fixed_offset(timezone):
        return at_offset(clock, parse_offset_min(timezone) or 0)
    zone = ZoneInfo(timezone)
    earlier, later = (clock.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    utc = earlier.astimezone(UTC)
    moment = at_offset(clock, round((earlier.utcoffset() or timedelta()).total_seconds() / 60))
    if utc.astimezone(zone).replace(tzinfo=None) != clock:
        warning = f"{clock} does not exist in {timezone}: clocks were put forward over it."
        return Moment(moment.utc, moment.utc_offset_min, (warning,))
    if earlier.utcoffset() != later.utcoffset():
        warning = f"{clock} occurs twice in {timezone}; the earlier one is taken."
        return Moment(moment.utc, moment.utc_offset_min, (warning,))
    return moment


def at_offset(clock: datetime, utc_offset_min: int) -> Moment:
    """Returns the UTC time of a clock that runs at a fixed offset."""
    utc = (clock - timedelta(minutes=utc_offset_min)).replace(tzinfo=UTC)
    return Moment(utc, utc_offset_min)


def to_local(utc: datetime, timezone: str) -> tuple[datetime, int]:
    """Returns a moment as clocks at a place show it, and their offset in minutes.

    Args:
        utc: timezone-aware.
        timezone: IANA name or fixed offset of the place.
    """
    if is_fixed_offset(timezone):
        offset_min = parse_offset_min(timezone) or 0
        return (utc + timedelta(minutes=offset_min)).replace(tzinfo=None), offset_min
    local = utc.astimezone(ZoneInfo(timezone))
    offset = local.utcoffset() or timedelta()
    return local.replace(tzinfo=None), round(offset.total_seconds() / 60)


def clock_after(
    start_local: datetime, start_utc: datetime | None, timezone: str | None, elapsed: timedelta
) -> datetime:
    """Returns what clocks at a place show some time after a start, also where they are changed.

    Args:
        start_local: without a zone.
        start_utc: the same moment; None if the zone is not known.
        timezone: IANA name or fixed offset of the place.
        elapsed: since the start.
    """
    if start_utc is None or timezone is None:
        return start_local + elapsed
    return to_local(start_utc + elapsed, timezone)[0]


def format_offset(utc_offset_min: int) -> str:
    """Returns an offset as settings write it, `-03:30`."""
    hours, minutes = divmod(abs(utc_offset_min), 60)
    return f"{'-' if utc_offset_min < 0 else '+'}{hours:02d}:{minutes:02d}"
