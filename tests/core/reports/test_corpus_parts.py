"""The parts of a corpus: which are written again, and that nobody who reads them is disturbed."""

import json
import os
import subprocess
import sys
from datetime import datetime

import pyarrow.parquet as pq
import pytest
from support.archives import run_in

from badc_core.corpus.building import build_corpus
from badc_core.corpus.database import VIEWS
from badc_core.corpus.parts import PartKey, read_part_list
from badc_core.corpus.reading import open_corpus
from badc_core.datasets.dataset import Dataset
from badc_core.detections.schema import make_detection_id
from badc_core.recordings.recording import read_recording
from badc_core.reports.corpus_damage import explain_corpus_damage
from badc_core.speech.stored import search_speech

JAY = ("Jay", "Cyanocitta cristata")


def files(dataset):
    """Returns path -> time of writing of every file of a part."""
    return {one: one.stat().st_mtime_ns for one in dataset.corpus.folder.rglob("*.parquet")}


def listed(dataset):
    found = read_part_list(dataset.corpus.parts)
    return {dataset.corpus.folder / one for paths in found.paths().values() for one in paths}


def rows(dataset, sql="SELECT recording_id, absolute_time_ms, label FROM detections ORDER BY ALL"):
    with open_corpus(dataset) as corpus:
        return corpus.execute(sql).fetchall()


@pytest.fixture
def stations(workbench):
    """Returns a workbench with two recordings at each of two stations, and a month apart."""
    for name, location, month in (
        ("a", "North", 5),
        ("b", "North", 5),
        ("c", "South", 5),
        ("d", "South", 6),
    ):
        start = datetime(2024, month, 14, 5, 30)
        workbench.add(name, [(0.0, 3.0, *JAY, 0.9)], location=location, start_local=start)
    build_corpus(workbench.dataset, list("abcd"), {})
    return workbench


def test_only_the_part_of_a_new_recording_is_written(stations):
    dataset = stations.dataset
    before = files(dataset)
    stations.add("e", [(6.0, 9.0, *JAY, 0.5)], location="North")
    totals = build_corpus(dataset, list("abcde"), {})
    assert (totals.recordings, totals.detections) == (5, 5)
    new = listed(dataset) - before.keys()
    assert {one.parent.parent.name for one in new} == {"location=North"}
    same = {one for one in before if "location=North" not in one.parts}
    assert same
    assert same < listed(dataset)
    assert {one: files(dataset)[one] for one in same} == {one: before[one] for one in same}
    assert [row[0] for row in rows(dataset)] == list("abcde")


def test_nothing_is_written_again_where_nothing_changed(stations):
    dataset = stations.dataset
    before = files(dataset)
    build_corpus(dataset, list("abcd"), {})
    assert files(dataset) == before


def test_built_up_or_at_once_a_corpus_has_the_same_rows(stations):
    dataset = stations.dataset
    for name in ("ab", "bb", "c2"):
        location = "South" if name == "c2" else "North"
        stations.add(name, location=location)
        build_corpus(dataset, ["a", "b", "c", "d", "ab", "bb", "c2"], {})
    one_by_one = {name: rows(dataset, f"FROM {name} ORDER BY ALL") for name in VIEWS}
    (dataset.work_folder / "corpus.parquet").unlink()
    build_corpus(dataset, ["a", "b", "c", "d", "ab", "bb", "c2"], {})
    assert {name: rows(dataset, f"FROM {name} ORDER BY ALL") for name in VIEWS} == one_by_one


def test_a_recording_that_moves_to_another_station_or_goes_is_counted_once(stations):
    dataset = stations.dataset
    stations.add("b", [(0.0, 3.0, *JAY, 0.9)], location="South", start_local=datetime(2024, 5, 1))
    build_corpus(dataset, list("abc"), {"d": "it is gone"})
    found = rows(dataset, "SELECT recording_id, location FROM detections ORDER BY ALL")
    assert found == [("a", "North"), ("b", "South"), ("c", "South")]
    by_station = "SELECT location, recordings FROM species_by_station ORDER BY 1"
    assert rows(dataset, by_station) == [("North", 1), ("South", 2)]


def test_whoever_reads_a_corpus_goes_on_reading_it_as_it_was(stations):
    dataset = stations.dataset
    with open_corpus(dataset) as corpus:
        for number in range(3):
            stations.add(f"e{number}", location="North")
            build_corpus(dataset, ["a", "b", "c", "d", f"e{number}"], {})
        seen = corpus.execute("SELECT DISTINCT recording_id FROM detections ORDER BY 1").fetchall()
        counted = corpus.execute("SELECT sum(detections) FROM label_summary").fetchall()
    assert [one for (one,) in seen] == list("abcd")
    assert counted == [(4,)]


def test_files_that_were_not_listed_for_an_hour_are_removed(stations):
    dataset = stations.dataset
    old = listed(dataset)
    for one in old:  # as git-annex has files, an hour ago and more
        content = one.rename(dataset.root / one.name)
        one.symlink_to(content)
        os.utime(one, (1, 1), follow_symlinks=False)
    stations.add("a", [(3.0, 6.0, *JAY, 0.9)], location="North")
    build_corpus(dataset, list("abcd"), {})
    retired = old - listed(dataset)
    assert retired
    assert all(one.exists() for one in retired)
    killed = next(iter(retired)).with_name(".new.parquet.0123456789ab-77-01234567.part")
    killed.write_bytes(b"half")
    for one in files(dataset):
        os.utime(one, (1, 1), follow_symlinks=False)
    build_corpus(dataset, list("abcd"), {})
    assert not any(one.exists() for one in (*retired, killed))
    assert listed(dataset) == files(dataset).keys()


@pytest.mark.parametrize("name", ["detections", "counts_by_hour"])
def test_a_lost_or_damaged_file_of_a_part_is_named_and_written_again(stations, name):
    dataset = stations.dataset
    before = rows(dataset)
    path = next(dataset.corpus.table(name).rglob("*.parquet"))
    for damage in (path.unlink, lambda: path.write_bytes(b"PAR1")):
        damage()
        dataset.corpus.html.write_text("<html></html>")
        assert path.name in explain_corpus_damage(dataset)
        build_corpus(dataset, list("abcd"), {})
        assert explain_corpus_damage(dataset) == ""
        assert rows(dataset) == before


def test_a_part_whose_rows_cannot_be_read_is_written_again_from_the_recordings(stations):
    dataset = stations.dataset
    (path,) = dataset.corpus.table("detections").rglob("location=North/*/*.parquet")
    content = bytearray(path.read_bytes())
    content[4:200] = bytes(196)
    path.write_bytes(content)
    stations.add("e", location="North")
    totals = build_corpus(dataset, list("abcde"), {})
    assert (totals.recordings, totals.damaged) == (5, 0)
    assert {row[0] for row in rows(dataset)} == set("abcde")


def test_a_damaged_summary_of_a_part_that_stays_is_made_again(stations):
    dataset = stations.dataset
    totals = rows(dataset, "FROM counts_by_station ORDER BY ALL")
    path = next(dataset.corpus.table("counts_by_station").rglob("location=North/*/*.parquet"))
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(len(content) - 12) + content[-8:])
    assert build_corpus(dataset, list("abcd"), {}).recordings == 4
    assert path.read_bytes() == content
    assert rows(dataset, "FROM counts_by_station ORDER BY ALL") == totals


def test_parts_whose_content_is_elsewhere_are_fetched_or_made_again(stations, tmp_path):
    dataset, before = stations.dataset, rows(stations.dataset)
    path = next(dataset.corpus.table("counts_by_station").rglob("location=North/*/*.parquet"))
    run_in(dataset.root, "git", "init", "--quiet")
    run_in(dataset.root, "git", "annex", "init", "--quiet")
    run_in(dataset.root, "git", "annex", "add", "--quiet", "--force-large", str(path))
    run_in(dataset.root, "git", "commit", "--quiet", "-m", "Part")
    run_in(tmp_path, "git", "clone", "--quiet", str(dataset.root), "copy")
    run_in(tmp_path / "copy", "git", "annex", "get", "--quiet", ".")
    run_in(dataset.root, "git", "remote", "add", "copy", str(tmp_path / "copy"))
    run_in(dataset.root, "git", "fetch", "--quiet", "copy")
    for is_reachable in (True, False):
        if not is_reachable:
            run_in(dataset.root, "git", "remote", "set-url", "copy", str(tmp_path / "nowhere"))
        run_in(dataset.root, "git", "annex", "drop", "--quiet", "--force", str(path))
        assert not path.exists()
        assert build_corpus(dataset, list("abcd"), {}).recordings == 4
        assert rows(dataset) == before
        assert path.is_symlink() == is_reachable


def test_a_notebook_that_may_write_to_the_database_has_nothing_read_anew(stations):
    dataset = stations.dataset
    before = files(dataset)
    stations.add("e", location="South")
    program = "import duckdb, sys; opened = duckdb.connect(sys.argv[1]); print(flush=True); input()"
    command = [sys.executable, "-c", program, str(dataset.corpus.duckdb)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        assert build_corpus(dataset, list("abcde"), {}).recordings == 5
        other.communicate(b"\n")
    north = {one: at for one, at in before.items() if "location=North" in one.parts}
    assert north
    assert {one: files(dataset)[one] for one in north} == north


def test_files_of_a_corpus_that_was_not_finished_stay_for_its_readers(stations):
    dataset = stations.dataset
    old = listed(dataset)
    database = dataset.corpus.duckdb.read_bytes()
    stations.add("e", location="North")
    build_corpus(dataset, list("abcde"), {})
    dataset.corpus.duckdb.write_bytes(database)  # as if killed before it was replaced
    for one in old:
        os.utime(one, (1, 1))
    build_corpus(dataset, list("abcde"), {})
    assert old - listed(dataset)
    assert all(one.exists() for one in old)


def test_speech_is_read_again_where_its_file_has_changed(workbench):
    dataset = Dataset.open(workbench.dataset.root, {"speech": {"privacy": "flag"}})
    sums = {one: workbench.add(one).sha256 for one in ("a", "b")}
    for one, sha256 in sums.items():
        search_speech(dataset, one, sha256, workbench.audio / "soundscape.flac")
    speech = "FROM speech_by_recording ORDER BY ALL"
    build_corpus(dataset, list(sums), {})
    assert [has for _, has, _ in rows(dataset, speech)] == [False, False]
    for one in sums:
        file = dataset.speech(one)
        status = file.stat()
        file.write_bytes(b"x" * status.st_size)
        os.utime(file, ns=(0, status.st_mtime_ns + (one == "b")))
    build_corpus(dataset, list(sums), {})
    assert [has for _, has, _ in rows(dataset, speech)] == [False, None]


def test_parts_lie_where_hive_and_arrow_look_for_them(workbench):
    dataset = workbench.dataset
    workbench.add("007", location="007", study_area=None)
    workbench.add("x", location="../a b", start_local=None, utc_offset_min=None)
    build_corpus(dataset, ["007", "x"], {})
    folders = {
        one.parent.relative_to(dataset.corpus.table("detections")).as_posix()
        for one in dataset.corpus.table("detections").rglob("*.parquet")
    }
    assert folders == {
        "study_area=__none__/location=007/month=2024-05",
        "study_area=Sambaa%20K%27e/location=..%2Fa%20b/month=unknown",
    }
    assert {row[0] for row in rows(dataset, "SELECT location FROM detections")} == {"007", "../a b"}
    assert len(PartKey("é" * 200, "x", "2024-05").folder) < 300


def test_the_database_works_in_its_own_folder_wherever_that_is(stations):
    dataset = stations.dataset
    moved = dataset.root.with_name("moved, with a comma")
    dataset.root.rename(moved)
    code = "import duckdb; print(duckdb.connect('corpus.duckdb').sql('FROM label_summary'))"
    assert "Jay" in run_in(moved / "artifacts" / "corpus", sys.executable, "-c", code)


def test_a_detection_has_the_id_that_its_own_file_gives_it(stations):
    (row,) = rows(stations.dataset, "SELECT * FROM detections WHERE recording_id = 'a'")
    names = pq.read_table(stations.dataset.detections("a")).column_names
    own = dict(zip(names, row, strict=True))
    times = own["absolute_time_ms"], own["absolute_end_ms"]
    of = make_detection_id("a", *times, own["label"], own["runner"], own["model_version"])
    assert own["detection_id"] == of


def test_the_list_of_parts_says_what_is_in_them(stations):
    content = json.loads(stations.dataset.corpus.parts.read_text(encoding="utf-8"))
    told = [(one["location"], one["month"], one["recordings"]) for one in content["parts"]]
    assert told == [("North", "2024-05", 2), ("South", "2024-05", 1), ("South", "2024-06", 1)]
    first = content["parts"][0]["files"]["detections"]
    assert first["rows"] == 2
    assert (stations.dataset.corpus.folder / first["path"]).stat().st_size == first["size_bytes"]
    assert read_recording(stations.dataset.recording("a")).location == "North"
