"""Sunrise, sunset and civil twilight of a day at a place.

A day here is the sun's own: the twelve hours before and after it is highest. So every event has one
day, wherever on Earth and whatever clocks show; a date in UTC would cut Alberta's evenings in two.

What is computed is what NOAA's calculator computes: at sunrise and sunset the centre of the sun is
0.833 degrees below the horizon, of which 0.567 are refraction and 0.266 the sun's radius; civil
twilight reaches to 6 degrees below. Height of the station and of what is around it are left out.
By NOAA's own claim this is right to a minute up to 72 degrees of latitude, and to ten beyond.

Source: https://gml.noaa.gov/grad/solcalc/calcdetails.html; the arithmetic is that of `astral`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, tzinfo
from functools import lru_cache

from astral import Observer, SunDirection
from astral.sun import elevation, noon, time_of_transit

SUNRISE_ZENITH = 90.833
TWILIGHT_ZENITH = 96.0

_HALF_DAY = timedelta(hours=12)
_DAY = timedelta(days=1)
_HALF_SECOND = timedelta(milliseconds=500)


@dataclass(frozen=True)
class SunDay:
    """A day of the sun at a place; all times are timezone-aware.

    Attributes:
        noon: when the sun is highest.
        dawn: when civil twilight begins; None if it is never that dark, or never that light.
        sunrise: None on a polar day or night.
        sunset: likewise.
        dusk: when civil twilight ends; None as `dawn`.
        without_sunrise: why there is no sunrise, `polar day` or `polar night`.
    """

    noon: datetime
    dawn: datetime | None
    sunrise: datetime | None
    sunset: datetime | None
    dusk: datetime | None
    without_sunrise: str | None = None

    def seen_in(self, zone: tzinfo) -> "SunDay":
        """Returns the same day with times as clocks of a zone show them."""
        events = ("dawn", "sunrise", "noon", "sunset", "dusk")
        times = {name: time for name in events if (time := getattr(self, name))}
        return replace(self, **{name: time.astimezone(zone) for name, time in times.items()})


@lru_cache(maxsize=65536)
def find_sun_day(latitude: float, longitude: float, day: date) -> SunDay:
    """Returns a day of the sun, with times in UTC.

    Args:
        latitude: degrees north, -90 to 90.
        longitude: degrees east, -180 to 180.
        day: by the sun's own time at that longitude. What clocks there show may be another date;
            `find_local_day` finds the day of that.
    """
    place = Observer(latitude, longitude)
    highest = noon(place, day)
    dawn = _find_crossing(place, day, TWILIGHT_ZENITH, SunDirection.RISING)
    sunrise = _find_crossing(place, day, SUNRISE_ZENITH, SunDirection.RISING)
    sunset = _find_crossing(place, day, SUNRISE_ZENITH, SunDirection.SETTING)
    dusk = _find_crossing(place, day, TWILIGHT_ZENITH, SunDirection.SETTING)
    why = None if sunrise else _explain_no_sunrise(place, highest)
    return SunDay(highest, dawn, sunrise, sunset, dusk, why)


def find_local_day(latitude: float, longitude: float, day: date, zone: tzinfo) -> SunDay:
    """Returns the day of the sun whose noon is on a date by clocks at the place.

    Where clocks are hours off the sun, noon may pass midnight from one day to the next, and leave a
    date without one; then that whose noon is nearest to 12:00.

    Args:
        latitude: degrees north, -90 to 90.
        longitude: degrees east, -180 to 180.
        day: by those clocks.
        zone: their time zone, also that of the times returned.
    """
    # Kiribati is a day ahead of what its longitude says.
    nearby = (find_sun_day(latitude, longitude, day + n * _DAY) for n in (0, -1, 1))
    seen = [one.seen_in(zone) for one in nearby]
    midday = datetime.combine(day, time(12), zone)
    on_date = [one for one in seen if one.noon.date() == day]
    return (on_date or [min(seen, key=lambda one: abs(one.noon - midday))])[0]


def _find_crossing(
    place: Observer, day: date, zenith: float, direction: SunDirection
) -> datetime | None:
    """Returns when the sun crosses a height within a day; None if it does not."""
    highest = noon(place, day)
    is_rising = direction is SunDirection.RISING
    first = highest - _HALF_DAY if is_rising else highest
    others = []
    for shift in (0, -1, 1):
        try:
            found = time_of_transit(
                place, day + shift * _DAY, zenith, direction, with_refraction=False
            )
        except ValueError:  # the sun does not reach that height on that date
            continue
        if first <= found < first + _HALF_DAY:
            return (found + _HALF_SECOND).replace(microsecond=0)
        others.append(found)
    return _find_between(others, first)


def _find_between(others: Sequence[datetime], first: datetime) -> datetime | None:
    """Returns a crossing within some minutes of midnight in UTC, which is found on neither date.

    It is between those of the day before and the day after.

    Args:
        others: crossings of days beside it.
        first: begin of the twelve hours in which it is.
    """
    shifted = [one + n * _DAY for one in others for n in (-1, 1)]
    near = sorted(one for one in shifted if first <= one < first + _HALF_DAY)
    if len(near) < 2:  # noqa: PLR2004  (the sun does not cross it on one side)
        return None
    return (near[0] + (near[-1] - near[0]) / 2 + _HALF_SECOND).replace(microsecond=0)


def _explain_no_sunrise(place: Observer, highest: datetime) -> str:
    # The mean, since on the first and last of such days one of them may be beyond the horizon.
    heights = (elevation(place, one, False) for one in (highest, highest - _HALF_DAY))
    return "polar day" if sum(heights) / 2 > 90 - SUNRISE_ZENITH else "polar night"
