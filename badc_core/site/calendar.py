"""The effort calendar: how long was analysed on each day, a block for each year.

`templates/calendar.html` draws it; colours are in the style sheet.
"""

from calendar import monthrange
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

from badc_core.site.levels import Levels
from badc_core.units import format_duration

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


@dataclass(frozen=True)
class CalendarDay:
    """A day.

    Attributes:
        number: in its month, 1 to 31.
        level: 1 to 5 by the time analysed; 0 where there are recordings and nothing of them was
            analysed; None where there are none.
        title: shown when pointed at.
    """

    number: int
    level: int | None
    title: str


@dataclass(frozen=True)
class CalendarYear:
    """A year.

    Attributes:
        months: name and days of each, from the first to the last with recordings.
        effort_s: analysed in it.
        n_days: with anything analysed.
    """

    year: int
    months: tuple[tuple[str, tuple[CalendarDay, ...]], ...]
    effort_s: float
    n_days: int


@dataclass(frozen=True)
class EffortCalendar:
    """All years with recordings, and what the colours mean."""

    years: tuple[CalendarYear, ...]
    levels: Levels


def make_calendar(
    effort_s: Mapping[date, float], recorded: Collection[date]
) -> EffortCalendar | None:
    """Returns the calendar of some stations; None where no date is known.

    Args:
        effort_s: local day -> seconds analysed.
        recorded: local days on which anything was recorded, whether analysed or not.
    """
    analysed = {day: seconds for day, seconds in effort_s.items() if seconds > 0}
    days = analysed.keys() | set(recorded)
    if not days:
        return None
    levels = Levels(max(analysed.values(), default=0.0))
    years = []
    for year in sorted({day.year for day in days}):
        months = [day.month for day in days if day.year == year]
        own = {day: seconds for day, seconds in analysed.items() if day.year == year}
        rows = tuple(
            (_MONTHS[month - 1], _month(year, month, own, days, levels))
            for month in range(min(months), max(months) + 1)
        )
        years.append(CalendarYear(year, rows, sum(own.values()), len(own)))
    return EffortCalendar(tuple(years), levels)


def _month(
    year: int, month: int, effort_s: Mapping[date, float], days: Collection[date], levels: Levels
) -> tuple[CalendarDay, ...]:
    dates = [date(year, month, n + 1) for n in range(monthrange(year, month)[1])]
    return tuple(_day(day, effort_s.get(day, 0.0), day in days, levels) for day in dates)


def _day(day: date, effort_s: float, is_recorded: bool, levels: Levels) -> CalendarDay:
    name = f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
    if effort_s:
        return CalendarDay(day.day, levels.of(effort_s), f"{name}: {format_duration(effort_s)}")
    if is_recorded:
        return CalendarDay(day.day, 0, f"{name}: recorded, nothing analysed")
    return CalendarDay(day.day, None, f"{name}: nothing recorded")
