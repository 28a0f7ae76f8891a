"""Cells of tables that a spreadsheet may open."""

import io
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import badc_core
from badc_core.csv_tables import as_written, for_spreadsheets, read_rows, write_rows

FORMULAS = ["=1+1", "+A1.wav", "-cmd|'calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "=HYPERLINK(1)", "--1"]


@pytest.mark.parametrize("text", [*FORMULAS, "'=1", "''@x"])
def test_what_a_spreadsheet_would_evaluate_is_text(text) -> None:
    assert for_spreadsheets(text) == f"'{text}"


@pytest.mark.parametrize("cell", [-3, -0.5, "-3", "+1.5e-3", "-inf", None, "", "Été", "'a", "a=1"])
def test_numbers_and_other_text_stay(cell) -> None:
    assert for_spreadsheets(cell) is cell


@given(st.text(alphabet="=+-@\t\r\n'a1 .e\"") | st.text())
@example("'-5")
def test_every_text_is_read_as_it_was_written(text: str) -> None:
    cell = for_spreadsheets(text)
    assert as_written([cell]) == [text]
    assert cell == text or not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    path, cells = tmp_path / "a.csv", ["=1+1", "'=1", "-5", "+A1.wav", "a,b", "a\rb"]
    text = io.StringIO()
    write_rows(text, ["=name", *"abcde"], [cells])
    assert text.getvalue().splitlines()[1].startswith("'=1+1,''=1,-5,'+A1.wav,")
    path.write_text(text.getvalue(), encoding="utf-8")
    assert [[*row.values()] for _, row in read_rows(path)] == [cells]


def test_no_other_module_writes_rows_of_csv() -> None:
    root = Path(badc_core.__file__).parent
    writers = ("csv.writer(", "DictWriter(", "FORMAT CSV", ".to_csv(")
    found = [
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if any(one in path.read_text(encoding="utf-8") for one in writers)
    ]
    # Those of exports are for programs, which want names as they are.
    assert found == ["csv_tables.py", "exports/text_tables.py"]
