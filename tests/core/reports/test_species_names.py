"""Species names in the language of those who read a report, from the installed lists of names."""

import json
from importlib import metadata

import pytest
from support.commands import run_typed
from typer import Typer

from badc_core.cli.report import report
from badc_core.corpus.building import build_corpus
from badc_core.datasets.dataset import Dataset
from badc_core.errors import ConfigInvalid, PackageMissing
from badc_core.reports.bundle import write_bundle
from badc_core.site.writing import write_site
from badc_core.species_names import LANGUAGES, SpeciesNames, find_names
from badc_core.stages.fingerprints import Fingerprints

FOUND = [
    (0.0, 3.0, "American Crow", "Corvus brachyrhynchos", 0.9),
    (3.0, 6.0, "My Own Owl", "Strix nobodyi", 0.5),
]


@pytest.fixture(autouse=True)
def _lists_of_names(lacking):
    try:
        metadata.distribution("birdnet-analyzer")
    except metadata.PackageNotFoundError:
        lacking("the package birdnet-analyzer: pip install --no-deps birdnet-analyzer==2.4.0")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_that_can_be_chosen_has_names(language):
    names = SpeciesNames.read(language)
    assert len(names.by_scientific_name) > 500
    assert find_names(language).is_file()


@pytest.mark.parametrize(
    ("language", "crow", "dog"),
    [
        ("", "American Crow", "Dog"),
        ("de", "Amerikakrähe", "Hund"),
        ("fr", "Corneille d'Amérique", "Chien"),
        ("en_uk", "American Crow", "Dog"),
    ],
)
def test_a_species_goes_by_its_scientific_name_and_a_sound_by_its_own(language, crow, dog):
    names = SpeciesNames.read(language)
    assert names.of("American Crow", "Corvus brachyrhynchos") == crow
    assert names.of("CROW", "Corvus brachyrhynchos") == (crow if language else "CROW")
    assert names.of("Dog", None) == dog


def test_what_has_no_name_in_a_language_keeps_its_own():
    korean = SpeciesNames.read("ko")  # which lists this one as Yellow Warbler
    assert korean.of("American Yellow Warbler", "Setophaga petechia") == "American Yellow Warbler"
    assert SpeciesNames.read("de").of("My Own Owl", "Strix nobodyi") == "My Own Owl"


def in_language(workbench, language):
    return Dataset.open(workbench.dataset.root, {"report": {"language": language}})


def test_the_page_of_a_recording_says_the_name(workbench):
    workbench.add("a", found=FOUND)
    dataset = in_language(workbench, "de")
    write_bundle(dataset, "a")
    page = dataset.bundle("a").html.read_text().replace('data-label="American Crow"', "")
    assert "Amerikakrähe" in page
    assert "American Crow" not in page
    assert "My Own Owl" in page


def test_pages_about_the_dataset_and_its_species_say_the_name(workbench):
    workbench.add("a", found=FOUND)
    build_corpus(workbench.dataset, ["a"], {})
    dataset = in_language(workbench, "de")
    write_site(dataset)
    pages = [dataset.corpus.html, *dataset.corpus.stations.iterdir()]
    for page in [*pages, *dataset.corpus.species.iterdir()]:
        assert "American Crow" not in page.read_text(), page
    for page in pages:
        assert "Amerikakrähe" in page.read_text(), page
    summary = (dataset.corpus.summary / "label_summary.csv").read_text()
    assert "American Crow" in summary


def test_the_terminal_says_the_name_and_json_the_detectors(workbench):
    workbench.add("a", found=FOUND)
    build_corpus(workbench.dataset, ["a"], {})
    (workbench.dataset.root / "badc.toml").write_text('[report]\nlanguage = "de"\n')
    app = Typer()
    app.command()(report)
    assert "Amerikakrähe" in run_typed(app, workbench.dataset.root).output
    result = json.loads(run_typed(app, workbench.dataset.root, "--json").stdout)
    assert [one["label"] for one in result["species"]] == ["American Crow", "My Own Owl"]


def test_another_language_renews_pages_and_nothing_else(workbench):
    before = Fingerprints(workbench.dataset)
    after = Fingerprints(in_language(workbench, "fr"))
    changed = {
        one
        for one in ("recording", "chunk_manifest", "raw_detections", "detections", "report_bundle")
        if before.settings_hash(one) != after.settings_hash(one)
    }
    assert changed == {"report_bundle"}


def test_an_unknown_language_is_answered_with_those_there_are(workbench):
    with pytest.raises(ConfigInvalid) as caught:
        in_language(workbench, "klingon")
    assert "report.language" in caught.value.what
    assert "de, el, en_uk, es" in caught.value.what


def test_without_the_lists_the_command_that_installs_them_is_given(monkeypatch):
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(PackageMissing, match="pip install --no-deps birdnet-analyzer"):
        SpeciesNames.read("de")
