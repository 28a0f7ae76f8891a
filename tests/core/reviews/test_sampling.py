"""Which detections are drawn, with which weight: by hand."""

import numpy as np
import pytest

from badc_core.reviews.sampling import STRATEGIES, Candidates, Sampling, draw


def candidates(scores, *, start_s=None, recording=None, day=None, hour=None):
    n = len(scores)

    def column(given, default):
        return np.array(default if given is None else given, dtype=np.int64)

    starts = [one * 1000 for one in start_s] if start_s is not None else None
    return Candidates(
        np.array(scores, dtype=float),
        column(starts, [10_000 * number for number in range(n)]),
        column(recording, range(n)),
        column(day, [0] * n),
        column(hour, [0] * n),
    )


def drawn(*, of, **sampling):
    return draw(of, Sampling(**sampling), "Jay")


def test_bins_are_drawn_from_equally_and_weigh_what_they_represent():
    # 90 below 0.4, 10 from 0.9 up: five of each, so 18 and 2 for one.
    found = drawn(of=candidates([0.35] * 90 + [0.95] * 10), strategy="bins", per_label=10)
    weights = sorted(one.weight for one in found)
    assert weights == pytest.approx([2.0] * 5 + [18.0] * 5)
    assert sum(weights) == pytest.approx(100)
    assert sum(one.index >= 90 for one in found) == 5


def test_a_small_group_is_drawn_whole_and_others_have_the_rest():
    found = drawn(of=candidates([0.35] * 98 + [0.95] * 2), strategy="bins", per_label=10)
    by_group = {one.index >= 98: one.weight for one in found}
    assert by_group == pytest.approx({True: 1.0, False: 98 / 8})


def test_groups_of_which_none_is_drawn_are_represented_by_the_others():
    # Four days of 10, 20, 30 and 40 detections; two days are drawn.
    days = np.repeat([1, 2, 3, 4], [10, 20, 30, 40])
    found = drawn(of=candidates([0.5] * 100, day=days), strategy="date", per_label=2)
    assert len({days[one.index] for one in found}) == 2
    assert sum(one.weight for one in found) == pytest.approx(100)


def test_percentiles_take_one_of_each_part_of_the_scores():
    scores = np.linspace(0.1, 0.99, 100)
    found = drawn(of=candidates(scores), strategy="percentile", per_label=10)
    assert sorted(one.index // 10 for one in found) == list(range(10))
    assert {one.weight for one in found} == {10.0}


def test_hours_are_drawn_from_equally():
    hours = [5] * 80 + [22] * 20
    found = drawn(of=candidates([0.5] * 100, hour=hours), strategy="hour", per_label=8)
    assert sum(hours[one.index] == 22 for one in found) == 4


def test_the_best_come_first_and_represent_only_themselves():
    found = drawn(of=candidates([0.2, 0.9, 0.5, 0.7]), strategy="top", per_label=3)
    assert [(one.index, one.weight) for one in found] == [(1, None), (3, None), (2, None)]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_seed_gives_the_same_and_another_another(strategy):
    rng = np.random.default_rng(0)
    some = candidates(
        rng.uniform(size=200), day=rng.integers(0, 9, 200), hour=rng.integers(0, 24, 200)
    )
    first = drawn(of=some, strategy=strategy, seed=1)
    assert first == drawn(of=some, strategy=strategy, seed=1)
    assert len(first) == 20 == len({one.index for one in first})
    assert (first == drawn(of=some, strategy=strategy, seed=2)) == (strategy == "top")


def test_recordings_give_at_most_so_many_and_not_too_close():
    some = candidates([0.5] * 20, start_s=list(range(20)), recording=[1] * 10 + [2] * 10)
    found = drawn(of=some, strategy="random", max_per_recording=2, min_spacing_s=4)
    assert sorted(one.index // 10 for one in found) == [0, 0, 1, 1]
    for first in (0, 10):
        starts = [one.index for one in found if one.index // 10 == first // 10]
        assert abs(starts[0] - starts[1]) >= 4


def test_nothing_is_drawn_of_nothing():
    assert drawn(of=candidates([])) == []
