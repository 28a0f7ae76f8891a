"""Files for Raven, Audacity, BirdNET's users and Kaleidoscope, and the CSV of study areas."""

import csv
import json
import shlex

import pandas as pd
import pytest
from support.commands import run_badc
from support.export_bench import JAY, WREN, Put

from badc_core.errors import DatasetInvalid, OptionInvalid, OutputUnwritable
from badc_core.exports.file_parts import name_parts
from badc_core.exports.formats import FORMATS
from badc_core.exports.writing import ExportOrder, write_export
from badc_core.hashing import sha256_file


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def marsh(bench):
    """Returns a dataset of a recording with two species and one in which nothing was found."""
    found = [Put(0, 3, code="BLJA", highest_hz=12_000), Put(6, 9, WREN, 0.5, is_expected=False)]
    bench.add("a", "2024-06-01 05:30:00", 100, found, study_area="North")
    bench.add("b", "2024-06-02 05:30:00", 100)
    return bench


def test_a_raven_table_has_the_columns_and_names_its_recording(marsh):
    written = marsh.export("raven")
    assert (written.files, written.recordings, written.detections) == (2, 2, 2)
    table = pd.read_csv(written.folder / "a.BADC.selection.table.txt", sep="\t")
    assert list(table.columns) == [
        *("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Common Name"),
        *("Scientific Name", "Species Code", "eBird Code", "Species", "Confidence"),
        *("File Offset (s)", "Low Freq (Hz)", "High Freq (Hz)", "Begin File", "Begin Path"),
    ]
    assert table["Species"].tolist() == ["BLJA", "Cactus Wren"]
    assert table["High Freq (Hz)"].tolist() == [8000, 8000], "12 kHz is above Nyquist"
    assert table["Begin Path"].tolist() == [str(marsh.dataset.root / "audio/MARSH/a.wav")] * 2
    text = (written.folder / "a.BADC.selection.table.txt").read_text(encoding="utf-8")
    assert "\t6.0000\t9.0000\tCactus Wren\t" in text
    empty = (written.folder / "b.BADC.selection.table.txt").read_text(encoding="utf-8")
    assert empty == text.splitlines(keepends=True)[0]


def test_an_audacity_track_has_labels_with_scores_and_may_be_empty(marsh):
    folder = marsh.export("audacity").folder
    text = (folder / "a.BADC.labels.txt").read_text(encoding="utf-8")
    assert text == "0.000\t3.000\tBLJA;0.800\n6.000\t9.000\tCactus Wren;0.500\n"
    assert not (folder / "b.BADC.labels.txt").read_bytes()


def test_a_path_with_two_spaces_stays_as_it_is(bench):
    bench.add("a", None, 10, [Put(0, 3)], location="Old  Marsh\u00a07")
    table = bench.export("raven").folder / "a.BADC.selection.table.txt"
    (path,) = pd.read_csv(table, sep="\t")["Begin Path"]
    assert path.endswith("/audio/Old  Marsh\u00a07/a.wav")


def test_tabs_and_lines_in_a_name_do_not_break_a_table(bench):
    bench.add("a", None, 10, [Put(0, 3, ("=Tab\tand\nline", None))])
    track = bench.export("audacity").folder / "a.BADC.labels.txt"
    assert track.read_text(encoding="utf-8") == "0.000\t3.000\t=Tab and line;0.800\n"
    table = bench.export("raven").folder / "a.BADC.selection.table.txt"
    assert pd.read_csv(table, sep="\t")["Common Name"].tolist() == ["=Tab and line"]
    (row,) = read(bench.export("study_area").folder / "all.csv")
    assert row["class_name"] == "'=Tab\tand\nline", "no spreadsheet evaluates it"


def test_a_table_for_birdnets_users_says_where_when_and_how(marsh):
    marsh.add("c", "2024-12-31 05:30:00", 10, [Put(0, 3)], latitude=55.5, longitude=-114.25)
    folder = marsh.export("birdnet").folder
    (row,) = read(folder / "c.BirdNET.results.csv")
    assert (row["Scientific name"], row["Common name"]) == (JAY[1], JAY[0])
    assert (row["lat"], row["lon"], row["week"]) == ("55.5", "-114.25", "48")
    assert row["model"] == "birdnet 2.4"
    assert read(folder / "b.BirdNET.results.csv") == []


def test_kaleidoscopes_table_has_the_detections_clock_time(marsh):
    first, second = read(marsh.export("kaleidoscope").folder / "kaleidoscope.csv")
    assert (first["FOLDER"], first["IN FILE"]) == ("audio/MARSH", "a.wav")
    assert (second["OFFSET"], second["DURATION"]) == ("6.000", "3.000")
    assert (second["DATE"], second["TIME"]) == ("2024-06-01", "05:30:06")
    assert (second["TOP1MATCH"], second["TOP1DIST"]) == ("Cactus Wren", "0.5000")


def test_each_study_area_has_a_table_and_all_have_one(marsh):
    marsh.add("c", None, 10, [Put(0, 3)], study_area="north", location="=RIDGE")
    folder = marsh.export("study_area").folder
    assert sorted(one.name for one in folder.glob("[Nn]*.csv")) == ["North.csv", "north_2.csv"]
    every = read(folder / "all.csv")
    assert every == [*read(folder / "North.csv"), *read(folder / "north_2.csv")]
    assert every[1] == {
        "study_area": "North",
        "location": "MARSH",
        "recording_date_time": "2024-06-01 05:30:00",
        "filename": "a.wav",
        "start_time": "6.000",
        "end_time": "9.000",
        "class_name": "Cactus Wren",
        "class_code": "",
        "score": "0.5000",
        "is_expected": "False",
    }
    assert (every[2]["location"], every[2]["recording_date_time"]) == ("'=RIDGE", "")


def test_what_is_chosen_is_exported_and_what_has_nothing_of_it_stays(marsh):
    marsh.add("c", "2024-06-03 05:30:00", 10, [Put(0, 3)], location="RIDGE")

    def found(**chosen):
        written = marsh.export("audacity", **chosen)
        return written.recordings, written.detections

    assert found() == (3, 3)
    assert found(species=("cactus WREN",)) == (3, 1)
    assert found(species=(JAY[1],)) == (3, 2)
    assert found(min_score=0.6) == (3, 2)
    assert found(expected_only=True) == (3, 2)
    assert found(station=("RIDGE",)) == (1, 1)
    assert found(since="2024-06-02", until="2024-06-02") == (1, 0)
    assert found(since="20240602", until="20240602") == (1, 0)  # ISO 8601 without dashes
    for chosen, advice in (
        ({"species": ("Dodo",)}, "There are: "),
        ({"station": ("marsch",)}, "Perhaps: MARSH"),
        ({"since": "June"}, "Write it as"),
        ({"since": "2024-06-02", "until": "2024-06-01"}, "--since: .* is later than --until"),
    ):
        with pytest.raises(OptionInvalid, match=advice):
            marsh.export("audacity", **chosen)
    with pytest.raises(DatasetInvalid, match="no recording"):
        marsh.export("audacity", since="2025-01-01")


def test_recordings_on_which_no_model_ran_are_left_out_and_counted(marsh):
    marsh.add("s", "2024-06-03 05:30:00", 10, stub=True)
    written = marsh.export("raven")
    assert written.recordings == 2
    assert written.notes == ("1 recording left out, since no model ran: s",)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_says_what_it_was_made_from_and_is_the_same_again(marsh, form):
    marsh.add("c", "2024-06-03 05:30:00", 90, failed=[0])
    folder = marsh.export(form).folder
    told = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    (detector,) = told["detectors"]
    assert (detector["name"], detector["version"]) == ("birdnet", "2.4")
    assert detector["model_sha256"] == "ab" * 32
    assert (told["recordings"], told["detections"]) == (3, 2)
    files = {one.name for one in folder.iterdir()}
    assert files == {*told["files"], "provenance.json"}
    assert told["files"]["recordings.csv"] == sha256_file(folder / "recordings.csv")
    rows = {row["recording_id"]: row for row in read(folder / "recordings.csv")}
    assert [rows[one]["detections"] for one in "abc"] == ["2", "0", "0"]
    assert [rows[one]["analysed_s"] for one in "abc"] == ["100.0", "100.0", "30.0"]
    before = {one.name: one.read_bytes() for one in folder.iterdir()}
    write_export(marsh.dataset, ExportOrder(form))
    assert {one.name: one.read_bytes() for one in folder.iterdir()} == before


def test_what_is_not_of_an_export_is_neither_replaced_nor_mixed_with_one(marsh, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    thesis = folder / "thesis.txt"
    thesis.write_text("years of work")
    with pytest.raises(OutputUnwritable, match=r"has files, such as thesis\.txt"):
        marsh.export("raven", folder)
    thesis.unlink()
    marsh.export("raven", folder)
    thesis.write_text("years of work")
    (folder / "b.BADC.labels.txt").write_text("own labels")
    with pytest.raises(OutputUnwritable, match=r"b\.BADC\.labels\.txt: is in the way"):
        marsh.export("audacity", folder, overwrites=True)
    assert (folder / "a.BADC.selection.table.txt").exists(), "nothing was begun"
    (folder / "b.BADC.labels.txt").unlink()
    marsh.export("audacity", folder)  # in place of another export
    assert not (folder / "a.BADC.selection.table.txt").exists()
    assert thesis.read_text() == "years of work"


def test_the_command_exports_the_folder_it_is_typed_in(marsh):
    marsh.export("raven")
    root = marsh.dataset.root
    done = run_badc("export", "audacity", folder=root)
    place = root / "artifacts" / "exports" / "audacity"
    assert done.stdout == f"2 recordings, 2 detections, 2 files: {place}\n"
    done = run_badc("export", "parrot", root, folder=root, code=2)
    assert "no format is called 'parrot'" in " ".join(done.stderr.split())
    done = run_badc("export", root.name, "raven", folder=root.parent, code=2)
    assert "no format is called" in " ".join(done.stderr.split())
    done = run_badc("export", "raven", f"{root.name}s", folder=root.parent, code=1)
    hint = f"Did you mean: badc export raven {shlex.quote(root.name)}"
    assert hint in " ".join(done.stderr.split())
    assert json.loads(run_badc("export", "raven", "--json", folder=root).stdout)["files"] == 2


def test_without_a_corpus_one_line_says_what_to_run(bench):
    with pytest.raises(DatasetInvalid, match="no corpus yet"):
        write_export(bench.dataset, ExportOrder("raven"))


def test_parts_of_file_names_are_plain_and_different():
    parts = name_parts(["Étang 7", "etang_7", "..", "Wren/Jay", "all"], taken=["all"])
    assert list(parts.values()) == ["Etang_7", "etang_7_2", "unnamed", "Wren_Jay", "all_2"]
