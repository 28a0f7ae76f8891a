"""Times of the sun against those of others. To the minute; one of rounding is allowed."""

import math
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from badc_core.sun.days import find_local_day, find_sun_day

EDMONTON = 53.55, -113.47
AUCKLAND = -36.85, 174.76
TROMSO = 69.65, 18.96
EVENTS = ("dawn", "sunrise", "noon", "sunset", "dusk")


def clock(place, day, zone):
    """Returns event -> hour and minute by clocks at the place, without those that are not."""
    found = find_local_day(*place, date.fromisoformat(day), ZoneInfo(zone))
    times = {name: getattr(found, name) for name in EVENTS}
    return {name: time.replace(tzinfo=None) for name, time in times.items() if time}


@pytest.mark.parametrize(
    ("place", "day", "zone", "published"),
    [
        # US Naval Observatory, one year of sunrise and sunset, aa.usno.navy.mil/data/RS_OneYear:
        # Raleigh and Kukuihaele, in UTC, where Hawaii's sunset is on the next day.
        (
            (35 + 47 / 60, -78 - 39 / 60),
            "2015-07-12",
            "UTC",
            {"dawn": "09:38", "sunrise": "10:08", "noon": "17:20", "sunset": "00:32"},
        ),
        ((20 + 7 / 60, -155 - 34 / 60), "2015-04-02", "UTC", {"sunrise": "16:15"}),
        ((20 + 7 / 60, -155 - 34 / 60), "2015-04-03", "UTC", {"sunrise": "16:14"}),
        # The worked example of the Almanac for Computers (1990): Wayne, New Jersey.
        ((40.9, -74.3), "1990-06-25", "America/New_York", {"sunrise": "05:26"}),
        # timeanddate.com for Edmonton, as evablaskovic.com/2017/06/21/happy-summer-solstice has it.
        # In March clocks are an hour ahead of what they are in December.
        (EDMONTON, "2017-03-20", "America/Edmonton", {"sunrise": "07:35", "sunset": "19:48"}),
        (EDMONTON, "2017-06-21", "America/Edmonton", {"sunrise": "05:04", "sunset": "22:07"}),
        (EDMONTON, "2017-06-21", "America/Edmonton", {"dawn": "04:11", "dusk": "23:00"}),
        (EDMONTON, "2017-09-22", "America/Edmonton", {"sunrise": "07:20", "sunset": "19:31"}),
        (EDMONTON, "2017-12-21", "America/Edmonton", {"sunrise": "08:48", "sunset": "16:16"}),
        # Not published: computed with PyEphem 4.2.1, whose positions are those of VSOP87, for the
        # upper edge of the sun at -0:34 degrees, and for its centre at -6 degrees.
        (AUCKLAND, "2024-12-21", "Pacific/Auckland", {"sunrise": "05:58", "sunset": "20:40"}),
        (AUCKLAND, "2024-12-21", "Pacific/Auckland", {"dawn": "05:27", "dusk": "21:11"}),
        (AUCKLAND, "2024-06-21", "Pacific/Auckland", {"sunrise": "07:34", "sunset": "17:12"}),
        (TROMSO, "2024-05-16", "Europe/Oslo", {"sunrise": "01:26", "sunset": "00:12"}),
    ],
)
def test_times_are_those_of_almanacs_and_of_another_program(place, day, zone, published):
    found = clock(place, day, zone)
    for name, time in published.items():
        expected = datetime.combine(found[name].date(), datetime.strptime(time, "%H:%M").time())
        assert abs(found[name] - expected) <= timedelta(minutes=1), name


def noaa_by_hand(latitude, longitude, day):
    """Returns sunrise and sunset in minutes from midnight UTC, by NOAA's short formulas.

    They are series in the day of the year, not the orbit that `astral` computes, and here for the
    middle of the day: some minutes off at 54 degrees, where days change fast.

    Source: https://gml.noaa.gov/grad/solcalc/solareqns.PDF
    """
    year = 2 * math.pi / 365 * (day.timetuple().tm_yday - 1 - longitude / 360)
    late_min = 229.18 * (
        0.000075
        + 0.001868 * math.cos(year)
        - 0.032077 * math.sin(year)
        - 0.014615 * math.cos(2 * year)
        - 0.040849 * math.sin(2 * year)
    )
    declination = (
        0.006918
        - 0.399912 * math.cos(year)
        + 0.070257 * math.sin(year)
        - 0.006758 * math.cos(2 * year)
        + 0.000907 * math.sin(2 * year)
        - 0.002697 * math.cos(3 * year)
        + 0.00148 * math.sin(3 * year)
    )
    north = math.radians(latitude)
    height = math.cos(math.radians(90.833)) / (math.cos(north) * math.cos(declination))
    half_day = math.degrees(math.acos(height - math.tan(north) * math.tan(declination)))
    return tuple(720 - 4 * (longitude + sign * half_day) - late_min for sign in (1, -1))


@pytest.mark.parametrize("place", [EDMONTON, AUCKLAND, (0.0, 0.0), (40.9, -74.3)])
def test_times_are_near_those_of_noaas_short_formulas_all_year(place):
    for month in range(1, 13):
        day = date(2023, month, 15)
        found = find_sun_day(*place, day)
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        for time, expected in zip(
            (found.sunrise, found.sunset), noaa_by_hand(*place, day), strict=True
        ):
            assert (time - midnight).total_seconds() / 60 == pytest.approx(expected, abs=3.5)


def test_at_the_equinox_on_the_equator_a_day_is_what_can_be_worked_out_by_hand():
    # The sun moves 15 degrees an hour straight up, and is seen 0.833 degrees below the horizon:
    # 12 h and 2 * 3 min 20 s, less 9 s, as sundials gain 18 s a day in March.
    # Twilight is 96 - 90.833 degrees: 20 min 40 s.
    day = find_sun_day(0.0, 0.0, date(2024, 3, 20))
    assert (day.sunset - day.sunrise).total_seconds() == pytest.approx(12 * 3600 + 391, abs=2)
    assert (day.sunrise - day.dawn).total_seconds() == pytest.approx(1240, abs=2)
    # By the equation of time of that day, the sun is 7 min 25 s late.
    late = day.noon - datetime(2024, 3, 20, 12, tzinfo=UTC)
    assert late.total_seconds() == pytest.approx(445, abs=5)


@pytest.mark.parametrize(
    ("first", "second", "shift_h"),
    [("2024-03-09", "2024-03-10", 1), ("2024-11-02", "2024-11-03", -1)],
)
def test_clocks_that_change_move_the_sunrise_and_not_the_sun(first, second, shift_h):
    before = clock(EDMONTON, first, "America/Edmonton")
    after = clock(EDMONTON, second, "America/Edmonton")
    for name in EVENTS:
        moved = after[name] - before[name] - timedelta(days=1, hours=shift_h)
        assert abs(moved) < timedelta(minutes=3), name


def test_a_date_ahead_of_its_longitude_has_its_own_sun():
    # Kiritimati is at UTC+14, a day ahead of what 157 degrees west would be.
    times = clock((1.87, -157.4), "2024-03-20", "Pacific/Kiritimati")
    assert {time.date() for time in times.values()} == {date(2024, 3, 20)}
    assert times["sunrise"].hour == 6
    assert times["sunset"].hour == 18


@pytest.mark.parametrize(
    ("day", "why", "events"),
    [
        ("2024-06-21", "polar day", {"noon"}),
        ("2024-12-21", "polar night", {"noon", "dawn", "dusk"}),
        # The last of the one and of the other, when noon or midnight is at the horizon's edge.
        ("2024-01-15", "polar night", {"noon", "dawn", "dusk"}),
        ("2024-05-18", "polar day", {"noon"}),
        # It does not get dark enough for twilight to begin; after midnight the sun sets.
        ("2024-05-16", None, {"noon", "sunrise", "sunset"}),
        ("2024-03-20", None, set(EVENTS)),
    ],
)
def test_beyond_the_polar_circle_there_are_days_without_sunrise(day, why, events):
    assert clock(TROMSO, day, "Europe/Oslo").keys() == events
    assert find_sun_day(*TROMSO, date.fromisoformat(day)).without_sunrise == why


def test_everywhere_a_day_has_its_events_in_order_around_its_noon():
    half, day = timedelta(hours=12), date(2024, 5, 1)
    for longitude in range(-180, 181, 12):
        for latitude in (-66.0, -33.0, 0.0, 33.0, 59.0):
            found = find_sun_day(latitude, float(longitude), day)
            times = [time for name in EVENTS if (time := getattr(found, name))]
            assert times == sorted(times)
            assert found.sunrise
            assert found.noon - half <= times[0] < times[-1] < found.noon + half
            assert (found.noon + timedelta(hours=longitude / 15)).date() == day


@pytest.mark.parametrize("first", [date(2024, 5, 1), date(2024, 8, 1)])
def test_no_sunrise_is_missed_that_is_minutes_from_midnight_in_utc(first):
    days = [find_sun_day(*TROMSO, first + timedelta(days=n)) for n in range(16)]
    risen = [one.sunrise - one.noon for one in days]
    steps = [abs(after - before) for before, after in pairwise(risen)]
    assert max(steps) < timedelta(minutes=20)
    assert min(steps) > timedelta(minutes=3)


@pytest.mark.parametrize(
    ("place", "day", "zone", "noon"),
    [
        # The sun is highest at 12:00 - 11:52 = 0:08 in UTC, less the 8.1 minutes by which sundials
        # are fast on 8 December 2024: before midnight on the 7th, after it on the 9th.
        ((52.0, 178.0), "2024-12-08", UTC, "2024-12-07 23:59:54"),
        # At 18:00 in UTC, which is midnight here; sundials are fast until 13 June 2024.
        ((30.0, -90.0), "2024-06-13", timezone(timedelta(hours=6)), "2024-06-14 00:00:05"),
    ],
)
def test_a_date_on_which_clocks_show_no_noon_has_the_nearest_one(place, day, zone, noon):
    found = find_local_day(*place, date.fromisoformat(day), zone)
    expected = datetime.fromisoformat(noon).replace(tzinfo=zone)
    assert abs(found.noon - expected) <= timedelta(minutes=1)
    assert abs(found.noon - found.sunrise - (found.sunset - found.noon)) < timedelta(minutes=2)
