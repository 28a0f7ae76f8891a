"""Precision, calibration and thresholds against numbers worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from badc_core.reviews.calibration import calibrate, check_held_out, fit_logistic, logit
from badc_core.reviews.judged import Judged
from badc_core.reviews.precision import precision_rows, weighted_precision, wilson
from badc_core.reviews.recommend import recommend
from badc_core.reviews.representation import count_unjudged, weigh


def judged(score, verdict, weight=1.0, recording="r1", start_ms=0, label="Jay"):
    return Judged("id", recording, label, start_ms, start_ms + 3000, score, weight, verdict)


def several(*, right=(), wrong=(), weight=1.0):
    return [judged(one, "correct", weight) for one in right] + [
        judged(one, "incorrect", weight) for one in wrong
    ]


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [
        # With z^2 = 3.841459: (p + z^2/2n -+ z sqrt(pq/n + z^2/4n^2)) / (1 + z^2/n).
        (8, 10, 0.490162, 0.943318),
        (0, 10, 0.0, 0.277533),
        (10, 10, 0.722467, 1.0),
        (1, 1, 0.206549, 1.0),
        (50, 100, 0.403832, 0.596168),
    ],
)
def test_wilson_intervals_are_those_of_the_formula(correct, n, low, high):
    share = wilson(correct, n)
    assert (share.value, share.low, share.high) == pytest.approx((correct / n, low, high), abs=1e-6)


def test_a_weighted_precision_is_that_of_what_was_drawn_from():
    # Two groups: 90 weak ones, of which 1 of 3 is right, and 10 strong ones, of which 3 of 3 are.
    weak = [judged(0.3, word, 30) for word in ("correct", "incorrect", "incorrect")]
    strong = [judged(0.9, "correct", 10 / 3) for _ in range(3)]
    found = weighted_precision(weak + strong)
    assert found.value == pytest.approx((90 / 3 + 10) / 100)
    # 100^2 / (3 * 30^2 + 3 * (10/3)^2) equal ones are as informative.
    n_equal = 10_000 / (2700 + 100 / 3)
    assert found == pytest.approx(wilson(0.4 * n_equal, n_equal))


def test_a_second_queue_of_what_was_left_does_not_change_what_the_first_one_said():
    # 10 in the top tenth, all right; 30 weak ones, all wrong. The first queue has all strong and
    # ten weak ones, the second one the other twenty, each of which represented itself then.
    sizes = {9: 10, 2: 30}
    first = [judged(0.95, "correct") for _ in range(10)]
    first += [judged(0.25, "incorrect", 3.0) for _ in range(10)]
    second = [judged(0.25, "incorrect") for _ in range(20)]
    assert weighted_precision(weigh(first, sizes)).value == pytest.approx(0.25)
    assert weighted_precision(weigh(first + second, sizes)).value == pytest.approx(0.25)


def test_the_best_count_beside_those_drawn_at_random():
    best = [judged(0.95, "correct", None) for _ in range(20)]
    others = [judged(0.25, "incorrect") for _ in range(20)]
    sizes = {9: 20, 2: 20}
    assert weighted_precision(weigh(best + others, sizes)).value == pytest.approx(0.5)
    assert count_unjudged(best, sizes) == 20
    assert count_unjudged([*best, judged(0.25, "uncertain")], sizes) == 20
    assert count_unjudged(best + others, sizes) == 0


def test_what_a_threshold_left_out_keeps_the_weight_it_was_drawn_with():
    # Results are kept from 0.6 up; two that were judged are below, in a tenth that is not empty.
    gone = [replace(judged(0.6, "incorrect", 7.0), is_kept=False)] * 2
    found = weigh([*gone, judged(0.65, "correct", 7.0), judged(0.67, "uncertain", 7.0)], {6: 5})
    assert [one.weight for one in found] == [7, 7, 5, None]


def test_what_is_neither_right_nor_wrong_and_what_has_no_weight_is_left_out():
    found = [judged(0.5, "correct"), judged(0.5, "uncertain"), judged(0.5, "disputed")]
    assert weighted_precision([*found, judged(0.9, "incorrect", None)]).value == 1
    assert weighted_precision([judged(0.9, "correct", None)]) is None


def test_precision_by_score_says_what_uncertain_ones_could_change():
    jays = [(0.1, "correct"), (0.199, "incorrect"), (0.15, "uncertain"), (1.0, "correct")]
    owl = judged(0.3, "disputed", label="Owl")
    sizes = {"Jay": {1: 7, 4: 5, 9: 1}}
    rows = precision_rows([*(judged(*one) for one in jays), owl], sizes)
    assert [(one.label, one.score_from, one.score_to) for one in rows] == [
        ("Jay", 0.1, 0.2),
        ("Jay", 0.4, 0.5),
        ("Jay", 0.9, 1.0),
        ("Owl", 0.3, 0.4),
    ]
    assert [one.detections for one in rows] == [7, 5, 1, 0]
    first = rows[0]
    assert (rows[1].precision, rows[1].if_uncertain_wrong) == (None, None)
    assert (first.correct, first.incorrect, first.uncertain) == (1, 1, 1)
    assert first.precision.value == 0.5
    assert (first.if_uncertain_wrong, first.if_uncertain_right) == (1 / 3, 2 / 3)
    assert rows[3].precision is None


def test_firths_regression_adds_half_a_verdict_to_each_cell_of_two_groups():
    # With two values of x the penalty is that of half a success and half a failure in each.
    x = np.array([-1.0] * 4 + [1.0] * 4)
    intercept, slope = fit_logistic(x, np.array([1, 0, 0, 0, 1, 1, 1, 0.0]))
    assert (intercept, slope) == pytest.approx((0, math.log(3.5 / 1.5)), abs=1e-6)
    intercept, slope = fit_logistic(x, np.array([0, 0, 0, 0, 1, 1, 1, 1.0]))
    assert (intercept, slope) == pytest.approx((0, math.log(4.5 / 0.5)), abs=1e-6)


def test_a_curve_that_was_put_in_is_found_again():
    rng = np.random.default_rng(1)
    scores = rng.uniform(0.1, 0.99, 4000)
    truth = 1 / (1 + np.exp(-(-0.5 + 1.5 * logit(scores))))
    right = rng.uniform(size=4000) < truth
    found = [
        judged(float(score), "correct" if is_right else "incorrect", recording=f"r{number % 40}")
        for number, (score, is_right) in enumerate(zip(scores, right, strict=True))
    ]
    curve = calibrate("Jay", found)
    assert (curve.intercept, curve.slope) == pytest.approx((-0.5, 1.5), abs=0.15)
    assert curve.is_usable
    # The probabilities that were put in are right as often as they say: p (1 - p) on average.
    assert curve.held_out.brier == pytest.approx(float(np.mean(truth * (1 - truth))), abs=0.01)
    assert curve.held_out.base_brier == pytest.approx(right.mean() * (1 - right.mean()), abs=0.01)


def test_recordings_are_kept_together_when_a_curve_is_checked():
    # In each recording all are right or all wrong, whatever the score: nothing can be predicted.
    scores = np.tile(np.linspace(0.2, 0.8, 10), 4)
    y = np.repeat([1.0, 0.0, 1.0, 0.0], 10)
    held_out = check_held_out(scores, y, [f"r{number // 10}" for number in range(40)])
    assert not held_out.is_better
    assert check_held_out(scores, y, ["r"] * 40) is None


def test_a_recording_without_which_all_scores_are_the_same_costs_no_curve():
    # Without r0 nothing can be fitted, so r0 gets the share of right ones in the others.
    others = [judged(0.9, ("correct", "incorrect")[n % 2], recording="r1") for n in range(20)]
    weak = [judged(0.2, "incorrect", recording="r0") for _ in range(10)]
    curve = calibrate("Jay", others + weak)
    assert curve.slope > 0
    # 0.5 squared for each of r0; for r1, fitted to wrong ones alone, the share 1 / 12.
    brier = (10 * 0.25 + 10 * (1 / 12) ** 2 + 10 * (11 / 12) ** 2) / 30
    assert curve.held_out.brier == pytest.approx(brier) == curve.held_out.base_brier


def test_scores_that_count_as_equally_extreme_are_the_same():
    near_one = [judged(1 - 1e-7 * (n % 3), ("correct", "incorrect")[n % 2]) for n in range(30)]
    assert calibrate("Jay", near_one).reason == "all have nearly the same score"


@pytest.mark.parametrize(
    ("verdicts", "reason"),
    [
        ([("r1", 0.5, "correct")] * 19 + [("r1", 0.5, "uncertain")] * 9, "fewer than 20"),
        ([("r1", n / 30, "correct") for n in range(30)], "all are right"),
        ([("r1", 0.5, ("correct", "incorrect")[n % 2]) for n in range(30)], "the same score"),
        (
            [(f"r{n}", n / 30, "correct" if n < 15 else "incorrect") for n in range(30)],
            "higher scores are not more often right",
        ),
        (
            [("r1", n / 30, "incorrect" if n < 15 else "correct") for n in range(30)],
            "one recording",
        ),
    ],
)
def test_a_curve_that_should_not_be_used_says_why(verdicts, reason):
    curve = calibrate("Jay", [judged(s, word, recording=r) for r, s, word in verdicts])
    assert reason in curve.reason
    assert not curve.is_usable


def test_the_threshold_is_the_lowest_whose_interval_is_above_what_is_wanted():
    # 40 right from 0.60 up: the lower end of 40 of 40 is 1 / (1 + 3.841459/40) = 0.9124. Below
    # are wrong ones: with one, 40 of 41, it is 0.8740.
    right = [0.6 + number / 100 for number in range(40)]
    found = recommend("Jay", several(right=right, wrong=(0.55, 0.5, 0.45)), 0.9)
    assert (found.threshold, found.n_above, found.n) == (0.6, 40, 43)
    assert found.precision.low == pytest.approx(0.912382, abs=1e-5)
    lower = recommend("Jay", several(right=right, wrong=(0.55, 0.5, 0.45)), 0.87)
    assert (lower.threshold, lower.n_above) == (0.55, 41)


def test_ten_right_ones_of_ten_are_not_enough_and_that_is_an_answer():
    found = recommend("Jay", several(right=[0.9] * 10), 0.9)
    assert (found.threshold, found.reason) == (None, "no score reaches it")
    assert found.precision.value == 1
    few = recommend("Jay", several(right=[0.9] * 9), 0.5)
    assert few.reason == "fewer than 10 right or wrong"


def test_equal_scores_are_kept_or_lost_together_and_no_threshold_is_below_the_floor():
    verdicts = several(right=[0.8] * 12 + [0.4] * 30, wrong=[0.4] * 30)
    assert recommend("Jay", verdicts, 0.7).threshold == 0.8
    assert recommend("Jay", verdicts, 0.4).threshold == 0.4
    assert recommend("Jay", verdicts, 0.4, floor=0.45).threshold == 0.45
