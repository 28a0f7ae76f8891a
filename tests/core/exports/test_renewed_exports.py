"""Exporting again: what is other is written, and nobody's corrections are lost."""

import dataclasses
import os
from typing import get_args

import pytest
from support.commands import run_badc
from support.export_bench import Put

from badc_core.errors import ContentMissing, OutputUnwritable
from badc_core.export_settings import ExportName
from badc_core.exports import folder as export_folder
from badc_core.exports import raven
from badc_core.exports.formats import FORMATS
from badc_core.stages.export_outputs import read_listing

ONE_EACH = ("raven", "audacity", "birdnet", "guano")
LONG_AGO_NS = 1_600_000_000_000_000_000


def rest_in_soaks(forms, *quick):
    """Returns cases of formats, of which all but some are for `make test-all`."""
    return [one if one in quick else pytest.param(one, marks=pytest.mark.soak) for one in forms]


@pytest.fixture
def marsh(bench):
    """Returns a dataset of three recordings, one of which is of another station and month."""
    bench.add("a", "2024-06-01 05:30:00", 60, [Put(0, 3)])
    bench.add("b", "2024-06-02 05:30:00", 60)
    bench.add("c", "2024-07-01 05:30:00", 60, [Put(3, 6)], location="RIDGE")
    return bench


def age(folder):
    """Gives all files an old time, and returns what tells which are replaced."""
    for one in folder.iterdir():
        os.utime(one, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return {one.name for one in folder.iterdir()}


def replaced(folder):
    return {one.name for one in folder.iterdir() if one.stat().st_mtime_ns != LONG_AGO_NS}


def of(form, recording_id):
    return f"{recording_id}{FORMATS[form].ending}"


def test_every_format_has_a_name_in_the_settings():
    assert tuple(FORMATS) == get_args(ExportName)
    assert {form for form, one in FORMATS.items() if one.ending} == set(ONE_EACH)


@pytest.mark.parametrize("form", rest_in_soaks(FORMATS, "raven", "wildtrax", "occupancy"))
def test_nothing_is_written_where_nothing_has_changed(marsh, form):
    folder = marsh.export(form).folder
    age(folder)
    again = marsh.export(form)
    assert (again.files_written, replaced(folder)) == (0, set())
    assert (again.recordings, again.detections) == (3, 2)


@pytest.mark.parametrize("form", rest_in_soaks(ONE_EACH, "raven"))
@pytest.mark.parametrize("is_remembered", [True, False])
def test_one_new_recording_costs_one_file(marsh, form, is_remembered):
    folder = marsh.export(form).folder
    age(folder)
    marsh.add("d", "2024-06-03 05:30:00", 60, [Put(0, 3)])
    if not is_remembered:
        for one in (marsh.dataset.work_folder / "exports").glob("*.json"):
            one.unlink()
    written = marsh.export(form)
    assert replaced(folder) == {of(form, "d"), "recordings.csv", "provenance.json"}
    assert (written.files, written.files_written) == (4, 1)
    assert (written.recordings, written.detections) == (4, 3)
    rows = (folder / "recordings.csv").read_text(encoding="utf-8").splitlines()
    assert [row.rsplit(",", 2)[1:] for row in rows[1:]] == [
        ["60.0", n] for n in ("1", "0", "1", "1")
    ]


def test_only_recordings_of_changed_parts_are_read(marsh, monkeypatch):
    marsh.export("raven")
    marsh.add("d", "2024-06-03 05:30:00", 60, [Put(0, 3)])
    read = []

    def note(source, folder):
        read.extend(one.recording.recording_id for one in source.read())

    marsh.export("audacity")  # builds the corpus
    monkeypatch.setitem(FORMATS, "raven", type(FORMATS["raven"])("", note, raven.ENDING))
    marsh.export("raven")
    assert read == ["a", "b", "d"]


def test_the_file_of_a_recording_that_is_gone_or_not_chosen_is_removed(marsh):
    folder = marsh.export("raven").folder
    marsh.export("raven", station=("MARSH",))
    assert not (folder / of("raven", "c")).exists()
    marsh.names.remove("b")
    assert marsh.export("raven").files_written == 1
    assert {one.name for one in folder.glob("*.txt")} == {of("raven", "a"), of("raven", "c")}


def correct(marsh, folder, recording_id="a"):
    """Corrects a table as somebody does in Raven."""
    corrected = folder / of("raven", recording_id)
    text = corrected.read_text(encoding="utf-8").replace("Blue Jay", "Grey Jay")
    corrected.write_text(text, encoding="utf-8")
    return corrected


def test_a_corrected_file_is_refused_by_name_before_anything_is_written(marsh):
    folder = marsh.export("raven").folder
    corrected = correct(marsh, folder)
    marsh.names.remove("a")
    marsh.add("a", "2024-06-01 05:30:00", 60, [Put(0, 3), Put(6, 9)])
    marsh.add("d", "2024-06-03 05:30:00", 60)
    age(folder)
    with pytest.raises(OutputUnwritable) as refused:
        marsh.export("raven")
    assert str(refused.value).startswith(
        f"{corrected}: was changed since BADC wrote it; nothing is exported. Move it elsewhere, "
    )
    with pytest.raises(OutputUnwritable, match=r"--station MARSH --min-score 0\.4 --overwrite"):
        marsh.export("raven", station=("MARSH",), min_score=0.4)
    assert replaced(folder) == set()
    assert not (folder / of("raven", "d")).exists()
    marsh.export("raven", overwrites=True)
    assert "Blue Jay" in corrected.read_text(encoding="utf-8")
    assert marsh.export("raven").files_written == 0


def test_a_corrected_file_that_would_not_be_written_stays_and_others_are_written(marsh):
    folder = marsh.export("raven").folder
    corrected = correct(marsh, folder)
    marsh.add("d", "2024-06-03 05:30:00", 60)
    for n_new in (1, 0):
        written = marsh.export("raven")
        assert written.files_written == n_new
        assert written.notes == (f"1 file that somebody changed left as it is: {of('raven', 'a')}",)
        assert "Grey Jay" in corrected.read_text(encoding="utf-8")
    assert marsh.export("raven", overwrites=True).files_written == 1
    assert "Blue Jay" in corrected.read_text(encoding="utf-8")


@pytest.mark.parametrize("changes_results", [True, False])
def test_a_file_that_somebody_saves_meanwhile_is_not_lost(marsh, monkeypatch, changes_results):
    folder = marsh.export("raven").folder
    if changes_results:
        marsh.names.remove("a")
        marsh.add("a", "2024-06-01 05:30:00", 60, [Put(0, 3), Put(6, 9)])
    marsh.export("audacity")  # builds the corpus
    true = FORMATS["raven"]

    def write(source, aside):
        true.write(source, aside)
        correct(marsh, folder)

    monkeypatch.setitem(FORMATS, "raven", dataclasses.replace(true, write=write))
    if changes_results:
        with pytest.raises(OutputUnwritable, match="changed while the export was written"):
            marsh.export("raven")
    else:
        marsh.export("raven")
    monkeypatch.undo()
    assert "Grey Jay" in (folder / of("raven", "a")).read_text(encoding="utf-8")
    if changes_results:
        with pytest.raises(OutputUnwritable, match="was changed since BADC wrote it"):
            marsh.export("raven")
    else:
        assert "left as it is" in marsh.export("raven").notes[0]


def test_a_corrected_table_of_all_recordings_is_refused_and_overwritten_where_asked(marsh):
    table = marsh.export("study_area").folder / "all.csv"
    table.write_text("mine\n", encoding="utf-8")
    marsh.add("d", "2024-06-03 05:30:00", 60, [Put(0, 3)])
    marsh.export("audacity")  # builds the corpus
    root = marsh.dataset.root
    done = run_badc("export", "study_area", root, folder=root, code=1)
    said = " ".join(done.stderr.split())
    assert "all.csv: was changed since BADC wrote it" in said
    assert "--overwrite" in said
    assert table.read_text(encoding="utf-8") == "mine\n"
    done = run_badc("export", "study_area", root, "--overwrite", folder=root)
    assert done.stdout.startswith("4 recordings, 3 detections, 1 file: ")
    assert "Blue Jay" in table.read_text(encoding="utf-8")


def test_a_file_that_was_moved_away_is_written_again(marsh):
    folder = marsh.export("raven").folder
    (folder / of("raven", "b")).rename(folder / "mine.txt")
    assert marsh.export("raven").files_written == 1
    assert (folder / of("raven", "b")).exists()
    assert (folder / "mine.txt").exists()


def test_a_process_that_is_killed_meanwhile_leaves_nothing_that_counts_as_corrected(
    marsh, monkeypatch
):
    folder = marsh.export("audacity").folder
    marsh.dataset.audio("audio/MARSH").mkdir(parents=True, exist_ok=True)
    marsh.export("audacity", folder, min_score=0.9)
    age(folder)
    true = export_folder.replacing
    left = ["first"]

    def killed(path, **named):
        if path.suffix == ".txt" and not left:
            raise KeyboardInterrupt
        if path.suffix == ".txt":
            left.pop()
        return true(path, **named)

    monkeypatch.setattr(export_folder, "replacing", killed)
    with pytest.raises(KeyboardInterrupt):
        marsh.export("audacity", folder)
    monkeypatch.undo()
    assert read_listing(folder).replaced
    assert marsh.export("audacity", folder).files_written == 1
    assert not read_listing(folder).replaced
    assert marsh.export("audacity", folder).files_written == 0


def test_an_export_whose_list_is_elsewhere_is_not_taken_for_somebody_elses(marsh):
    listed = marsh.export("raven").folder / "provenance.json"
    content = listed.read_bytes()
    listed.unlink()
    listed.symlink_to("../../../.git/annex/objects/elsewhere.json")
    with pytest.raises(ContentMissing, match=r"provenance\.json"):
        marsh.export("raven")
    listed.unlink()
    listed.write_bytes(content)
    assert marsh.export("raven").files_written == 0
