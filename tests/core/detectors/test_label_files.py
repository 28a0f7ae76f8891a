"""What the classes of a lab's own model may be written as."""

from pathlib import Path

import pytest

from badc_core.detectors.interface import Label
from badc_core.detectors.label_files import read_labels
from badc_core.errors import ConfigInvalid, DetectorMissing


def read(tmp_path: Path, text: str, name: str = "labels.txt") -> tuple[Label, ...]:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_labels(path)


def test_lines_are_names_or_birdnets_pairs_of_names(tmp_path: Path) -> None:
    text = "Seiurus aurocapilla_Ovenbird\r\nRain \nNoise_Noise\nLithobates\u00a0_Frog, a\n\n\n"
    assert read(tmp_path, text) == (
        Label("Ovenbird", scientific_name="Seiurus aurocapilla"),
        Label("Rain"),
        Label("Noise"),
        Label("Frog, a", scientific_name="Lithobates\u00a0"),
    )


def test_a_table_may_have_its_columns_in_any_order_and_others_too(tmp_path: Path) -> None:
    text = (
        "\ufeffindex,Scientific_Name,code,NAME\r\n"
        '0,Seiurus aurocapilla,OVEN,"Ovenbird, a"\r\n'
        "1,,RAIN,\r\n"
        "2,Poecile atricapillus,,\r\n"
    )
    assert read(tmp_path, text, "labels.CSV") == (
        Label("Ovenbird, a", "OVEN", "Seiurus aurocapilla"),
        Label("RAIN", "RAIN"),
        Label("Poecile atricapillus", "", "Poecile atricapillus"),
    )


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.txt", "", "it names no classes"),
        ("a.txt", " \n\n", "it names no classes"),
        ("a.csv", "", "its first line names none of the columns name, code, scientific_name"),
        ("a.csv", "Ovenbird\nRain\n", "its first line names none of the columns"),
        ("a.csv", "name,code\n", "it names no classes"),
        ("a.txt", "Ovenbird\n\nRain\n", "line 2 names no class"),
        ("a.csv", "name,code\nOvenbird,OVEN\n,\n", "line 3 names no class"),
        ("a.txt", "Rain\nWind\nRain\n", "line 3 names the same class as line 1: Rain"),
        ("a.csv", "name,code\nWren, Winter,WIWR\n", "line 2 has 3 cells, the first line 2"),
        ("a.csv", "name\nRain\nWren,\n", "line 3 has 2 cells, the first line 1"),
        ("a.csv", "name,code,scientific_name\nOVEN,Seiurus\n", "line 2 has 2 cells, the first li"),
        ("a.csv", "name,code\n\nRain,R\n", "line 2 names no class"),
        ("a.csv", f"name\nRain\n{'x' * 140_000}\n", r"line 3 cannot be read as a table \(field la"),
        ("a.csv", f"{'x' * 140_000}\nRain\n", r"line 1 cannot be read as a table \(field larger"),
        ("a.txt", b"\xff\xfe\x00", "not a text file in UTF-8"),
    ],
)
def test_a_file_without_a_name_for_each_class_is_refused(
    tmp_path: Path, name: str, text: str, complaint: str
) -> None:
    with pytest.raises(ConfigInvalid, match=rf"{name}: {complaint}.*\. [A-Z]"):
        read(tmp_path, text, name)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DetectorMissing, match=r"absent\.txt: there is no such file of labels"):
        read_labels(tmp_path / "absent.txt")
    with pytest.raises(DetectorMissing, match=r"cannot be read \(Is a directory\)"):
        read_labels(tmp_path)
