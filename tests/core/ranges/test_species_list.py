"""Lists of species as people have them."""

from pathlib import Path

import pytest

from badc_core.detectors.interface import Label
from badc_core.errors import ConfigInvalid
from badc_core.ranges.species_list import ListedSpecies

OVENBIRD = Label("Ovenbird", "OVEN", "Seiurus aurocapilla")
MYRTLE = Label("Yellow-rumped Warbler", "MYWA", "Setophaga coronata")
DUCK = Label("M\u00e9nard's Duck", "MEDU", "Anas menardi")
WREN = Label("Cactus Wren", "CACW", "Campylorhynchus brunneicapillus")
ENGINE = Label("Engine")
LABELS = (OVENBIRD, MYRTLE, DUCK, WREN, ENGINE)
THREE = [True, True, True, False, None]

EBIRD = """Submission ID,Common Name,Scientific Name,Count
S1,Ovenbird,Seiurus aurocapilla,2
S1,Yellow-rumped Warbler (Myrtle),Setophaga coronata coronata,X
S2,"M\u00e9nard's Duck",Anas menardi,1
"""


def expected(path: Path, content: bytes | str) -> list[bool | None]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = ListedSpecies.read(path)
    return [found.expects(one) for one in LABELS]


@pytest.mark.parametrize(
    "content",
    [
        "Seiurus aurocapilla_Ovenbird\nSetophaga coronata_Yellow-rumped Warbler\nAnas menardi_\n",
        "# of our valley\nOvenbird\n\n  yellow-rumped   WARBLER \nM\u00e9nard's Duck",
        "\ufeffSeiurus aurocapilla\r\nSetophaga coronata\r\nAnas menardi\r\n",
        "Ovenbird\nYellow-rumped Warbler\nM\u00e9nard's Duck\n".encode("cp1252"),
        EBIRD,
        EBIRD.replace(",", ";").encode("utf-8-sig"),
        "code\nOVEN\nmywa\nMEDU\n",
        "scientific_name\tnotes\nSeiurus aurocapilla\ta\nSetophaga coronata\nAnas menardi\tb\n",
    ],
    ids=["birdnet", "common", "scientific", "excel", "ebird", "semicolons", "codes", "tabs"],
)
def test_each_format_names_the_same_species(tmp_path: Path, content: bytes | str) -> None:
    assert expected(tmp_path / "list", content) == THREE


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "names no species"),
        ("# nothing\n", "names no species"),
        ("Common Name,Count\n", "names no species"),
        (b"\x81\x8d", "not a text file"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, content: bytes | str, why: str) -> None:
    with pytest.raises(ConfigInvalid, match=why):
        expected(tmp_path / "list", content)
    with pytest.raises(ConfigInvalid, match="no such list"):
        ListedSpecies.read(tmp_path / "absent")


def test_names_that_a_detector_lacks_are_counted_and_three_of_them_named(tmp_path) -> None:
    path = tmp_path / "list"
    path.write_text("Ovenbird\nGreat Auk\nDodo\nMoa\nRoc\n")
    remark = ListedSpecies.read(path).compare(LABELS, "birdnet")
    assert remark.endswith("birdnet does not know 4 of its 5 species, such as Great Auk, Dodo, Moa")
    path.write_text("Ovenbird\n")
    assert ListedSpecies.read(path).compare(LABELS, "birdnet") == ""
    path.write_text("amerob\ngrycat\n")
    with pytest.raises(ConfigInvalid, match="birdnet knows none of its species, such as amerob"):
        ListedSpecies.read(path).compare(LABELS, "birdnet")
