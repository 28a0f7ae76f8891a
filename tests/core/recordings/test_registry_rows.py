"""Rows of the registry that are looked at by columns, as one by one."""

import csv
import io
import time
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from badc_core.errors import DatasetInvalid
from badc_core.recordings.registered import _parse_rows, _parse_sound

_HEAD = "recording_id,path,size_bytes,modified_ns,fingerprint,first_path"
_TEXT = st.text(alphabet="ab.'=/\\ \0\n\"é_1", max_size=4) | st.sampled_from(
    ["", "a" * 99, "é" * 99]
)
_NUMBER = st.sampled_from(
    ["", "0", "007", "12", "-1", "1.0", " 1", "1_0", "x", "9" * 19, "9" * 30, "\u0663"]
)
_ROWS = st.lists(st.tuples(_TEXT, _TEXT, _NUMBER, _NUMBER, _TEXT, _TEXT).map(list), max_size=3)


@given(_ROWS, st.integers(4, 6), st.sampled_from(["\n", "\r\n"]))
@example([["a", "b", "007", "1", "", ""], ["b", "a", "", "0", "'=x", "c"]], 6, "\n")
@example([["a", "b", "1", "1", "", ""], ["a", "c", "", "0", "x", ""]], 6, "\n")
@example([["a", "b", "1", "1", "", ""], []], 5, "\n")
@example([], 5, "\n")
def test_rows_are_the_same_by_columns_as_one_by_one(
    rows: list[list[str]], n_columns: int, end: str
) -> None:
    names = _HEAD.split(",")[:n_columns]
    text = io.StringIO()
    csv.writer(text, lineterminator=end).writerows([names, *(row[:n_columns] for row in rows)])

    by_columns = _parse_sound(io.StringIO(text.getvalue(), newline=""))

    try:
        reader = csv.reader(io.StringIO(text.getvalue(), newline=""), strict=True)
        one_by_one = list(_parse_rows(reader, Path("recordings.csv"), None))
    except (DatasetInvalid, csv.Error):
        assert by_columns is None
    else:
        assert by_columns in (one_by_one, None)


def test_rows_with_times_of_today_are_looked_at_by_columns() -> None:
    row = f"a,b.wav,{1 << 40},{time.time_ns()},0f"

    assert _parse_sound(io.StringIO(f"{_HEAD.rpartition(',')[0]}\n{row}\n", newline=""))
