"""Activity around sunrise: per hour that was really listened to, whatever clocks show."""

from datetime import UTC, date, datetime, timedelta

import pytest

from badc_core.corpus.building import build_corpus
from badc_core.corpus.reading import open_corpus
from badc_core.site.writing import write_site
from badc_core.sun.days import find_sun_day

JAY = "Cyanocitta cristata"
EDMONTON = {"latitude": 53.55, "longitude": -113.47}
TROMSO = {"latitude": 69.65, "longitude": 18.96}
EFFORT = "SELECT minutes_from_sunrise, without_sunrise, effort_s FROM effort_by_sunrise"
ACTIVITY = """
    SELECT minutes_from_sunrise, detections, effort_s, detections_per_hour FROM activity_by_sunrise
"""


def ask(workbench, sql):
    with open_corpus(workbench.dataset) as connection:
        return connection.execute(sql).fetchall()


def sunrise_on(day):
    return find_sun_day(EDMONTON["latitude"], EDMONTON["longitude"], day).sunrise


def add(workbench, recording_id, start_utc, seconds=(), place=EDMONTON, **fields):
    """Adds two minutes of recording with a jay at some seconds."""
    found = [(one, one + 3.0, "Jay", JAY, 0.9) for one in seconds]
    local = start_utc and (start_utc - timedelta(hours=6)).replace(tzinfo=None)
    workbench.add(
        recording_id, found=found, start_utc=start_utc, start_local=local, utc_offset_min=-360,
        timezone="America/Edmonton", **place, **fields,
    )  # fmt: skip


def test_detections_and_effort_are_in_the_same_half_hours(workbench):
    # A minute before sunrise and one after it; the next day, all after it.
    add(workbench, "a", sunrise_on(date(2024, 6, 21)) - timedelta(seconds=60), (0.0, 90.0, 96.0))
    add(workbench, "b", sunrise_on(date(2024, 6, 22)) + timedelta(seconds=600))
    build_corpus(workbench.dataset, ["a", "b"], {})
    assert ask(workbench, EFFORT) == [
        (-30, None, pytest.approx(60, abs=0.01)),
        (0, None, pytest.approx(180, abs=0.01)),
    ]
    # 1 in 60 s is 60 an hour; 2 in 180 s are 40.
    assert ask(workbench, ACTIVITY) == [
        (-30, 1, pytest.approx(60, abs=0.01), pytest.approx(60, abs=0.01)),
        (0, 2, pytest.approx(180, abs=0.01), pytest.approx(40, abs=0.01)),
    ]


@pytest.mark.parametrize("day", [date(2024, 3, 9), date(2024, 3, 10), date(2024, 11, 3)])
def test_a_night_in_which_clocks_change_is_as_long_as_it_is(workbench, day):
    # Six hours up to sunrise: the clocks change in them, the sun does not.
    start = sunrise_on(day) - timedelta(hours=6)
    add(workbench, "a", start, n_samples=6 * 3600 * 32000, sample_rate_hz=32000)
    build_corpus(workbench.dataset, ["a"], {})
    expected = [(-30 * n, None, pytest.approx(1800, abs=0.01)) for n in range(12, 0, -1)]
    assert ask(workbench, EFFORT) == expected


def test_what_was_not_analysed_is_no_effort_of_its_half_hour(workbench):
    start = sunrise_on(date(2024, 6, 21)) - timedelta(seconds=30)
    add(workbench, "a", start, dead=[(0, 30_000)])
    build_corpus(workbench.dataset, ["a"], {})
    found = {at: effort_s for at, _, effort_s in ask(workbench, EFFORT)}
    assert found[0] == pytest.approx(90, abs=0.1)
    assert found[-30] == pytest.approx(0, abs=0.1)


def test_effort_without_a_sunrise_says_why_and_is_all_there(workbench):
    noon = datetime(2024, 6, 21, 12, tzinfo=UTC)
    add(workbench, "a", noon, (0.0,), {"latitude": None, "longitude": None})
    add(workbench, "b", None, (0.0,))
    add(workbench, "c", noon, (0.0,), TROMSO)
    add(workbench, "d", datetime(2024, 12, 21, 12, tzinfo=UTC), (0.0,), TROMSO)
    build_corpus(workbench.dataset, ["a", "b", "c", "d"], {})
    reasons = ["no UTC time", "no coordinates", "polar day", "polar night"]
    assert ask(workbench, EFFORT) == [(None, why, pytest.approx(120)) for why in reasons]
    assert ask(workbench, ACTIVITY) == []
    counts = "SELECT without_sunrise, detections FROM counts_by_sunrise ORDER BY ALL"
    assert ask(workbench, counts) == [(why, 1) for why in reasons]
    page = write_site(workbench.dataset).page.read_text(encoding="utf-8")
    assert "Around sunrise" not in page


def test_the_page_shows_activity_around_sunrise_and_what_is_not_in_it(workbench):
    add(workbench, "a", sunrise_on(date(2024, 6, 21)) - timedelta(seconds=60), (0.0, 90.0))
    add(workbench, "b", datetime(2024, 6, 21, 12, tzinfo=UTC), (), TROMSO)
    build_corpus(workbench.dataset, ["a", "b"], {})
    page = write_site(workbench.dataset).page.read_text(encoding="utf-8")
    assert "Around sunrise" in page
    assert "Jay, 0 to 0.5 h before sunrise: 1 detection in 1 min 00 s analysed" in page
    assert "Not here: 2 min 00 s (polar day)." in page
