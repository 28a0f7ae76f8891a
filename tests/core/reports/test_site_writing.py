"""Pages about stations and species: what is on them, and which are written again."""

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from badc_core.corpus.building import build_corpus
from badc_core.datasets.dataset import Dataset
from badc_core.errors import DatasetInvalid
from badc_core.reports.bundle import write_bundle
from badc_core.reports.corpus_damage import explain_corpus_damage
from badc_core.site import station_page
from badc_core.site.writing import write_site
from badc_core.stages.corpus_outputs import CORPUS_ASSETS, store_corpus_fingerprint

JAY, OWL = "Cyanocitta cristata", "Strix varia"


def add(workbench, name, station, found, day=14, **fields):
    """Adds two minutes from 05:00 on a day in May, with what was found in them."""
    start = datetime(2024, 5, day, 5)
    place = {"latitude": 53.55, "longitude": -113.47, "timezone": "America/Edmonton"}
    place |= {"utc_offset_min": -360, "study_area": None}
    rows = [(at, at + 3.0, label, science, 0.8) for at, label, science in found]
    utc = (start + timedelta(hours=6)).replace(tzinfo=UTC)
    moment = {"start_local": start, "start_utc": utc, "location": station}
    workbench.add(name, rows, **(place | moment | fields))


def refresh(workbench, *recording_ids):
    build_corpus(workbench.dataset, recording_ids, {})
    return write_site(workbench.dataset)


def named(pages):
    return sorted(re.sub("-[0-9a-f]{8}$", "", one.stem) for one in pages)


def read(page):
    """Returns the text of a page without its tags."""
    text = page.read_text(encoding="utf-8")
    text = re.sub("(?s)<style>.*?</style>|<script>.*?</script>|<svg.*?</svg>", "", text)
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", text))


@pytest.fixture
def two_stations(workbench):
    """Returns a dataset with jays at MARSH, and at RIDGE jays and an owl."""
    add(workbench, "m1", "MARSH", [(3.0, "Jay", JAY), (9.0, "Jay", JAY)])
    add(workbench, "m2", "MARSH", [], day=15)
    add(workbench, "r1", "RIDGE", [(6.0, "Jay", JAY), (60.0, "Owl", OWL), (66.0, "Owl", OWL)])
    return workbench


def test_a_stray_name_and_a_time_far_ahead_stop_nothing(two_stations):
    dataset = two_stations.dataset
    os.utime(dataset.detections("m1"), ns=(10**19, 10**19))  # the year 2286
    name = os.fsencode(dataset.bundle("caf").html).replace(b"caf", b"caf\xe9")
    Path(os.fsdecode(name)).touch()
    site = refresh(two_stations, "m1", "m2", "r1")
    assert named(site.written) == ["jay", "marsh", "owl", "ridge"]
    assert refresh(two_stations, "m1", "m2", "r1").written == []


def test_stations_and_species_have_pages_that_lead_to_one_another(two_stations):
    corpus = two_stations.dataset.corpus
    site = refresh(two_stations, "m1", "m2", "r1")
    assert named(site.written) == ["jay", "marsh", "owl", "ridge"]
    marsh = corpus.station_page(None, "MARSH")
    text = read(marsh)
    assert "1 species , 2 detections at or above 0.25 in 4 min 00 s analysed" in text
    assert "Jay Cyanocitta cristata 2 \N{EN DASH} 1 0.80" in text
    assert "Owl" not in text
    jay = corpus.species_page("Jay")
    text = read(jay)
    assert "3 detections at or above 0.25 in 2 recordings at 2 of 2 stations" in text
    assert "MARSH 2 \N{EN DASH} 1 of 2 0.80 RIDGE 1 \N{EN DASH} 1 of 1 0.80" in text
    for page in (marsh, jay):
        links = re.findall('href="([^"#]+)"', page.read_text(encoding="utf-8"))
        missing = [one for one in links if not (page.parent / one).exists()]
        assert links
        assert not missing


def test_every_recording_is_on_the_page_of_its_station(two_stations, monkeypatch):
    monkeypatch.setattr(station_page, "MOST_RECORDINGS", 1)  # 500 more would take a minute
    refresh(two_stations, "m1", "m2")
    text = read(two_stations.dataset.corpus.station_page(None, "MARSH"))
    busiest, others = text.split("2024-05: 1 other recording")
    assert "m1 2024-05-14 05:00" in busiest
    assert "m2" not in busiest
    assert "m2 15 05:00" in others


def test_one_recording_added_renews_the_pages_of_its_station_and_of_what_lives_there(two_stations):
    corpus = two_stations.dataset.corpus
    refresh(two_stations, "m1", "m2", "r1")
    pages = [corpus.station_page(None, "RIDGE"), corpus.species_page("Owl")]
    before = [one.stat().st_mtime_ns for one in pages]
    add(two_stations, "m3", "MARSH", [(30.0, "Jay", JAY)], day=16)
    site = refresh(two_stations, "m1", "m2", "r1", "m3")
    assert (named(site.written), site.n_unchanged) == (["jay", "marsh"], 2)
    assert [one.stat().st_mtime_ns for one in pages] == before
    assert "3 detections" in read(corpus.station_page(None, "MARSH"))
    again = refresh(two_stations, "m1", "m2", "r1", "m3")
    assert (again.written, again.removed, again.n_unchanged) == ([], [], 4)


def test_pages_of_what_is_gone_are_removed(two_stations):
    refresh(two_stations, "m1", "m2", "r1")
    site = refresh(two_stations, "m1", "m2")
    assert named(site.removed) == ["owl", "ridge"]
    corpus = two_stations.dataset.corpus
    assert named(corpus.list_pages()) == ["jay", "marsh"]
    assert "at 1 of 1 station" in read(corpus.species_page("Jay"))


def test_a_damaged_page_is_found_and_written_again_alone(two_stations):
    dataset = two_stations.dataset
    refresh(two_stations, "m1", "m2", "r1")
    for asset in CORPUS_ASSETS:
        store_corpus_fingerprint(dataset, asset, "x")
    assert explain_corpus_damage(dataset) == ""
    table = dataset.corpus.summary / "label_summary.csv"
    table.rename(dataset.root / table.name)
    assert "label_summary.csv is missing" in explain_corpus_damage(dataset)
    (dataset.root / table.name).rename(table)
    page = dataset.corpus.station_page(None, "RIDGE")
    whole = page.read_text(encoding="utf-8")
    for damaged in (whole[:-200], whole.replace("Owl", "Owls")):
        page.write_text(damaged, encoding="utf-8")
        assert "is missing or damaged" in explain_corpus_damage(dataset)
        assert named(write_site(dataset).written) == ["ridge"]
        assert page.read_text(encoding="utf-8") == whole
    page.unlink()
    assert "is missing or damaged" in explain_corpus_damage(dataset)
    assert named(write_site(dataset).written) == ["ridge"]


HOSTILE = ["a/b", "A/B", "<script>alert(1)</script>", "con", "x" * 300, "../../up", "%2e'\" #?&"]


def test_names_that_no_file_should_have_get_pages_of_their_own(workbench):
    for n, name in enumerate(HOSTILE):
        add(workbench, f"r{n}", name, [(3.0, name, name)], study_area=name)
    site = refresh(workbench, *(f"r{n}" for n in range(len(HOSTILE))))
    corpus = workbench.dataset.corpus
    assert len({str(one).lower() for one in site.written}) == 2 * len(HOSTILE)
    assert {one.parent for one in site.written} == set(corpus.page_folders)
    for name in HOSTILE:
        text = corpus.species_page(name).read_text(encoding="utf-8")
        assert "<script>alert" not in text
        address = re.search(r'<th scope="row"[^>]*><a href="([^"]+)">', text)[1]
        assert "%" not in address
        assert (corpus.species / address).resolve() == corpus.station_page(name, name).resolve()


def test_a_station_without_a_clock_or_a_place_has_a_page_without_maps(workbench):
    nowhere = {"start_local": None, "start_utc": None, "utc_offset_min": None, "timezone": None}
    nowhere |= {"latitude": None, "longitude": None}
    add(workbench, "a", None, [(3.0, "Jay", JAY)], **nowhere)
    refresh(workbench, "a")
    corpus = workbench.dataset.corpus
    text = read(corpus.station_page(None, None))
    assert "unknown station" in text
    assert "Coordinates are not known" in text
    assert "date and hour" not in text
    assert "When" not in read(corpus.species_page("Jay"))


def test_settings_that_pages_show_renew_them_all(two_stations, open_workbench):
    refresh(two_stations, "m1", "m2", "r1")
    other = open_workbench(report={"top_detections": 2}, detector={"min_score": 0.3})
    assert named(write_site(other.dataset).written) == ["jay", "marsh", "owl", "ridge"]


def test_no_page_with_clips_stays_where_speech_is_muted_even_if_none_can_be_written(workbench):
    add(workbench, "m1", "MARSH", [(3.0, "Jay", JAY)])
    write_bundle(workbench.dataset, "m1")
    site = refresh(workbench, "m1")
    corpus = workbench.dataset.corpus
    pages = [site.page, *site.written]
    assert all("<audio" in one.read_text(encoding="utf-8") for one in pages)
    muted = Dataset.open(workbench.dataset.root, {"speech": {"privacy": "mute"}})
    renewed = write_site(muted)
    assert sorted(renewed.written) == sorted(site.written)
    assert not any("<audio" in one.read_text(encoding="utf-8") for one in pages)
    assert write_site(muted).written == []  # muted pages stay
    write_site(workbench.dataset)
    assert all("<audio" in one.read_text(encoding="utf-8") for one in pages)
    corpus.duckdb.unlink()
    with pytest.raises(DatasetInvalid):
        write_site(muted)
    assert not any(one.exists() for one in pages)


def test_a_page_of_a_species_says_so_when_a_detector_has_replaced_the_stub_elsewhere(two_stations):
    owl = two_stations.dataset.corpus.species_page("Owl")
    add(two_stations, "m1", "MARSH", [(3.0, "Jay", JAY)], detector=("stub", "1+0.random"))
    refresh(two_stations, "m1", "m2", "r1")
    assert "Some of these results mean nothing" in read(owl)
    add(two_stations, "m1", "MARSH", [(3.0, "Jay", JAY)])
    assert named(refresh(two_stations, "m1", "m2", "r1").written) == ["jay", "marsh", "owl"]
    assert "mean nothing" not in read(owl)
