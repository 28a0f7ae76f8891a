"""Tables for WildTrax and opensoundscape, a data package, and GUANO: worked out by hand."""

import csv
import json

import pytest
from support.export_bench import JAY, WREN, Put

from badc_core.recordings.guano import interpret_guano, parse_guano


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_columns_for_wildtrax_are_those_of_wildrtrax(bench):
    """As `wt_make_aru_tasks` and `wt_songscope_tags` of wildrtrax name and order them."""
    bench.add("a", "2024-06-01 05:30:00", 60)
    folder = bench.export("wildtrax").folder
    assert (folder / "tasks.csv").read_text().splitlines()[0] == (
        "location,recording_date_time,task_method,recording_sample_frequency,task_duration,"
        "task_is_complete,observer,task_comments,internal_task_id"
    )
    assert (folder / "tags.csv").read_text() == (
        "location,recording_date_time,task_method,task_duration,observer,species_code,"
        "individual_number,vocalization,abundance,tag_start_time,tag_duration,min_tag_freq,"
        "max_tag_freq,species_individual_comments,tag_is_hidden_for_verification,"
        "recording_sample_frequency,internal_tag_id\n"
    )


def test_tags_for_wildtrax_fit_their_tasks(bench):
    found = [Put(0, 3, code="BLJA"), Put(9, 12, code="BLJA"), Put(1798, 1801, code="BLJA")]
    bench.add("a", "2024-06-01 05:30:00", 3600, [*found, Put(1799, 1802, WREN, code="CACW")])
    bench.add("b", "2024-06-02 05:30:00", 90.7)
    bench.add("c", None, 60, [Put(0, 3, code="BLJA")])
    written = bench.export("wildtrax")
    tasks = read(written.folder / "tasks.csv")
    assert [(one["recording_date_time"], one["task_duration"]) for one in tasks] == [
        ("2024-06-01 05:30:00", "1799"),
        ("2024-06-02 05:30:00", "90"),
    ]
    tags = read(written.folder / "tags.csv")
    assert [(one["tag_start_time"], one["tag_duration"]) for one in tags] == [
        ("0.1", "2.9"),
        ("9.0", "3.0"),
        ("1798.0", "1.0"),
    ]
    assert [one["individual_number"] for one in tags] == ["1", "2", "3"]
    assert {one["species_code"] for one in tags} == {"BLJA"}
    assert written.notes == (
        "1 recording left out, since the clock is not known: c",
        "1 tag left out: they begin after their task ends",
    )


def test_tags_at_the_edges_of_a_short_recording_last_or_are_left_out(bench):
    found = [Put(0, 0.08, code="BLJA"), Put(0.15, 3, code="BLJA"), Put(9.2, 9.4, code="BLJA")]
    bench.add("a", "2024-06-01 05:30:00", 9.5, found)
    written = bench.export("wildtrax")
    tags = read(written.folder / "tags.csv")
    assert [(one["tag_start_time"], one["tag_duration"]) for one in tags] == [
        ("0.1", "0.1"),
        ("0.15", "2.85"),
    ]
    assert written.notes == ("1 tag left out: they begin after their task ends",)


def test_names_in_place_of_codes_are_said_to_be_such(bench):
    bench.add("a", "2024-06-01 05:30:00", 60, [Put(0, 3)])
    assert bench.export("wildtrax").notes == (
        "species_code has names, since the detector has no codes",
    )


def test_clips_have_the_best_score_of_what_is_in_them_and_none_where_nobody_listened(bench):
    joined, half = Put(3, 9, WREN, 0.5), Put(10.5, 13.5, score=0.9)
    bench.add("a", "2024-06-01 05:30:00", 14, [Put(0, 3), joined, half, Put(12, 14, score=0.4)])
    bench.add("b", None, 64, failed=[0])
    bench.add("c", None, 2)
    folder = bench.export("opensoundscape").folder
    with (folder / "clips.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["file", "start_time", "end_time", "Blue Jay", "Cactus Wren"]
    a, b, c = (f"audio/MARSH/{name}.wav" for name in "abc")
    assert [row[:1] + [float(one) for one in row[1:]] for row in rows] == [
        [a, 0, 3, 0.8, 0],
        [a, 3, 6, 0, 0.5],
        [a, 6, 9, 0, 0.5],
        [a, 9, 12, 0.9, 0],
        [a, 12, 14, 0.9, 0],
        [b, 60, 63, 0, 0],
        [b, 63, 64, 0, 0],
        [c, 0, 2, 0, 0],
    ]


def test_a_data_package_links_stations_recordings_and_detections(bench):
    place = {"latitude": 55.5, "longitude": -114.25, "study_area": "North"}
    # Two hours after the start clocks go back.
    bench.add("a", "2024-11-03 00:30:00", 7200, [Put(0, 3), Put(7000, 7003, WREN)], **place)
    bench.add("b", "2024-11-04 00:30:00", 90, failed=[1], **place)
    bench.add("c", "2024-11-04 00:30:00", 90)
    written = bench.export("camtrap")
    folder = written.folder
    (deployment,) = read(folder / "deployments.csv")
    assert list(deployment.values()) == [
        *("North/MARSH", "MARSH", "55.5", "-114.25"),
        *("2024-11-03T00:30:00-06:00", "2024-11-04T00:31:30-07:00", "North"),
    ]
    assert [one["mediaID"] for one in read(folder / "media.csv")] == ["a", "b"]
    jay, wren, blank = read(folder / "observations.csv")
    assert (jay["scientificName"], jay["eventStart"]) == (JAY[1], "2024-11-03T00:30:00-06:00")
    assert (wren["eventStart"], wren["observationType"]) == ("2024-11-03T01:26:40-07:00", "animal")
    assert (wren["classifiedBy"], wren["classificationProbability"]) == ("birdnet 2.4", "0.8")
    assert (blank["mediaID"], blank["observationType"]) == ("b", "blank")
    assert blank["observationComments"] == "60.0 s analysed"
    package = json.loads((folder / "datapackage.json").read_text(encoding="utf-8"))
    for one in package["resources"]:
        fields = [field["name"] for field in one["schema"]["fields"]]
        assert fields == (folder / one["path"]).read_text().splitlines()[0].split(",")
    assert "profile" not in package, "it does not claim to conform"
    assert written.notes == ("1 recording left out, since station, place or zone is not known: c",)


def test_a_recording_is_called_blank_only_if_nothing_at_all_was_found(bench):
    place = {"latitude": 55.5, "longitude": -114.25}
    bench.add("a", "2024-06-01 05:30:00", 60, [Put(0, 3, WREN, is_expected=False)], **place)
    bench.add("b", "2024-06-02 05:30:00", 60, [Put(0, 3)], **place)

    def kinds(**chosen):
        folder = bench.export("camtrap", **chosen).folder
        return [one["observationType"] for one in read(folder / "observations.csv")]

    assert kinds(species=("Blue Jay",)) == ["animal"]
    assert kinds(min_score=0.9) == []
    assert kinds(expected_only=True) == ["animal"]
    bench.add("c", "2024-06-03 05:30:00", 60, **place)
    assert kinds(since="2024-06-02") == ["animal", "blank"]


def test_a_species_that_was_not_found_where_it_was_looked_for_has_its_column(bench):
    bench.add("a", "2024-06-01 05:30:00", 6, [Put(0, 3, WREN)])
    bench.add("b", "2024-06-01 05:30:00", 6, [Put(0, 3)], location="RIDGE")
    chosen = {"species": ("Blue Jay",), "station": ("MARSH",)}
    clips = bench.export("opensoundscape", **chosen).folder / "clips.csv"
    assert list(read(clips)[0]) == ["file", "start_time", "end_time", "Blue Jay"]
    weak = bench.export("opensoundscape", species=("Blue Jay",), min_score=0.9).folder
    assert {one["Blue Jay"] for one in read(weak / "clips.csv")} == {"0"}
    history = bench.export("occupancy", **chosen).folder / "y_Blue_Jay.csv"
    assert read(history) == [{"site": "MARSH", "2024-06-01": "0"}]


def test_a_label_under_two_names_is_one(bench):
    """As when a list of species calls one otherwise than results from before."""
    old, new = ("Gray Jay", "Perisoreus canadensis"), ("Canada Jay", "Perisoreus canadensis")
    bench.add("a", "2024-06-01 05:30:00", 3, [Put(0, 3, old, code="CAJA")])
    bench.add("b", "2024-06-02 05:30:00", 3, [Put(0, 3, new, code="CAJA")])
    clips = bench.export("opensoundscape").folder / "clips.csv"
    assert clips.read_text().splitlines()[0] == "file,start_time,end_time,CAJA"
    assert [one["CAJA"] for one in read(clips)] == ["0.8", "0.8"]
    species = bench.export("occupancy").folder / "species.csv"
    assert [one["name"] for one in read(species)] == ["Canada Jay"]


@pytest.mark.parametrize("zone", ["America/Edmonton", None])
def test_guano_says_what_was_found_where_and_when(bench, zone):
    fields = {"latitude": 55.5, "longitude": -114.25, "device_make": "Open\nAcoustic"}
    name = ("Jay, Blue", None)
    bench.add(
        "a", "2024-06-01 05:30:00", 60, [Put(0, 3, name), Put(3, 6, name)], timezone=zone, **fields
    )
    bench.add("b", None, 60)
    folder = bench.export("guano").folder
    values = parse_guano((folder / "a.guano.txt").read_text(encoding="utf-8"))
    known = interpret_guano(values)
    assert known.clock.isoformat() == "2024-06-01T05:30:00"
    assert known.utc_offset_min == (-360 if zone else None)
    assert known.fields == {
        "latitude": 55.5,
        "longitude": -114.25,
        "device_make": "Open Acoustic",
    }
    assert values["Species Auto ID"] == "Jay Blue"
    found = json.loads(values["BADC|Detections"])
    assert found == [[0.0, 3.0, "Jay, Blue", 0.8], [3.0, 6.0, "Jay, Blue", 0.8]]
    empty = parse_guano((folder / "b.guano.txt").read_text(encoding="utf-8"))
    assert empty.keys() & {"Timestamp", "Species Auto ID"} == set()
    assert empty["BADC|Analysed Seconds"] == "60.0"
