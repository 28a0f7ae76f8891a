"""What parts of a corpus have counted, beside what the same views count of all rows."""

from datetime import datetime
from importlib import resources
from itertools import chain

import duckdb
import pytest

from badc_core.corpus import building
from badc_core.corpus.building import build_corpus, group_parts
from badc_core.corpus.changed_parts import PART_CODE_VERSION
from badc_core.corpus.database import TABLES, create_table, create_views
from badc_core.corpus.parts import SUMMARIES, BrokenRule, read_part_list
from badc_core.corpus.reading import open_corpus
from badc_core.detections.store import read_effort, write_effort
from badc_core.hashing import sha256_bytes
from badc_core.sun.sunrises import find_sunrises

KEYS_OF_MANY_PARTS = {
    "counts_by_minute": "study_area, location, minute",
    "recorded_by_day": "study_area, location, local_date",
}
"""Of summaries with a row for each part, here for that with a clock and that without."""

FOUND = [
    (1.0, 4.0, "Jay", "Cyanocitta cristata", 0.9),
    (58.5, 61.5, "Élan", "Alces", 0.3),
    (90.0, 93.0, "Noise", None, 0.25),
    (93.0, 96.0, "Jay", "Cyanocitta cristata", 0.4),
]


@pytest.fixture
def counted(workbench):
    """Yields a corpus, and a connection that counts its rows anew."""
    for name, start, failed, location in (
        ("é", datetime(2024, 5, 14, 5, 59), {}, "None"),
        ("z", datetime(2024, 5, 31, 23, 59), {1: "worker died"}, "None"),
        ("a", datetime(2024, 5, 14, 4, 13, 30), {}, "None"),
        ("b", datetime(2024, 5, 14, 4, 13, 30), {}, "Jay"),
        ("m", datetime(2024, 5, 14, 4, 13, 30), {}, None),
    ):
        workbench.add(name, FOUND, start_local=start, failed=failed, location=location)
    workbench.add("unknown", FOUND, start_local=None, utc_offset_min=None)
    build_corpus(workbench.dataset, ["é", "z", "a", "b", "m", "unknown"], {})
    with open_corpus(workbench.dataset) as corpus, duckdb.connect(":memory:") as plain:
        plain.execute("SET TimeZone = 'UTC'")
        tables = {name: corpus.table(name).to_arrow_table() for name in TABLES}
        tables["sunrises"] = find_sunrises(tables["recordings"])
        for name, table in tables.items():
            create_table(plain, name, table)
        create_views(plain, ("real_detections", *SUMMARIES))
        yield corpus, plain


@pytest.mark.parametrize("name", SUMMARIES)
def test_a_part_counts_what_the_views_count_of_its_rows(counted, name):
    sql = f'FROM "{name}" ORDER BY ALL'
    if name in KEYS_OF_MANY_PARTS:
        keys = KEYS_OF_MANY_PARTS[name]
        sums = f"sum(COLUMNS(* EXCLUDE ({keys})))"
        sql = f'SELECT {keys}, {sums} FROM "{name}" GROUP BY {keys} ORDER BY ALL'  # noqa: S608
    found, expected = (one.execute(sql).fetchall() for one in counted)
    assert [len(row) for row in found] == [len(row) for row in expected]
    for one, other in zip(chain(*found), chain(*expected), strict=True):
        assert one == (pytest.approx(other) if isinstance(other, float) else other)


@pytest.mark.parametrize("most_rows", [0, 3_000_000])
def test_what_breaks_a_rule_is_named_by_its_part_alone(workbench, monkeypatch, most_rows):
    monkeypatch.setattr(building, "_MOST_ROWS", most_rows)
    for name, location in (("a", "North"), ("b", "South"), ("c", "West")):
        workbench.add(name, FOUND, location=location)
    path = workbench.dataset.effort("b")
    write_effort(path, read_effort(path).slice(1))
    build_corpus(workbench.dataset, ["a", "b", "c"], {})
    parts = read_part_list(workbench.dataset.corpus.parts).parts
    broken = {one.location: one.broken for one in parts}
    assert broken == {
        "North": {},
        "South": {
            "chunks_cover_recordings": BrokenRule(1, ["b"]),
            "detections_counted": BrokenRule(1, ["b_chunk_0_60000"]),
        },
        "West": {},
    }


@pytest.mark.parametrize(
    ("n_recordings", "n_threads", "expected"),
    [
        ([1000, 1, 1], 1, ["a", "bc"]),
        ([400, 600, 1, 2000, 7], 1, ["ab", "c", "d", "e"]),
        ([10, 10, 10, 10], 2, ["ab", "cd"]),
        ([10, 10, 10], 4, ["a", "b", "c"]),
        ([], 2, []),
    ],
)
def test_small_parts_are_counted_together(n_recordings, n_threads, expected):
    groups = group_parts(dict(zip("abcde", n_recordings, strict=False)), n_threads)
    assert ["".join(one) for one in groups.values()] == expected
    assert [*groups] == [one[0] for one in expected]


def test_parts_have_another_version_when_they_count_otherwise():
    folder = resources.files("badc_core.corpus").joinpath("sql")
    queries = [folder.joinpath(f"{name}.sql").read_bytes() for name in SUMMARIES]
    digest = sha256_bytes(b"".join(queries) + repr(SUMMARIES).encode())[:12]
    assert (PART_CODE_VERSION, digest) == ("5", "8e53090a013e"), (
        "raise PART_CODE_VERSION, and enter both here"
    )
