"""Clips on pages about many recordings, taken out of the pages of these."""

from urllib.parse import unquote

import pytest

from badc_core.corpus.building import build_corpus
from badc_core.corpus.reading import open_corpus
from badc_core.datasets.dataset import Dataset
from badc_core.reports.bundle import write_bundle
from badc_core.site.clips import choose_clips, find_candidates
from badc_core.site.read_once import read_once
from badc_core.site.recording_pages import RecordingPages

JAY = (0.0, 3.0, "Blue Jay", "Cyanocitta cristata")
JUNCO = (42.0, 45.0, "Dark-eyed <Junco>", "Junco hyemalis")
LIMITLESS = 10**9
PARTS = (("a", 1.0), ("b", 1.5))


@pytest.fixture
def stations(workbench) -> Dataset:
    """Returns a dataset of three recordings at two stations, with their pages."""
    for name, station, scores in (("a", "East", (0.9, 0.4)), ("b", "East", (0.8, 0.7))):
        found = [(*JAY, scores[0]), (*JUNCO, scores[1])]
        workbench.add(name, found=found, location=station)
    workbench.add("c", found=[(*JAY, 0.5)], location="West")
    for name in "abc":
        write_bundle(workbench.dataset, name)
    build_corpus(workbench.dataset, list("abc"), {})
    return workbench.dataset


def choose(dataset, per_label=2, max_bytes=LIMITLESS, labels=(JAY[2], JUNCO[2])):
    with open_corpus(dataset) as connection:
        candidates = find_candidates(connection, labels, per_label)
    return choose_clips(RecordingPages(dataset), candidates, per_label, max_bytes)


def names(clips):
    return [(one.source.label, one.source.recording_id) for one in clips]


def test_each_species_has_its_best_clip_before_any_has_a_second_one(stations):
    jay, junco = JAY[2], JUNCO[2]
    assert names(choose(stations, 1)) == [(jay, "a"), (junco, "b")]
    # The second is of another station, though another recording of the first has a better one.
    assert names(choose(stations, 2)) == [(jay, "a"), (junco, "b"), (jay, "c"), (junco, "a")]
    assert names(choose(stations, 9)) == [
        *((jay, "a"), (junco, "b"), (jay, "c"), (junco, "a"), (jay, "b"))
    ]
    assert names(choose(stations, 9, labels=[junco])) == [(junco, "b"), (junco, "a")]


def test_a_label_of_two_names_has_one_best_recording_at_a_station(stations):
    named = "CREATE VIEW counts_by_recording AS SELECT * REPLACE (recording_id AS label_name) FROM "
    with open_corpus(stations) as connection:
        connection.execute("ALTER VIEW counts_by_recording RENAME TO counted")
        connection.execute(f"{named} counted")
        found = find_candidates(connection, [JAY[2]], 2)
    places = [(one.recording_id, one.nth_of_station) for one in found]
    assert places == [("a", 1), ("c", 1), ("b", 2)]


def test_of_many_stations_each_has_one_recording_tried_and_the_best_come_first(workbench):
    scores = {f"{n}{part}": (n * 7 % 10 + step) / 12 for n in range(8) for part, step in PARTS}
    for name, score in scores.items():
        found = [(*JAY, score)] + [(3.0, 6.0, *JAY[2:], score)] * (name == "0a")
        workbench.add(name, found=found, location=f"Station {name[0]}")
    build_corpus(workbench.dataset, list(scores), {})
    best = sorted((f"{n}b" for n in range(8)), key=lambda one: -scores[one])
    with open_corpus(workbench.dataset) as connection:
        before = find_candidates(connection, [JAY[2]], 1)
        read_once(connection, 1, len(before))
        assert find_candidates(connection, [JAY[2]], 1) == before
        left = connection.execute("SELECT recording_id FROM counts_by_recording").fetchall()
    assert [(one.recording_id, one.nth_of_station) for one in before] == [(n, 1) for n in best[:5]]
    assert {one for (one,) in left} > {*best[:5], "0a"}
    assert len(left) < len(scores)


def test_a_clip_is_what_the_page_of_its_recording_shows(stations):
    clip = choose(stations, 1)[1]
    assert (clip.confidence, clip.start_ms, clip.detection_id) == (0.7, 42_000, "b-1")
    assert clip.heard_local is not None
    assert clip.heard_local.isoformat() == "2024-05-14T05:30:42"
    page = stations.bundle("b").html.read_text(encoding="utf-8")
    assert clip.picture in page
    assert clip.sound in page
    assert "data:image/png" in clip.picture
    assert "data:audio/mpeg" in clip.sound
    address, _, place = clip.address(stations.corpus.species).partition("#")
    assert (stations.corpus.species / unquote(address)).resolve() == stations.bundle("b").html
    assert f'id="{place}"' in page


def test_where_the_best_page_is_not_here_or_is_old_the_next_one_is_taken(stations):
    jay = JAY[2]
    stations.bundle("a").html.unlink()
    assert names(choose(stations, 1, labels=[jay])) == [(jay, "c")]
    annexed = stations.bundle("c").html
    annexed.unlink()
    annexed.symlink_to("../../.git/annex/objects/elsewhere.html")
    assert names(choose(stations, 1, labels=[jay])) == [(jay, "b")]
    page = stations.bundle("b").html
    page.write_text(page.read_text(encoding="utf-8").replace('"0.8000"', '"0.7999"'))
    assert choose(stations, 1, labels=[jay]) == ()


def test_no_clip_is_cut_out_of_a_page_that_was_replaced_meanwhile(stations):
    with open_corpus(stations) as connection:
        found = find_candidates(connection, [JAY[2]], 2)
    (best,) = (one for one in found if one.recording_id == "a")
    pages, page = RecordingPages(stations), stations.bundle("a").html
    assert pages.take(best) is not None
    page.write_text(page.read_text(encoding="utf-8").replace("<h1>", "<h1>The "))
    assert pages.take(best) is None


def test_no_more_clips_are_shown_than_there_is_room_for(stations):
    sizes = [one.size_bytes for one in choose(stations, 1)]
    assert names(choose(stations, 9, sum(sizes))) == names(choose(stations, 1))
    assert len(choose(stations, 9, sizes[0])) == 1
    assert choose(stations, 9, 1000) == ()


def test_no_clip_is_taken_of_a_page_that_speaks_where_speech_is_muted(stations):
    muted = Dataset.open(stations.root, {"speech": {"privacy": "mute"}})
    assert choose(stations) != ()
    assert choose(muted) == ()
