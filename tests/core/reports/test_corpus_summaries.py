"""What parts of a corpus have counted, beside what the same views count of all rows."""

from datetime import datetime
from itertools import chain

import duckdb
import pytest

from badc_core.corpus.building import build_corpus
from badc_core.corpus.database import TABLES, create_table, create_views
from badc_core.corpus.parts import SUMMARIES
from badc_core.corpus.reading import open_corpus
from badc_core.sun.sunrises import find_sunrises

KEYS_OF_MANY_PARTS = {
    "counts_by_minute": "minute",
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
    for name, start, failed in (
        ("é", datetime(2024, 5, 14, 5, 59), {}),
        ("z", datetime(2024, 5, 31, 23, 59), {1: "worker died"}),
        ("a", datetime(2024, 5, 14, 4, 13, 30), {}),
    ):
        workbench.add(name, FOUND, start_local=start, failed=failed, location="None")
    workbench.add("unknown", FOUND, start_local=None, utc_offset_min=None)
    build_corpus(workbench.dataset, ["é", "z", "a", "unknown"], {})
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
