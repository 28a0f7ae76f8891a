"""What somebody should look at before trusting a dataset's results."""

from datetime import datetime, timedelta

from badc_core.corpus.building import build_corpus
from badc_core.corpus.reading import open_corpus
from badc_core.site.concerns import CLOCKS, FILES, MICROPHONES, TWICE, find_concerns

START = datetime(2024, 5, 14, 5, 30)
NOTHING = {"first": START, "dead_s": 0.0, "n_dead": 0}


def find(workbench, names, totals=NOTHING, gone=()):
    build_corpus(workbench.dataset, names, {})
    with open_corpus(workbench.dataset) as connection:
        return find_concerns(connection, totals, gone)


def test_a_dataset_with_nothing_to_look_at_has_no_concerns(workbench):
    workbench.add("a", start_local=START)
    workbench.add("b", start_local=START + timedelta(minutes=2), location="Étang 7")
    assert find(workbench, ["a", "b"]) == {}


def test_recordings_of_one_station_at_once_are_a_doubt_about_clocks(workbench):
    later = START + timedelta(seconds=60)
    workbench.add("a", start_local=START)
    workbench.add("b", start_local=later)
    (one,) = find(workbench, ["a", "b"])[CLOCKS]
    assert (one.recordings, one.example) == (2, "a")
    assert "such as with b" in one.text
    workbench.add("c", start_local=START + timedelta(seconds=120))
    (one,) = find(workbench, ["a", "b", "c"])[CLOCKS]
    assert one.recordings == 3
    assert "2 times" in one.text
    workbench.add("b", start_local=later, location="Elsewhere")
    assert find(workbench, ["a", "b"]) == {}
    for name, serial, start in (("a", "1", START), ("b", "2", later)):
        workbench.add(name, start_local=start, device_serial=serial)
    assert find(workbench, ["a", "b"]) == {}, "two recorders made them"


def test_copies_of_a_recording_are_said_to_count_twice(workbench):
    for name in "abc":
        workbench.add(name, start_local=START, sha256="ab" * 32)
    found = find(workbench, list("abc"))
    (one,) = found[TWICE]
    assert (one.recordings, one.example) == (2, "c")
    assert "such as of a" in one.text
    assert CLOCKS not in found, "copies start at the same time"


def test_sentences_are_grouped_by_what_may_be_wrong(workbench):
    said = {
        "Channel 1 of 2 is silent: check its microphone and cable.": MICROPHONES,
        "1.5% of the samples are clipped.": MICROPHONES,
        "The file name says it starts at 05:30, guano at 07:30.": CLOCKS,
        "Its header says 3 bytes more than there are.": FILES,
    }
    workbench.add("a", start_local=START, warnings=tuple(said))
    found = find(workbench, ["a"], gone=("x", "y"))
    assert {one.text: kind for kind, own in found.items() for one in own if one.example} == said
    assert found[FILES][0].text.startswith("The files of 2 recordings are gone, such as x.")
