from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pyarrow as pa
import pytest

from badc_core.sun.days import find_sun_day
from badc_core.sun.sunrises import find_sunrises

EDMONTON = 53.55, -113.47
TROMSO = 69.65, 18.96
HOUR_MS = 3_600_000


def spans_of(start, hours, place):
    row = {"recording_id": "a", "start_utc": start, "duration_s": hours * 3600.0}
    row |= {"lat": place[0], "lon": place[1]}
    return find_sunrises(pa.Table.from_pylist([row])).to_pylist()


@pytest.mark.parametrize("place", [EDMONTON, TROMSO, (-36.85, 174.76), (1.87, -157.4)])
@pytest.mark.parametrize("start", [datetime(2024, 5, 16, tzinfo=UTC), datetime(2024, 1, 14, 9)])
def test_spans_cover_a_recording_of_days_without_gap_and_none_is_far_from_its_sunrise(place, start):
    spans = spans_of(start.replace(tzinfo=UTC), 24 * 9, place)
    assert spans[0]["from_ms"] == 0
    assert all(one["to_ms"] == following["from_ms"] for one, following in pairwise(spans))
    assert spans[-1]["to_ms"] > 24 * 9 * HOUR_MS
    for one in spans:
        assert (one["sunrise_ms"] is None) == (one["without_sunrise"] is not None)
        if one["sunrise_ms"] is not None:
            assert one["from_ms"] - one["sunrise_ms"] >= -12.5 * HOUR_MS
            assert one["to_ms"] - one["sunrise_ms"] <= 12.5 * HOUR_MS


def test_an_evening_belongs_to_the_sunrise_that_is_nearer():
    sunrises = [find_sun_day(*EDMONTON, date(2024, 6, day)).sunrise for day in (21, 22)]
    middle = sunrises[0] + (sunrises[1] - sunrises[0]) / 2
    start = middle - timedelta(hours=1)
    spans = spans_of(start, 2, EDMONTON)
    assert [one["from_ms"] for one in spans] == [0, pytest.approx(HOUR_MS, abs=1)]
    assert [one["sunrise_ms"] for one in spans] == [
        pytest.approx((one - start) / timedelta(milliseconds=1), abs=1) for one in sunrises
    ]


def test_the_polar_night_begins_after_the_last_sunrise_and_says_so():
    spans = spans_of(datetime(2024, 11, 25, tzinfo=UTC), 24 * 4, TROMSO)
    reasons = [one["without_sunrise"] for one in spans]
    assert reasons == [None] * reasons.count(None) + ["polar night"] * reasons.count("polar night")
    assert 0 < reasons.count(None) < len(reasons)


@pytest.mark.parametrize(
    ("start", "place", "why"),
    [
        (None, EDMONTON, "no UTC time"),
        (datetime(2024, 6, 21, tzinfo=UTC), (None, -113.0), "no coordinates"),
        (None, (None, None), "no UTC time"),
    ],
)
def test_what_cannot_be_known_has_one_span_with_the_reason(start, place, why):
    (span,) = spans_of(start, 1, place)
    assert (span["from_ms"], span["sunrise_ms"], span["without_sunrise"]) == (0, None, why)
