from datetime import datetime, timedelta

import pytest

from badc_core.reports.charts import format_offset, score_bars, time_ticks


def test_ticks_stand_on_round_clock_times_and_name_new_days():
    ticks = time_ticks(3600, datetime(2024, 5, 14, 23, 37, 12))
    assert [(tick.label, tick.sublabel) for tick in ticks[:4]] == [
        ("23:40", "14 May"),
        ("23:50", ""),
        ("00:00", "15 May"),
        ("00:10", ""),
    ]
    assert ticks[0].x == pytest.approx(168 / 3600)


def test_ticks_show_the_clock_of_their_own_moment_where_clocks_are_changed():
    start = datetime(2024, 11, 2, 22)
    ticks = time_ticks(
        9 * 3600,
        start,
        lambda elapsed: start + elapsed - timedelta(hours=elapsed.seconds >= 14400),
    )
    labels = [tick.label for tick in ticks]
    assert labels[:6] == ["22:00", "23:00", "00:00", "01:00", "01:00", "02:00"]


@pytest.mark.parametrize("duration_s", [0.14, 3, 59, 600, 3600, 86400, 14 * 86400])
@pytest.mark.parametrize("start", [None, datetime(2024, 2, 29, 12, 0, 1)])
def test_ticks_are_few_and_inside(duration_s, start):
    ticks = time_ticks(duration_s, start)
    assert len(ticks) <= 15
    assert all(0 <= tick.x <= 1 for tick in ticks)


def test_offsets_are_shown_with_hours_only_where_needed():
    assert [format_offset(s) for s in (7, 750, 3725)] == ["0:07", "12:30", "1:02:05"]


def test_the_highest_bar_is_full_height():
    bars = score_bars([(0.25, 2), (0.9, 4)], 0.05)
    assert [(bar.height, bar.n) for bar in bars] == [(0.5, 2), (1.0, 4)]
