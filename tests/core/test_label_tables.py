"""Tables of numbers for each label, and the thresholds that settings take from one."""

from pathlib import Path

import pytest

from badc_core.errors import ConfigInvalid
from badc_core.label_tables import read_label_table
from badc_core.settings import load_settings

ENGLISH = (
    "label,threshold,verdicts\nOvenbird,0.45,30\n'=sum,0.5,\nM\u00e9nard's Duck,0.7,12\nWren,,3\n"
)
GERMAN = ENGLISH.replace(",", ";").replace("0.", "0,")


@pytest.mark.parametrize(
    "content",
    [
        ENGLISH.encode(),
        ENGLISH.replace("\n", "\r\n").encode("utf-8-sig"),
        GERMAN.encode("cp1252"),
        GERMAN.replace(";", "\t").encode(),
        ENGLISH.replace("label", "Common Name").replace("threshold", "Threshold").encode(),
        (ENGLISH + "\n,,\nWren\n").encode(),
    ],
    ids=["csv", "bom", "excel", "tabs", "names", "short"],
)
def test_tables_as_spreadsheets_save_them_say_the_same(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "table.csv").write_bytes(content)
    found = read_label_table(tmp_path / "table.csv", "table", ("threshold",))
    assert found == {"Ovenbird": (0.45,), "=sum": (0.5,), "M\u00e9nard's Duck": (0.7,)}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("label,score\nWren,1\n", "no column threshold"),
        ("bird,threshold\nWren,1\n", "no column label"),
        ("label,threshold\nWren,high\n", "line 2, threshold: 'high' is not a number"),
        ("label,threshold\nWren,nan\n", "line 2, threshold: 'nan' is not a number"),
        ("label,threshold\nWren,0.1\nwren,0.2\n", "line 3 names wren again"),
        ("label,threshold\n,0.1\n", "line 2 names no label"),
        ('label,threshold\n"Wren,0.1\n', "not a CSV table"),
        ("label,threshold\nWren,1.5\n", "line 2, threshold: must be between 0 and 1, not 1.5"),
        ("", "names no label"),
        ("label,threshold\n", "names no label"),
    ],
)
def test_what_is_no_table_of_thresholds_is_refused_by_name(
    tmp_path: Path, content: str, why: str
) -> None:
    (tmp_path / "t.csv").write_text(content)
    (tmp_path / "badc.toml").write_text("[detector]\nthresholds_file = 't.csv'\n")
    with pytest.raises(ConfigInvalid, match=rf"t\.csv: .*{why}"):
        load_settings(tmp_path / "badc.toml")


def test_tables_that_are_only_recommended_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts" / "reviews"
    folder.mkdir(parents=True)
    (folder / "thresholds.csv").write_text("label,threshold\nWren,0.2\n")
    for name in ("thresholds_file", "calibration_file"):
        given = {"detector": {name: "artifacts/x/../reviews/thresholds.csv"}}
        with pytest.raises(ConfigInvalid, match=f"detector.{name}.*badc review apply"):
            load_settings(tmp_path / "badc.toml", given)


def test_thresholds_of_a_file_are_settings_below_those_in_the_settings_themselves(tmp_path) -> None:
    (tmp_path / "t.csv").write_text("label,threshold\nWren,0.2\nOvenbird,0.9\n")
    (tmp_path / "badc.toml").write_text(
        "[detector]\nthresholds_file = 't.csv'\nthresholds = {ovenbird = 0.5, Moa = 0.6}\n"
    )
    detector = load_settings(tmp_path / "badc.toml").detector
    assert detector.thresholds == {"Wren": 0.2, "ovenbird": 0.5, "Moa": 0.6}
    assert detector.lowest_score == 0.2
    assert detector.stored_inputs()["thresholds"] == {}, "no such table in every file of results"
    assert detector.stored_inputs()["thresholds_file"] == "t.csv"
    low = {"detector": {"name": "hawkears", "min_score": 0.3}}
    with pytest.raises(ConfigInvalid, match=r"t\.csv: .*below min_score.*hawkears"):
        load_settings(tmp_path / "badc.toml", low)
    (tmp_path / "t.csv").unlink()
    with pytest.raises(ConfigInvalid, match="there is no such file of thresholds"):
        load_settings(tmp_path / "badc.toml")
