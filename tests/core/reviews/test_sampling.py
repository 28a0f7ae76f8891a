"""Which detections are drawn, with which weight: by hand."""

from collections import Counter
from datetime import datetime, timedelta

import duckdb
import pyarrow as pa
import pytest

from badc_core.reviews.candidates import Choice, read_groups
from badc_core.reviews.sampling import STRATEGIES, Candidate, Group, Sampling, draw


class Detections:
    """Detections of one label in a database, a second apart unless it is said where.

    Args:
        scores: of each.
        columns: what else is known of them.
    """

    def __init__(self, scores, **columns):
        n = len(scores)
        starts = [1000 * one for one in columns.pop("start_s", range(n))]
        begin = datetime(2024, 6, 1)
        hours = columns.pop("hour", [0] * n)
        table = {
            "label": ["Jay"] * n,
            "recording_id": [f"r{number}" for number in range(n)],
            "location": ["MARSH"] * n,
            "absolute_time_ms": starts,
            "absolute_end_ms": [one + 1000 for one in starts],
            "confidence": [float(one) for one in scores],
            "runner": ["birdnet"] * n,
            "model_version": ["2.4"] * n,
            "recording_start_local": [
                begin + timedelta(hours=hour, milliseconds=-start)
                for hour, start in zip(hours, starts, strict=True)
            ],
            **columns,
        }
        self._connection = duckdb.connect()
        self._connection.register("real_detections", pa.table(table))
        self.scores = dict(
            zip(zip(table["recording_id"], starts, strict=True), scores, strict=True)
        )

    def read(self, sql, **named):
        return self._connection.sql(sql, params=named).to_arrow_table()

    def draw(self, judged=None, stations=(), **sampling):
        """Returns what is drawn: score, start in seconds, recording, weight."""
        order = Choice(stations=stations), Sampling(**sampling)
        groups = read_groups(self, ["Jay"], order, judged or {}).get("Jay", [])
        return [
            (
                self.scores[one.candidate.recording_id, one.candidate.start_ms],
                one.candidate.start_ms // 1000,
                one.candidate.recording_id,
                one.weight,
            )
            for one in draw(groups, order[1], "Jay")
        ]


def test_bins_are_drawn_from_equally_and_weigh_what_they_represent():
    # 90 below 0.4, 10 from 0.9 up: five of each, so 18 and 2 for one.
    found = Detections([0.35] * 90 + [0.95] * 10).draw(strategy="bins", per_label=10)
    assert Counter((score, weight) for score, _, _, weight in found) == {
        (0.35, 18.0): 5,
        (0.95, 2.0): 5,
    }


def test_a_score_at_the_border_of_two_bins_is_in_the_upper_one():
    found = Detections([0.3, 0.39, 0.7, 1.0, 0.95]).draw(strategy="bins", per_label=3)
    weights = {score: weight for score, _, _, weight in found}
    assert len(weights) == 3
    assert len({0.3, 0.39} & set(weights)) == len({1.0, 0.95} & set(weights)) == 1


def test_a_small_group_is_drawn_whole_and_others_have_the_rest():
    found = Detections([0.35] * 98 + [0.95] * 2).draw(strategy="bins", per_label=10)
    by_group = {score: weight for score, _, _, weight in found}
    assert by_group == pytest.approx({0.95: 1.0, 0.35: 98 / 8})


def test_groups_of_which_none_is_drawn_are_represented_by_the_others():
    # Four stations of 10, 20, 30 and 40 detections; those of two are drawn.
    stations = ["A"] * 10 + ["B"] * 20 + ["C"] * 30 + ["D"] * 40
    found = Detections([0.5] * 100, location=stations).draw(strategy="date", per_label=2)
    assert len({stations[int(recording[1:])] for _, _, recording, _ in found}) == 2
    assert sum(one[3] for one in found) == pytest.approx(100)


def test_percentiles_take_one_of_each_part_of_the_scores():
    scores = [0.1 + number / 200 for number in range(100)]
    found = Detections(scores).draw(strategy="percentile", per_label=10)
    assert sorted(scores.index(one[0]) // 10 for one in found) == list(range(10))
    assert {one[3] for one in found} == {10.0}


def test_hours_are_drawn_from_equally():
    hours = [5] * 80 + [22] * 20
    found = Detections([0.5] * 100, hour=hours).draw(strategy="hour", per_label=8)
    assert sum(hours[int(recording[1:])] == 22 for _, _, recording, _ in found) == 4


def test_the_best_come_first_and_represent_only_themselves():
    found = Detections([0.2, 0.9, 0.5, 0.7]).draw(strategy="top", per_label=3)
    assert [(score, weight) for score, _, _, weight in found] == [
        (0.9, None),
        (0.7, None),
        (0.5, None),
    ]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_seed_gives_the_same_and_another_another(strategy):
    some = Detections(
        [number % 97 / 97 for number in range(2000)],
        hour=[number % 24 for number in range(2000)],
        location=[f"S{number % 9}" for number in range(2000)],
    )
    first = some.draw(strategy=strategy, seed=1)
    assert first == some.draw(strategy=strategy, seed=1)
    assert len(first) == 20 == len(set(first))
    assert first != some.draw(strategy=strategy, seed=2)


def test_recordings_give_at_most_so_many_and_not_too_close():
    some = Detections([0.5] * 20, recording_id=["a"] * 10 + ["b"] * 10)
    found = some.draw(strategy="random", max_per_recording=2, min_spacing_s=4)
    starts = {name: [one[1] for one in found if one[2] == name] for name in "ab"}
    assert [len(one) for one in starts.values()] == [2, 2]
    assert all(abs(first - second) >= 4 for first, second in starts.values())


def test_what_overlaps_with_what_was_judged_and_other_stations_are_not_drawn():
    some = Detections([0.5] * 6, recording_id=["a"] * 3 + ["b"] * 3, location=["A"] * 3 + ["B"] * 3)
    judged = {("a", "Jay"): [(500, 1500)], ("b", "Owl"): [(0, 99_000)]}
    found = some.draw(judged=judged, strategy="random")
    assert sorted((name, start) for _, start, name, _ in found) == [
        ("a", 2), ("b", 3), ("b", 4), ("b", 5),
    ]  # fmt: skip
    found = some.draw(judged=judged, stations=("A",), strategy="random")
    assert [(name, start) for _, start, name, _ in found] == [("a", 2)]


def test_nothing_is_drawn_of_nothing():
    assert draw([], Sampling(), "Jay") == []
    some = Detections([0.5], recording_id=["a"])
    assert some.draw(judged={("a", "Jay"): [(0, 10)]}) == []


def test_groups_give_in_turn_until_one_has_no_more():
    one, other = (
        [Candidate(name, start, start + 1, "x", "1") for start in range(n)]
        for name, n in (("a", 2), ("b", 9))
    )
    found = draw([Group(2, one), Group(9, other)], Sampling(per_label=6), "Jay")
    assert Counter(each.candidate.recording_id for each in found) == {"a": 2, "b": 4}
    assert sum(each.weight for each in found) == pytest.approx(11)
