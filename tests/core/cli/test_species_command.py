"""`badc species`, as it is typed: longitudes west of Greenwich begin with a dash."""

import json
import subprocess

import pytest
from support.commands import BADC, run_badc

from badc_core.detectors.interface import Label
from badc_core.ranges.species_list import ListedSpecies

pytestmark = pytest.mark.usefixtures("birdnet")


def badc(folder, *words: str) -> str:
    return run_badc("species", *words, folder=folder).stdout


def test_an_alberta_spring_has_ovenbirds_and_no_cactus_wrens(tmp_path):
    typed = [BADC, "species", "55", "-114", "19", "--json"]
    done = subprocess.run(typed, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    species = {one["common_name"]: one for one in found["species"]}
    assert found["week"] == 19
    assert "Cactus Wren" not in species
    assert species["Ovenbird"]["scientific_name"] == "Seiurus aurocapilla"
    values = [one["occurrence"] for one in found["species"]]
    assert values == sorted(values, reverse=True)
    assert values[-1] >= 0.03
    by_date = json.loads(badc(tmp_path, "55", "-114", "2024-05-15", "--json"))
    assert by_date == found
    table = badc(tmp_path, "55", "-114", "19")
    assert f"{len(species)} species at 55, -114 in week 19 of 48" in table
    assert "Seiurus aurocapilla" in table


def test_the_csv_is_a_list_of_species_that_can_be_read(tmp_path):
    text = badc(tmp_path, "42.5", "-76.45", "--csv")
    (tmp_path / "list.csv").write_text(text)
    listed = ListedSpecies.read(tmp_path / "list.csv")
    assert len(text.splitlines()) == 1 + 255  # measured with the model run by hand
    tanager = Label("Scarlet Tanager", scientific_name="Piranga olivacea")
    assert listed.expects(tanager)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("0", "0"), "nothing can be recorded at latitude 0, longitude 0"),
        (("-114", "55"), "nothing can be recorded at latitude -114, longitude 55"),
        (("55", "nan"), "nothing can be recorded at latitude 55, longitude nan"),
        (("55", "-114", "49"), "'49' is neither a week from 1 to 48 nor a date"),
        (("55", "-114", "May"), "'May' is neither a week from 1 to 48 nor a date"),
        (("55",), "Missing argument 'LON'"),
        (("55", "-114", "--treshold", "1"), "unexpected extra argument"),
    ],
)
def test_what_is_no_place_or_week_is_refused(tmp_path, words, why):
    done = run_badc("species", *words, folder=tmp_path, code=2)
    assert why in " ".join(done.stderr.split())
