from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from badc_core.chunks.plan import Chunk, plan_chunks
from badc_core.settings import ChunkSettings
from badc_core.units import samples_to_ms, seconds_to_samples

RATES_HZ = [1, 8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 250_000, 384_000]


@dataclass(frozen=True)
class Case:
    n_samples: int
    rate_hz: int
    settings: ChunkSettings

    def plan(self) -> tuple[Chunk, ...]:
        return plan_chunks("rec", self.n_samples, self.rate_hz, self.settings)


@st.composite
def cases(draw) -> Case:
    """Draws a recording of up to about forty chunks, at any rate, cut in any way."""
    rate_hz = draw(st.one_of(st.sampled_from(RATES_HZ), st.integers(8000, 384_000)))
    duration_s = draw(st.one_of(st.sampled_from([3.0, 60.0, 300.0]), st.floats(0.02, 600)))
    overlap_s = draw(st.one_of(st.just(0.0), st.floats(0, duration_s - 0.011)))
    step_s = duration_s - overlap_s
    settings = ChunkSettings(
        duration_s=duration_s,
        overlap_s=overlap_s,
        min_chunk_s=draw(st.one_of(st.sampled_from([0.0, 3.0]), st.floats(0, 2 * duration_s))),
    )
    longest = max(2, round((duration_s + 40 * step_s) * rate_hz))
    n_steps = draw(st.integers(0, 40))
    boundary = round((duration_s + n_steps * step_s) * rate_hz)
    n_samples = draw(
        st.one_of(st.integers(1, longest), st.integers(max(1, boundary - 2), max(2, boundary + 2)))
    )
    return Case(n_samples, rate_hz, settings)


@given(cases())
def test_the_union_of_the_chunks_is_the_recording_exactly_and_in_order(case: Case) -> None:
    chunks = case.plan()
    assert chunks[0].start_sample == 0
    assert chunks[0].overlap_samples == 0
    for before, after in pairwise(chunks):
        assert before.start_sample < after.start_sample <= before.end_sample
        assert after.start_sample + after.overlap_samples == before.end_sample
    assert chunks[-1].end_sample == case.n_samples
    assert sum(chunk.n_samples - chunk.overlap_samples for chunk in chunks) == case.n_samples


@given(cases())
def test_no_chunk_lies_wholly_inside_the_one_before(case: Case) -> None:
    for before, after in pairwise(case.plan()):
        assert after.end_sample > before.end_sample
        assert after.n_samples > after.overlap_samples


@given(cases())
def test_every_chunk_but_the_last_is_as_long_as_asked_for_and_overlaps_as_asked_for(
    case: Case,
) -> None:
    duration = max(1, seconds_to_samples(case.settings.duration_s, case.rate_hz))
    overlap = min(seconds_to_samples(case.settings.overlap_s, case.rate_hz), duration - 1)
    chunks = case.plan()
    assert {chunk.n_samples for chunk in chunks[:-1]} <= {duration}
    assert {chunk.overlap_samples for chunk in chunks[1:]} <= {overlap}


@given(cases())
def test_a_tail_is_a_chunk_of_its_own_exactly_if_it_is_long_enough(case: Case) -> None:
    shortest = seconds_to_samples(case.settings.min_chunk_s, case.rate_hz)
    duration = max(1, seconds_to_samples(case.settings.duration_s, case.rate_hz))
    chunks = case.plan()
    if len(chunks) > 1:
        assert chunks[-1].n_samples >= shortest
    if chunks[-1].n_samples > duration:
        overlap = min(seconds_to_samples(case.settings.overlap_s, case.rate_hz), duration - 1)
        assert chunks[-1].n_samples - duration + overlap < shortest


@given(cases())
def test_no_two_chunks_have_one_name(case: Case) -> None:
    names = [chunk.chunk_id for chunk in case.plan()]
    assert len(names) == len(set(names))


def spans_ms(n_s: float, rate_hz: int = 44_100, **settings: float) -> list[tuple[int, int, int]]:
    chunks = plan_chunks("rec", round(n_s * rate_hz), rate_hz, ChunkSettings(**settings))
    return [(chunk.start_ms, chunk.end_ms, chunk.overlap_ms) for chunk in chunks]


@pytest.mark.parametrize(
    ("n_s", "settings", "expected"),
    [
        (180.0, {}, [(0, 60_000, 0), (60_000, 120_000, 0), (120_000, 180_000, 0)]),
        (122.9, {}, [(0, 60_000, 0), (60_000, 122_900, 0)]),
        (123.0, {}, [(0, 60_000, 0), (60_000, 120_000, 0), (120_000, 123_000, 0)]),
        (0.14, {}, [(0, 140, 0)]),
        (60.0, {}, [(0, 60_000, 0)]),
        (60.5, {"min_chunk_s": 0.0}, [(0, 60_000, 0), (60_000, 60_500, 0)]),
        (
            25.0,
            {"duration_s": 10.0, "overlap_s": 2.0},
            [(0, 10_000, 0), (8000, 18_000, 2000), (16_000, 25_000, 2000)],
        ),
        (18.0, {"duration_s": 10.0, "overlap_s": 2.0}, [(0, 10_000, 0), (8000, 18_000, 2000)]),
    ],
)
def test_recordings_are_cut_as_people_expect(n_s, settings, expected) -> None:
    assert spans_ms(n_s, **settings) == expected


def test_a_chunk_is_named_by_its_recording_and_its_milliseconds() -> None:
    chunks = plan_chunks("S1__dawn", 180 * 48_000, 48_000, ChunkSettings())
    assert [chunk.chunk_id for chunk in chunks] == [
        "S1__dawn_chunk_0_60000",
        "S1__dawn_chunk_60000_120000",
        "S1__dawn_chunk_120000_180000",
    ]
    assert [chunk.duration_s for chunk in chunks] == [60.0, 60.0, 60.0]


def test_a_day_of_sound_is_planned_without_drift() -> None:
    rate_hz = 44_100
    chunks = plan_chunks("rec", 86_400 * rate_hz, rate_hz, ChunkSettings())
    assert len(chunks) == 1440
    assert all(
        chunk.start_ms == samples_to_ms(chunk.start_sample, rate_hz) == 60_000 * number
        for number, chunk in enumerate(chunks)
    )
