"""From probabilities per frame to segments."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from badc_core.speech.segments import SpeechRules, SpeechSegment, join_frames

FRAME_MS = 10
BARE = SpeechRules(
    threshold=0.5, end_threshold=0.3, longest_pause_ms=50, shortest_ms=30, padding_ms=0
)


def join(probabilities, rules=BARE, length_ms=None):
    length_ms = len(probabilities) * FRAME_MS if length_ms is None else length_ms
    return list(join_frames(probabilities, FRAME_MS, length_ms, rules))


def test_a_segment_holds_the_frames_above_the_threshold_and_their_highest_probability():
    assert join([0, 0, 0.6, 0.9, 0.7, 0, 0]) == [SpeechSegment(20, 50, 0.9)]


def test_a_segment_goes_on_while_frames_stay_above_the_lower_threshold():
    assert join([0, 0.4, 0.6, 0.6, 0.6, 0.4, 0.3, 0.2]) == [SpeechSegment(20, 70, 0.6)]


def test_frames_that_never_reach_the_threshold_are_no_speech():
    assert join([0.49] * 20) == []


def test_a_short_burst_is_no_speech():
    assert join([0, 0.9, 0.9, 0, 0, 0, 0, 0, 0]) == []
    assert join([0, 0.9, 0.9]) == []


def test_a_pause_is_bridged_up_to_its_longest_and_not_beyond():
    spoken = [0.9] * 3
    assert join([*spoken, *[0] * 5, *spoken]) == [SpeechSegment(0, 110, 0.9)]
    assert join([*spoken, *[0] * 6, *spoken]) == [
        SpeechSegment(0, 30, 0.9),
        SpeechSegment(90, 120, 0.9),
    ]


def test_padding_joins_neighbours_and_stays_inside_the_recording():
    rules = SpeechRules(0.5, 0.3, longest_pause_ms=20, shortest_ms=30, padding_ms=25)
    spoken = [0.9] * 3
    assert join([0, *spoken, *[0] * 5, 0.8, 0.8, 0.8, 0], rules, length_ms=128) == [
        SpeechSegment(0, 128, 0.9)
    ]
    apart = join([0] * 3 + spoken + [0] * 6 + spoken + [0] * 3, rules)
    assert [(one.start_ms, one.end_ms) for one in apart] == [(5, 85), (95, 175)]


@given(
    st.lists(st.floats(0, 1, width=32), max_size=200),
    st.integers(0, 100),
    st.integers(0, 60),
    st.integers(0, 60),
)
def test_segments_are_in_order_apart_inside_and_cover_every_long_run(
    probabilities, pause_ms, shortest_ms, padding_ms
):
    rules = SpeechRules(0.5, 0.3, pause_ms, shortest_ms, padding_ms)
    found = join(probabilities, rules)
    times = [time for one in found for time in (one.start_ms, one.end_ms)]
    assert times == sorted(set(times))
    assert all(0 <= time <= len(probabilities) * FRAME_MS for time in times)
    covered = np.zeros(len(probabilities) * FRAME_MS + 1, bool)
    for one in found:
        covered[one.start_ms : one.end_ms] = True
    n_needed = max(1, -(-shortest_ms // FRAME_MS))
    for first in range(len(probabilities) - n_needed + 1):
        run = probabilities[first : first + n_needed]
        if min(run) >= rules.threshold:
            assert covered[first * FRAME_MS : (first + n_needed) * FRAME_MS].all()
