"""Labels of variable length: what is joined, and that it does not matter how a recording is cut."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from badc_core.chunks.plan import plan_chunks
from badc_core.detections.joining import join_touching
from badc_core.detections.verify import verify_recording
from badc_core.detectors.interface import Detection, DetectorIdentity, Label
from badc_core.detectors.windows import WindowGrid
from badc_core.engine.protocol import ChunkResult, ChunkTask
from badc_core.inference.detections_table import detections_table, effort_table
from badc_core.settings import ChunkSettings

OWL = Label("Owl, Great Horned", "GHOW", "Bubo virginianus")
DOG = Label("Dog")
RATE_HZ = 100
WINDOW_S = 3.0
IDENTITY = DetectorIdentity("stub", "1", None, "", WINDOW_S)


def owl(start: int, end: int, confidence: float = 0.5, **more: object) -> Detection:
    return Detection(start, end, OWL, confidence, **more)


def test_windows_that_follow_without_a_gap_become_one_label() -> None:
    parts = [owl(0, 300, 0.4), owl(300, 600, 0.9), owl(600, 900, 0.6)]
    assert join_touching([parts]) == [(owl(0, 900, 0.9, n_merged=3),)]


def test_windows_that_overlap_become_one_label() -> None:
    parts = [owl(0, 300, 0.4), owl(150, 450, 0.3), owl(450, 500, 0.3)]
    assert join_touching([parts]) == [(owl(0, 500, 0.4, n_merged=3),)]


def test_a_label_inside_another_does_not_shorten_it() -> None:
    parts = [owl(0, 900, 0.4), owl(100, 200, 0.3), owl(900, 1000, 0.3)]
    assert join_touching([parts]) == [(owl(0, 1000, 0.4, n_merged=3),)]


def test_a_gap_of_one_sample_and_another_label_keep_labels_apart() -> None:
    dog = Detection(300, 600, DOG, 0.5)
    other_code = replace(dog, label=Label("Dog", "DOG"), start_sample=600, end_sample=900)
    parts = (owl(0, 300), dog, owl(301, 600), other_code)
    assert join_touching([parts]) == [tuple(sorted(parts, key=lambda one: one.start_sample))]


def test_a_joined_label_belongs_to_the_chunk_it_begins_in() -> None:
    chunks = [[owl(0, 300)], [owl(300, 600)], [], [owl(900, 1200)]]
    assert join_touching(chunks) == [
        (owl(0, 600, n_merged=2),),
        (),
        (),
        (owl(900, 1200),),
    ]


def test_marks_are_those_of_the_strongest() -> None:
    weak = owl(0, 300, 0.2, is_expected=True, occurrence=0.9)
    strong = owl(300, 600, 0.8, is_expected=False, occurrence=0.1)
    ((joined,),) = join_touching([[weak, strong]])
    assert (joined.is_expected, joined.occurrence) == (False, 0.1)


def test_a_chunk_covered_by_a_label_that_began_before_is_ok_and_counts_none(recording) -> None:
    rate_hz = recording.sample_rate_hz
    chunks = plan_chunks("rec", recording.n_samples, rate_hz, ChunkSettings())
    found = [owl(59 * rate_hz, 60 * rate_hz), owl(60 * rate_hz, 63 * rate_hz)]
    results = [
        ChunkResult(ChunkTask(Path("a.wav"), recording.n_samples, chunk), (one,), None, 1.0, "c")
        for chunk, one in zip(chunks, found, strict=True)
    ]
    joined = [
        replace(one, detections=own)
        for one, own in zip(results, join_touching([[one] for one in found]), strict=True)
    ]
    table = detections_table(recording, joined, IDENTITY, "c0", "ds")
    effort = effort_table("rec", results, table)
    verify_recording(recording, table, effort)
    (row,) = table.to_pylist()
    assert (row["absolute_time_ms"], row["absolute_end_ms"]) == (59_000, 63_000)
    assert (row["chunk_id"], row["n_merged"]) == (chunks[0].chunk_id, 2)
    assert effort["detections"].to_pylist() == [1, 0]
    assert effort["status"].to_pylist() == ["ok", "ok"]


windows = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75]), min_size=1, max_size=40)
cuts = st.builds(
    lambda duration_s, share: ChunkSettings(
        duration_s=duration_s, overlap_s=share * duration_s, min_chunk_s=0.0
    ),
    st.floats(0.5, 60),
    st.floats(0, 0.9),
)


def found_in_chunks(
    owls: list[float], dogs: list[float], overlap_s: float, cut: ChunkSettings
) -> list[list[Detection]]:
    """Returns what a model of windows finds; 0 stands for nothing in the window of that number."""
    grid = WindowGrid(WINDOW_S, overlap_s)
    hop = round((WINDOW_S - overlap_s) * RATE_HZ)
    n_samples = max(len(owls), len(dogs)) * hop
    chunks = plan_chunks("rec", n_samples, RATE_HZ, cut)
    return [
        [
            Detection(start, end, label, score)
            for start, end in grid.windows(chunk, n_samples)
            for label, scores in ((OWL, owls), (DOG, dogs))
            if (score := dict(enumerate(scores)).get(start // hop, 0.0))
        ]
        for chunk in chunks
    ]


@settings(max_examples=3 * settings().max_examples)
@given(windows, windows, st.sampled_from([0.0, 1.0, 1.5, 2.5]), cuts)
def test_labels_are_the_same_however_the_recording_is_cut(owls, dogs, overlap_s, cut) -> None:
    whole = found_in_chunks(owls, dogs, overlap_s, ChunkSettings(duration_s=1000))
    assert len(whole) == 1
    chunked = join_touching(found_in_chunks(owls, dogs, overlap_s, cut))
    joined = [one for found in chunked for one in found]
    assert Counter(joined) == Counter(join_touching(whole)[0])
    # Each is as long and as strong as what it was made from; none touches another of its label.
    assert sum(one.n_merged for one in joined) == len(whole[0])
    assert Counter(joined) == Counter(join_touching([joined])[0])
    for one in joined:
        parts = [
            each
            for each in whole[0]
            if each.label == one.label and one.start_sample <= each.start_sample < one.end_sample
        ]
        assert len(parts) == one.n_merged
        assert one.confidence == max(each.confidence for each in parts)
        assert one.end_sample == max(each.end_sample for each in parts)
