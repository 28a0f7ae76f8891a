from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badc_core.units import format_duration, samples_to_ms, seconds_to_samples

SAMPLES = st.integers(0, 10**12)
RATES_HZ = st.integers(1, 384_000)


@given(SAMPLES, RATES_HZ)
def test_milliseconds_are_the_nearest_whole_number_exactly(n_samples: int, rate_hz: int) -> None:
    exact = Fraction(1000 * n_samples, rate_hz)
    assert -Fraction(1, 2) < samples_to_ms(n_samples, rate_hz) - exact <= Fraction(1, 2)


@given(SAMPLES, SAMPLES, RATES_HZ)
def test_milliseconds_keep_the_order_of_samples(one: int, other: int, rate_hz: int) -> None:
    low, high = sorted((one, other))
    assert samples_to_ms(low, rate_hz) <= samples_to_ms(high, rate_hz)


@given(st.integers(0, 10**9), RATES_HZ)
def test_whole_seconds_become_samples_and_milliseconds_exactly(n_s: int, rate_hz: int) -> None:
    assert seconds_to_samples(n_s, rate_hz) == n_s * rate_hz
    assert samples_to_ms(n_s * rate_hz, rate_hz) == 1000 * n_s


@pytest.mark.parametrize(
    ("n_samples", "rate_hz", "ms"),
    [(0, 48_000, 0), (24, 48_000, 1), (23, 48_000, 0), (6266, 44_100, 142), (1, 2000, 1)],
)
def test_half_a_millisecond_is_rounded_up(n_samples: int, rate_hz: int, ms: int) -> None:
    assert samples_to_ms(n_samples, rate_hz) == ms


@pytest.mark.parametrize(
    ("seconds", "rate_hz", "n_samples"),
    [(3, 44_100, 132_300), (1.2345, 44_100, 54_441), (0.0, 8000, 0), (1 / 3, 48_000, 16_000)],
)
def test_seconds_become_the_nearest_sample(seconds: float, rate_hz: int, n_samples: int) -> None:
    assert seconds_to_samples(seconds, rate_hz) == n_samples


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 s"),
        (0.142, "0.14 s"),
        (1, "1.0 s"),
        (59, "59.0 s"),
        (59.94, "59.9 s"),
        (59.97, "1 min 00 s"),
        (60, "1 min 00 s"),
        (725, "12 min 05 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 00 min"),
        (11_220, "3 h 07 min"),
        (360_000, "100 h 00 min"),
        (360_003_600, "100,001 h 00 min"),
    ],
)
def test_durations_are_shown_for_people(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
