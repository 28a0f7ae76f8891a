"""The effort calendar, and the map of dates and hours, against what was worked out by hand."""

from dataclasses import replace
from datetime import date
from itertools import pairwise

import numpy as np
import pytest

from badc_core.site.activity_maps import HOURS, map_rates
from badc_core.site.calendar import make_calendar
from badc_core.site.date_hour_map import DateColumns, make_date_hour_map
from badc_core.site.levels import Levels
from badc_core.site.stations import Station
from badc_core.site.sun_lines import SunPlace, choose_place, find_sun_hours

EDMONTON = SunPlace(Station(None, "E"), 53.55, -113.47, "America/Edmonton")
BARROW = SunPlace(Station(None, "B"), 71.29, -156.79, "America/Anchorage")


def clock(hour):
    minutes = round(hour * 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def shades(found):
    """Returns the kind of each cell that is in a layer of its own, by its title."""
    return {one["title"]: one["kind"] for one in found.layers if one["kind"] not in ("idle", "l0")}


def cells_of(found, kind):
    return next(one["path"] for one in found.layers if one["kind"] == kind).count("M")


def test_a_calendar_has_the_days_of_each_year_and_tells_silence_from_absence():
    effort_s = {date(2023, 12, 31): 3600.0, date(2024, 2, 29): 7200.0, date(2024, 3, 1): 0.0}
    found = make_calendar(effort_s, {date(2024, 3, 1), date(2024, 3, 2), date(2024, 2, 29)})
    assert [(one.year, one.n_days, one.effort_s) for one in found.years] == [
        (2023, 1, 3600.0),
        (2024, 1, 7200.0),
    ]
    months = {f"{one.year} {name}": days for one in found.years for name, days in one.months}
    assert {name: len(days) for name, days in months.items()} == {
        "2023 Dec": 31,
        "2024 Feb": 29,
        "2024 Mar": 31,
    }
    (half,), (all_of_it,) = ([one for one in months[name] if one.level] for name in [*months][:2])
    assert (half.number, half.title) == (31, "31 Dec 2023: 1 h 00 min")
    assert (all_of_it.number, all_of_it.level) == (29, 5)
    assert half.level < all_of_it.level
    march = [(one.level, one.title) for one in months["2024 Mar"][:3]]
    assert march == [
        (0, "1 Mar 2024: recorded, nothing analysed"),
        (0, "2 Mar 2024: recorded, nothing analysed"),
        (None, "3 Mar 2024: nothing recorded"),
    ]


def test_a_calendar_of_a_common_year_has_28_days_in_february_and_none_without_dates():
    (year,) = make_calendar({date(2023, 2, 1): 1.0}, set()).years
    assert [(name, len(days)) for name, days in year.months] == [("Feb", 28)]
    assert make_calendar({}, set()) is None


def test_rates_are_of_the_time_analysed_and_nothing_is_a_rate_where_nobody_listened():
    columns = DateColumns.of(date(2024, 5, 14), date(2024, 5, 15))
    effort_s, found = np.zeros((2, 24)), np.zeros((2, 24))
    effort_s[0, 5], found[0, 5] = 1800, 10  # 20 an hour
    effort_s[0, 6], found[0, 6] = 3600, 1  # 1 an hour: at most 4 % of 25
    effort_s[1, 5] = 600
    effort_s[1, 6], found[1, 6] = 7200, 50  # 25 an hour
    shown = make_date_hour_map(columns, effort_s, found, None)
    assert shown.levels.most == 25
    assert shades(shown) == {
        "14 May 2024, 05:00: 10 detections in 30 min 00 s analysed": "l5",
        "14 May 2024, 06:00: 1 detection in 1 h 00 min analysed": "l1",
        "15 May 2024, 06:00: 50 detections in 2 h 00 min analysed": "l5",
    }
    assert cells_of(shown, "l0") == 1
    assert cells_of(shown, "idle") == 4  # two spans of hours on each day
    assert (shown.suns, shown.place) == ((), "")


def test_one_detection_in_a_second_does_not_outshine_a_dawn_chorus():
    columns = DateColumns.of(date(2024, 5, 14), date(2024, 5, 14))
    effort_s, found = np.zeros((1, 24)), np.zeros((1, 24))
    effort_s[0, 5], found[0, 5] = 3600, 40
    effort_s[0, 6], found[0, 6] = 1, 1  # 3,600 an hour
    assert make_date_hour_map(columns, effort_s, found, None).levels.most == 40
    ((_, cells),) = map_rates(HOURS, {5: 3600.0, 6: 1.0}, [("Jay", {5: 40, 6: 1})]).rows
    assert (cells[5].weight, cells[6].weight, cells[7].weight) == (1, 1, None)


@pytest.mark.parametrize(
    ("last", "span_days", "n"),
    [
        (date(2024, 1, 1), 1, 1),
        (date(2024, 4, 1), 1, 92),
        (date(2024, 4, 2), 7, 14),
        (date(2026, 12, 31), 14, 79),
    ],
)
def test_many_days_are_shown_by_weeks(last, span_days, n):
    columns = DateColumns.of(date(2024, 1, 1), last)
    assert (columns.span_days, columns.n) == (span_days, n)
    days = np.array([date(2024, 1, 1), last], "datetime64[us]")
    counts = columns.count(days, np.array([0, 23]), np.array([1.5, 2.0]))
    assert counts.shape == (n, 24)
    assert (counts[0, 0], counts[-1, 23], counts.sum()) == (1.5, 2.0, 3.5)


def test_a_map_of_many_cells_has_one_path_for_each_shade():
    columns = DateColumns.of(date(2024, 1, 1), date(2024, 2, 29))
    found = np.tile(np.arange(24.0), (columns.n, 1))
    shown = make_date_hour_map(columns, np.full((columns.n, 24), 3600.0), found, None)
    assert [one["kind"] for one in shown.layers] == ["idle", "l0", "l1", "l2", "l3", "l4", "l5"]
    paths = {one["kind"]: one["path"] for one in shown.layers if one["path"]}
    heights = {kind: path.split("v")[1].split("h")[0] for kind, path in paths.items()}
    # The limits are 0.92, 3.68, 8.28, 14.72 and 23 an hour, and a cell is 11 high.
    hours = {0: 1, 2: 3, 3: 5, 4: 6, 5: 9}
    assert heights == {f"l{level}": str(11 * n) for level, n in hours.items()}


def test_the_sun_rises_by_the_clocks_of_the_place_also_when_they_are_changed():
    days = [date(2024, 3, 9), date(2024, 3, 10), date(2024, 6, 21)]
    before, after, summer = find_sun_hours(EDMONTON, days)
    # A day in March is four or five minutes longer than the one before; clocks went an hour on.
    for one, other, drift_min in zip(before, after, (-2.4, 1.9), strict=True):
        assert (other - one) * 60 == pytest.approx(60 + drift_min, abs=0.5)
    assert [clock(one) for one in summer] == ["05:04", "22:07"]
    fixed = replace(EDMONTON, zone="-07:00")
    (winter_time,) = find_sun_hours(fixed, days[2:])
    assert [clock(one) for one in winter_time] == ["04:04", "21:07"]


def test_lines_of_the_sun_are_broken_on_polar_days_and_at_midnight():
    columns = DateColumns.of(date(2024, 4, 20), date(2024, 6, 30))
    empty = np.zeros((columns.n, 24))
    shown = make_date_hour_map(columns, empty + 60, empty, BARROW)
    assert (shown.has_suns_missing, shown.place) == (True, "B")
    hours = find_sun_hours(BARROW, [columns.begin(n) for n in range(columns.n)])
    for n, (name, path) in enumerate(shown.suns):
        line = [one[n] for one in hours]
        first = line.index(None)
        assert columns.begin(first).month == 5, name
        assert set(line[first:]) == {None}, name
        points = [one.split() for run in path.split("M")[1:] for one in run.split("L")]
        assert float(points[0][0]) == 50
        assert float(points[-1][0]) == pytest.approx(50 + first * shown.width, abs=0.1)
        steps = [
            abs(float(one.split()[1]) - float(other.split()[1]))
            for run in path.split("M")[1:]
            for one, other in pairwise(run.split("L"))
        ]
        assert max(steps) < 12 * 11
    # The last sunsets are after midnight: a line that goes on from the upper edge.
    assert dict(shown.suns)["sunset"].count("M") == 2
    assert not make_date_hour_map(columns, empty, empty, EDMONTON).has_suns_missing


def test_stations_far_apart_have_no_sunrise_in_common():
    near = SunPlace(Station(None, "N"), 54.0, -114.0, "America/Edmonton")
    assert choose_place([EDMONTON, near]) is EDMONTON
    assert choose_place([EDMONTON, near, BARROW]) is None
    assert choose_place([]) is None


def test_shades_grow_with_amounts_and_end_at_the_largest():
    assert [Levels(one).write_limit(5) for one in (1074.0, 0.1234)] == ["1,070", "0.123"]
    levels = Levels(100.0)
    assert [levels.of(one) for one in (0.1, 4, 4.1, 16.1, 36.1, 64.1, 100, 500)] == [
        *(1, 1, 2, 3, 4, 5, 5, 5)
    ]
