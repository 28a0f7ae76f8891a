"""Published times of the sun. To the minute, as almanacs give them; one of rounding is allowed."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from badc_core.sun.days import find_local_day, find_sun_day

EDMONTON = 53.55, -113.47
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
        # NOAA's calculator, gml.noaa.gov/grad/solcalc; the times are cut in two by UTC's midnight.
        (EDMONTON, "2024-06-21", "America/Edmonton", {"sunrise": "05:04", "sunset": "22:07"}),
        ((-36.85, 174.76), "2024-12-21", "Pacific/Auckland", {"sunrise": "05:58"}),
        ((-36.85, 174.76), "2024-12-21", "Pacific/Auckland", {"sunset": "20:40"}),
    ],
)
def test_times_are_those_of_almanacs(place, day, zone, published):
    found = clock(place, day, zone)
    for name, time in published.items():
        expected = datetime.combine(found[name].date(), datetime.strptime(time, "%H:%M").time())
        assert abs(found[name] - expected) <= timedelta(minutes=1), name


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
