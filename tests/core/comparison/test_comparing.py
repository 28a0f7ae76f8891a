"""What detectors found in the same sound, compared with a count of every pair of detections."""

from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from badc_core.chunks.plan import plan_chunks
from badc_core.comparison.analysed_chunks import CHUNK, find_covered
from badc_core.comparison.compared_tables import ComparedTable
from badc_core.comparison.comparing import Rule, compare_tables
from badc_core.comparison.same_species import Name, sort_into_species
from badc_core.detections.store import conform
from badc_core.detectors.windows import WindowGrid
from badc_core.errors import DetectionsInvalid
from badc_core.settings import ChunkSettings

ROBIN = ("Turdus migratorius", "American Robin")
# Spellings of three species: by scientific name, by common name alone, by neither.
LABELS = {
    ROBIN: "robin",
    ("TURDUS migratorius", "Merle d'Amérique"): "robin",
    ("", "american robin"): "robin",
    ("Bubo virginianus", "Great Horned Owl"): "owl",
    ("", "great horned  OWL"): "owl",
    ("", "Dog"): "dog",
    ("", "DOG"): "dog",
}
FIRST_LABELS = (ROBIN, ("Bubo virginianus", "Great Horned Owl"))


def a_table(name, found, covered=None):
    """Returns a table of (recording, start, end, label, confidence) and (recording, start, end)."""
    columns = list(zip(*found, strict=True)) or [[]] * 5
    labels = columns[3]
    constant = pa.array([""] * len(found), pa.string())
    detections = pa.table(
        {
            "recording_id": pa.array(columns[0], pa.string()).dictionary_encode(),
            "absolute_time_ms": pa.array(columns[1], pa.int64()),
            "absolute_end_ms": pa.array(columns[2], pa.int64()),
            "scientific_name": pa.array([one[0] or None for one in labels], pa.string()),
            "label_name": pa.array([one[1] for one in labels], pa.string()).dictionary_encode(),
            "confidence": pa.array(columns[4], pa.float64()),
            **dict.fromkeys(("runner", "model_version", "config_hash"), constant),
        }
    )
    if covered is None:
        return ComparedTable(name, Path(name), detections, None)
    chunks = pa.table(
        {
            "recording_id": pa.array([one[0] for one in covered], pa.string()),
            "start_ms": pa.array([one[1] for one in covered], pa.int64()),
            "end_ms": pa.array([one[2] for one in covered], pa.int64()),
        }
    )
    return ComparedTable(name, Path(name), detections, chunks)


def row_of(comparison, table, other, common="American Robin"):
    rows = comparison.species.to_pylist()
    (row,) = [
        row
        for row in rows
        if (row["table"], row["other"], row["common_name"]) == (table, other, common)
    ]
    return row


def test_the_figures_of_a_species():
    covered = [("one", 0, 9000), ("two", 0, 9000), ("three", 0, 9000)]
    a = [("one", 0, 3000, ROBIN, 0.5), ("one", 3000, 6000, ROBIN, 0.75), ("two", 0, 1, ROBIN, 1.0)]
    b = [("one", 0, 3000, ROBIN, 0.25), ("three", 0, 3000, ("", "Dog"), 0.25)]
    made = compare_tables([a_table("a", a, covered), a_table("b", b, covered)], Rule())
    assert row_of(made, "a", "b") == {
        "scientific_name": "Turdus migratorius",
        "common_name": "American Robin",
        "table": "a",
        "other": "b",
        "detections": 3,
        "recordings": 2,
        "recordings_only": 1,
        "recordings_all": 1,
        "best_confidence": 1.0,
        "median_confidence": 0.75,
        "agreed": 1,
        "share_agreed": 1 / 3,
        "agreed_any": 1,
        "agreed_all": 1,
    }
    dogs = row_of(made, "a", "b", "Dog")
    assert (dogs["detections"], dogs["best_confidence"], dogs["share_agreed"]) == (0, None, None)
    assert [row["detections"] for row in made.totals.to_pylist()] == [3, 2]
    assert (made.effort_s, made.recordings) == (27.0, ["one", "three", "two"])


@pytest.mark.parametrize(
    ("covered", "complaint"),
    [
        ([("other", 0, 5000)], "a has rec; b has other"),
        ([], "a has rec; b has none"),
        ([("rec", 5000, 9000)], "no part of rec was analysed by all tables"),
        (None, "b's Parquet does not say what was analysed, .* Use its CSV"),
    ],
)
def test_nothing_in_common_is_an_error_that_says_what_each_has(covered, complaint):
    tables = [a_table("a", [], [("rec", 0, 5000)]), a_table("b", [], covered)]
    with pytest.raises(DetectionsInvalid, match=complaint):
        compare_tables(tables, Rule())


def test_names_are_compared_however_their_accents_are_encoded():
    composed, apart = "Merle d'Am\u00e9rique", "Merle d'Ame\u0301rique"
    assert composed != apart
    numbers = sort_into_species([Name("", composed), Name("", apart)]).number_of
    assert len(set(numbers.values())) == 1


def chunks_of(*rows):
    """Returns chunks of (recording, start, end, overlap), and whether each was analysed."""
    columns = list(zip(*rows, strict=True))
    arrays = [pa.array(one) for one in columns[:4]]
    return conform(pa.table(arrays, CHUNK.names), CHUNK, ""), np.array(columns[4])


def test_a_chunk_without_an_overlap_counts_from_its_start():
    chunks = chunks_of(("r", 0, 1000, 0, True), ("r", 1001, 2000, 0, True))
    assert find_covered(*chunks)["start_ms"].to_pylist() == [0, 1001]


def test_rounding_leaves_no_gap_between_chunks_that_were_analysed():
    # Start and overlap are rounded each by itself: their sum may be a millisecond off.
    chunks = chunks_of(
        *(("r", 2001, 4002, 501, True), ("q", 0, 2501, 7, True), ("r", 0, 2501, 0, True)),
        ("r", 3500, 6000, 501, True),
    )
    assert [tuple(one.values()) for one in find_covered(*chunks).to_pylist()] == [
        *(("r", 2501, 4002), ("q", 0, 2501), ("r", 0, 2501)),
        ("r", 4002, 6000),
    ]


settings = st.tuples(st.integers(1, 40), st.integers(0, 30), st.integers(1, 20)).map(
    lambda one: ChunkSettings(duration_s=one[0], overlap_s=min(one[1], one[0] - 1), min_chunk_s=1)
)


@given(
    settings=settings,
    n_samples=st.integers(1, 400),
    rate_hz=st.sampled_from([3, 7, 441, 1000, 44_100]),
    outcomes=st.lists(st.booleans(), min_size=400, max_size=400),
)
def test_what_was_analysed_is_where_windows_of_analysed_chunks_begin(
    settings, n_samples, rate_hz, outcomes
):
    chunks = plan_chunks("r", n_samples * rate_hz, rate_hz, settings)
    rows = [
        ("r", one.start_ms, one.end_ms, one.overlap_ms, is_analysed)
        for one, is_analysed in zip(chunks, outcomes, strict=False)
    ]
    covered = {
        ms // 100
        for one in find_covered(*chunks_of(*rows)).to_pylist()
        for ms in range(one["start_ms"], one["end_ms"], 100)
    }
    grid = WindowGrid(window_s=1)
    begun = {
        start * 10 // rate_hz
        for one, is_analysed in zip(chunks, outcomes, strict=False)
        if is_analysed
        for start, _ in grid.windows(one, n_samples * rate_hz)
    }
    assert {tenth for tenth in covered if tenth % 10 == 0} == begun


def test_a_common_name_of_two_species_joins_neither():
    labels = [Name("Setophaga a", "Warbler"), Name("", "warbler"), Name("Setophaga b", "Warbler")]
    sorted_labels = sort_into_species(labels)
    assert [sorted_labels.number_of[one] for one in labels] == [0, 1, 2]
    assert sorted_labels.homonyms == {"Warbler": ("Setophaga a", "Setophaga b")}


# Crowded on purpose: most are of one species in one recording.
RECORDINGS = ["x", "x", "y"]
intervals = st.tuples(st.integers(0, 20), st.sampled_from([1, 2, 4, 8, 30])).map(
    lambda one: (one[0], sum(one))
)
detections = st.lists(
    st.tuples(
        st.sampled_from(RECORDINGS),
        intervals,
        st.just(ROBIN) | st.sampled_from(sorted(LABELS)),
        st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    ).map(lambda one: (one[0], *one[1], one[2], one[3])),
    max_size=12,
)
coverages = st.none() | st.lists(
    st.tuples(st.sampled_from(RECORDINGS), intervals).map(lambda one: (one[0], *one[1])),
    max_size=8,
)


def analysed_ms(found, covered):
    """Returns the milliseconds of every recording that a table analysed."""
    if covered is None:
        return {(one[0], ms) for one in found for ms in range(100)}
    return {(one[0], ms) for one in covered for ms in range(one[1], one[2])}


@given(
    given_tables=st.lists(st.tuples(detections, coverages), min_size=2, max_size=4),
    min_overlap_ms=st.integers(0, 6),
    tolerance_ms=st.integers(0, 4),
)
def test_all_counts_are_those_of_looking_at_every_pair(given_tables, min_overlap_ms, tolerance_ms):
    # The first table has each scientific name beside its common one, which the others go by.
    spelt = [("w", 0, 1, one, 0.5) for one in FIRST_LABELS]
    given_tables = [(spelt + given_tables[0][0], given_tables[0][1]), *given_tables[1:]]
    tables = [a_table(f"t{n}", *one) for n, one in enumerate(given_tables)]
    analysed = [analysed_ms(*one) for one in given_tables]
    common = set.intersection(*analysed)
    if not common:
        with pytest.raises(DetectionsInvalid):
            compare_tables(tables, Rule(min_overlap_ms, tolerance_ms))
        return
    made = compare_tables(tables, Rule(min_overlap_ms, tolerance_ms))

    def agree(one, other):
        shared_ms = min(one[2], other[2]) - max(one[1], other[1]) + tolerance_ms
        is_same = one[0] == other[0] and LABELS[one[3]] == LABELS[other[3]]
        return is_same and shared_ms > 0 and shared_ms >= min_overlap_ms

    def reaches(one):
        return any((one[0], ms) in common for ms in range(one[1], one[2]))

    kept = [[one for one in found if one[:2] in common] for found, _ in given_tables]
    there = [[one for one in found if reaches(one)] for found, _ in given_tables]
    species_of = {label[1].casefold(): species for label, species in LABELS.items()}
    rows = {
        (species_of.get((row["common_name"] or "").casefold()), row["table"], row["other"]): row
        for row in (*made.totals.to_pylist(), *made.species.to_pylist())
    }
    n_species = 0
    for species in (*set(LABELS.values()), None):
        of = [[one for one in some if species in (None, LABELS[one[3]])] for some in kept]
        places = [{one[0] for one in some if species in (None, LABELS[one[3]])} for some in there]
        if species is not None and not any(places):
            continue
        n_species += species is not None
        for a, some in enumerate(of):
            partners = [
                {
                    b
                    for b, (others, _) in enumerate(given_tables)
                    if b != a and any(agree(one, x) for x in others)
                }
                for one in some
            ]
            for b in set(range(len(of))) - {a}:
                row = rows[species, f"t{a}", f"t{b}"]
                wanted = {
                    "detections": len(some),
                    "recordings": len(places[a]),
                    "recordings_only": len(
                        places[a] - set().union(*(places[:a] + places[a + 1 :]))
                    ),
                    "recordings_all": len(set.intersection(*places)),
                    "best_confidence": max((one[4] for one in some), default=None),
                    "median_confidence": median([one[4] for one in some]) if some else None,
                    "agreed": sum(b in one for one in partners),
                    "share_agreed": (
                        sum(b in one for one in partners) / len(some) if some else None
                    ),
                    "agreed_any": sum(bool(one) for one in partners),
                    "agreed_all": sum(len(one) == len(of) - 1 for one in partners),
                }
                assert {name: row[name] for name in wanted} == wanted
    n_pairs = len(tables) * (len(tables) - 1)
    assert len(made.species) == n_species * n_pairs, "no other species, none twice"
    if made.effort_s is not None:
        assert round(made.effort_s * 1000) == len(common)
    compared_ids = {one for one, _ in common}
    assert made.recordings == sorted(compared_ids)
    known = [some for some, (_, covered) in zip(analysed, given_tables, strict=True) if covered]
    assert made.partly == [
        one
        for one in sorted(compared_ids)
        if any(ms not in common for some in known for ms in some if ms[0] == one)
    ]
    ids = [{one for one, _ in some} for some in analysed]
    left_out = {
        f"not analysed by t{n}": sorted(set().union(*ids) - some) for n, some in enumerate(ids)
    }
    left_out["analysed by all, but in different parts"] = sorted(
        set.intersection(*ids) - compared_ids
    )
    assert made.left_out == {why: some for why, some in left_out.items() if some}
