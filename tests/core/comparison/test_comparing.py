"""What detectors found in the same sound, compared with a count of every pair of detections."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from badc_core.comparison.compared_tables import ComparedTable
from badc_core.comparison.comparing import Rule, compare_tables
from badc_core.comparison.same_species import Name, sort_into_species
from badc_core.errors import DetectionsInvalid

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
            "chunk_start_ms": pa.array([one[1] for one in covered], pa.int64()),
            "chunk_end_ms": pa.array([one[2] for one in covered], pa.int64()),
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


def compared(first, second, **rule):
    """Returns how many of two tables' robins in one recording agree."""
    tables = [
        a_table(name, [("rec", *times, ROBIN, 0.5) for times in found], [("rec", 0, 10_000)])
        for name, found in (("a", first), ("b", second))
    ]
    totals = compare_tables(tables, Rule(**rule)).totals.to_pylist()
    return tuple(row["agreed"] for row in totals)


def test_a_long_detection_and_the_short_ones_in_it_agree_once_each():
    assert compared([(0, 9000)], [(0, 3000), (3000, 6000), (6000, 9000)]) == (1, 3)


def test_detections_that_only_touch_do_not_agree_and_a_millisecond_is_enough():
    assert compared([(0, 3000)], [(3000, 6000)]) == (0, 0)
    assert compared([(0, 3001)], [(3000, 6000)]) == (1, 1)


def test_a_least_overlap_is_asked_for_to_the_millisecond():
    assert compared([(0, 3000)], [(2000, 5000)], min_overlap_ms=1000) == (1, 1)
    assert compared([(0, 3000)], [(2000, 5000)], min_overlap_ms=1001) == (0, 0)
    assert compared([(2000, 2500)], [(0, 9000)], min_overlap_ms=500) == (1, 1)
    assert compared([(2000, 2500)], [(0, 9000)], min_overlap_ms=501) == (0, 0), "it has no more"


def test_a_tolerance_lets_those_agree_that_are_less_far_apart():
    assert compared([(0, 3000)], [(3999, 6000)], tolerance_ms=1000) == (1, 1)
    assert compared([(0, 3000)], [(4000, 6000)], tolerance_ms=1000) == (0, 0)
    assert compared([(0, 500)], [(0, 9000)], min_overlap_ms=1000, tolerance_ms=500) == (1, 1)


def test_an_earlier_long_detection_is_found_behind_later_short_ones():
    short = [(one, one + 10) for one in range(100, 5000, 100)]
    assert compared([(8000, 8100)], [(0, 9000), *short]) == (1, 1)


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


def test_where_one_did_not_listen_nothing_counts_as_missed():
    everywhere = [("rec", 0, 5000), ("rec", 5000, 10_000), ("only a", 0, 5000)]
    found = [
        ("rec", 1000, 2000, ROBIN, 0.5),
        ("rec", 6000, 7000, ROBIN, 0.5),
        ("only a", 0, 1000, ROBIN, 0.5),
    ]
    a, b = a_table("a", found, everywhere), a_table("b", found[:1], [("rec", 0, 5000)])
    made = compare_tables([a, b], Rule())
    assert row_of(made, "a", "b")["share_agreed"] == 1.0
    assert made.n_compared == {"a": 1, "b": 1}
    assert (made.effort_s, made.partly) == (5.0, ["rec"])
    assert made.left_out == {"not analysed by b": ["only a"]}


def test_silence_that_was_listened_to_counts():
    found = [("rec", 1000, 2000, ROBIN, 0.5)]
    tables = [a_table("a", found, [("rec", 0, 5000)]), a_table("b", [], [("rec", 0, 5000)])]
    made = compare_tables(tables, Rule())
    assert row_of(made, "a", "b")["agreed"] == 0
    assert row_of(made, "a", "b")["recordings_only"] == 1


def test_a_table_that_cannot_tell_counts_where_it_found_something():
    found = [("one", 1000, 2000, ROBIN, 0.5), ("two", 1000, 2000, ROBIN, 0.5)]
    known = [("one", 0, 5000), ("two", 0, 5000)]
    made = compare_tables([a_table("a", found, known), a_table("b", found[:1])], Rule())
    assert (made.recordings, made.effort_s) == (["one"], 5.0)
    assert made.left_out == {"not analysed by b": ["two"]}
    made = compare_tables([a_table("a", found), a_table("b", found[:1])], Rule())
    assert (made.recordings, made.effort_s, made.partly) == (["one"], None, [])


@pytest.mark.parametrize(
    ("covered", "complaint"),
    [
        ([("other", 0, 5000)], "a has rec; b has other"),
        ([], "a has rec; b has none"),
        ([("rec", 5000, 9000)], "a has rec; b has rec"),
    ],
)
def test_nothing_in_common_is_an_error_that_says_what_each_has(covered, complaint):
    tables = [a_table("a", [], [("rec", 0, 5000)]), a_table("b", [], covered)]
    with pytest.raises(DetectionsInvalid, match=complaint):
        compare_tables(tables, Rule())


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
    common = set.intersection(*(analysed_ms(*one) for one in given_tables))
    if not common:
        with pytest.raises(DetectionsInvalid):
            compare_tables(tables, Rule(min_overlap_ms, tolerance_ms))
        return
    made = compare_tables(tables, Rule(min_overlap_ms, tolerance_ms))

    def agree(one, other):
        shared_ms = min(one[2], other[2]) - max(one[1], other[1]) + tolerance_ms
        is_same = one[0] == other[0] and LABELS[one[3]] == LABELS[other[3]]
        return is_same and shared_ms > 0 and shared_ms >= min_overlap_ms

    kept = [[one for one in found if one[:2] in common] for found, _ in given_tables]
    species_of = {label[1].casefold(): species for label, species in LABELS.items()}
    rows = {
        (species_of.get((row["common_name"] or "").casefold()), row["table"], row["other"]): row
        for row in (*made.totals.to_pylist(), *made.species.to_pylist())
    }
    n_species = 0
    for species in (*set(LABELS.values()), None):
        of = [[one for one in some if species in (None, LABELS[one[3]])] for some in kept]
        if species is not None and not any(of):
            continue
        n_species += species is not None
        places = [{one[0] for one in some} for some in of]
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
                    "agreed": sum(b in one for one in partners),
                    "agreed_any": sum(bool(one) for one in partners),
                    "agreed_all": sum(len(one) == len(of) - 1 for one in partners),
                }
                assert {name: row[name] for name in wanted} == wanted
    n_pairs = len(tables) * (len(tables) - 1)
    assert len(made.species) == n_species * n_pairs, "no other species, none twice"
    if made.effort_s is not None:
        assert round(made.effort_s * 1000) == len(common)
