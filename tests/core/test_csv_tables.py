"""Cells of tables for people."""

import pytest

from badc_core.csv_tables import for_spreadsheets


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+A1.wav", "-cmd|'calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "=HYPERLINK(1)", "--1"],
)
def test_what_a_spreadsheet_would_evaluate_is_text(text) -> None:
    assert for_spreadsheets(text) == f"'{text}"


@pytest.mark.parametrize("cell", [-3, -0.5, "-3", "+1.5e-3", "-inf", None, "", "Été", "'=1", "a=1"])
def test_numbers_and_other_text_stay(cell) -> None:
    assert for_spreadsheets(cell) is cell
