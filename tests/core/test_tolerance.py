"""Fractions of failures that a setting tolerates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badc_core.inference.detections_result import FailedChunks
from badc_core.tolerance import is_tolerated


@given(total=st.integers(0, 100_000), percent=st.integers(0, 100))
def test_a_fraction_is_taken_as_it_is_written(total: int, percent: int) -> None:
    allowed = percent * total // 100
    assert is_tolerated(allowed, percent / 100, total)
    assert not is_tolerated(allowed + 1, percent / 100, total)


@pytest.mark.parametrize("fraction", [0.29, 1e-05, 0, 1, 0.0, 1.0])
def test_nothing_of_nothing_is_tolerated_whatever_the_fraction(fraction: float) -> None:
    assert is_tolerated(0, fraction, 0)


def test_29_of_100_are_within_the_fraction_0_29() -> None:
    failed = FailedChunks(0.29)
    failed._n_chunks, failed._failed = 100, [None] * 29
    assert failed.complaint() == ""
