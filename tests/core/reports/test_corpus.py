import csv
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from badc_core.corpus.building import build_corpus
from badc_core.corpus.database import TABLES, create_table, create_views
from badc_core.corpus.reading import open_corpus
from badc_core.corpus.rules import CORPUS_CHECKS, verify_corpus
from badc_core.corpus.verifying import check_corpus
from badc_core.errors import DatasetInvalid
from badc_core.recordings.registered import RegisteredRecording
from badc_core.recordings.registry import Registry
from badc_core.reports.bundle import write_bundle
from badc_core.reports.corpus_damage import explain_corpus_damage
from badc_core.site.writing import write_site
from badc_core.stages.work import Work

JAY = "Cyanocitta cristata"


def ask(workbench, sql):
    with open_corpus(workbench.dataset) as connection:
        return connection.execute(sql).fetchall()


def failed_checks(workbench):
    return {one.name: one for one in check_corpus(workbench.dataset) if not one.passed}


def test_a_corpus_holds_all_recordings_and_passes_every_check(workbench):
    workbench.add("a")
    workbench.add("b", found=[])
    totals = build_corpus(workbench.dataset, ["a", "b"], {})
    assert (totals.recordings, totals.detections, totals.chunks) == (2, len(workbench.official), 4)
    assert totals.effort_s == pytest.approx(240)
    assert failed_checks(workbench) == {}
    assert ask(workbench, "SELECT recording_id, location FROM recordings ORDER BY 1") == [
        ("a", "Étang 7"),
        ("b", "Étang 7"),
    ]


@pytest.mark.parametrize("recording_ids", [[], ["silent"]])
def test_a_corpus_without_detections_or_recordings_is_still_a_corpus(workbench, recording_ids):
    for recording_id in recording_ids:
        workbench.add(recording_id, found=[])
    totals = build_corpus(workbench.dataset, recording_ids, {})
    assert (totals.recordings, totals.detections) == (len(recording_ids), 0)
    assert failed_checks(workbench) == {}
    page = write_site(workbench.dataset).page.read_text(encoding="utf-8")
    assert ("No detections at or above 0.25" if recording_ids else "No recording has") in page


def test_recordings_without_result_are_listed_and_never_counted(workbench):
    workbench.add("a")
    workbench.add("old")
    totals = build_corpus(workbench.dataset, ["a", "old", "unmade"], {"old": "it is <broken>"})
    assert (totals.recordings, totals.missing) == (1, 2)
    assert ask(workbench, "SELECT * FROM missing ORDER BY 1") == [
        ("old", "detections", "it is <broken>"),
        ("unmade", "recording", "no recording yet"),
    ]
    page = write_site(workbench.dataset).page.read_text(encoding="utf-8")
    assert "it is &lt;broken&gt;" in page


def test_averages_weigh_detections_and_not_recordings(workbench):
    workbench.add("a", found=[(0.0, 3.0, "Jay", JAY, 0.9)])
    workbench.add("b", found=[(3.0 * n, 3.0 * n + 3, "Jay", JAY, 0.3) for n in range(3)])
    build_corpus(workbench.dataset, ["a", "b"], {})
    assert ask(workbench, "SELECT detections, avg_confidence FROM label_summary") == [(4, 0.45)]
    with (workbench.dataset.corpus.summary / "label_summary.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [
            [
                *("label_name", "label", "detections", "avg_confidence"),
                *("expected", "not_expected", "not_known"),
            ],
            ["Jay", "Jay", "4", "0.45", "0", "0", "4"],
        ]


def test_activity_is_by_local_time_and_per_hour_analysed(workbench):
    found = [(0.0, 3.0, "Jay", JAY, 0.9), (90.0, 93.0, "Jay", JAY, 0.9)]
    workbench.add("a", found=found, start_local=datetime(2024, 5, 14, 23, 59))
    workbench.add("b", found=[], start_local=datetime(2024, 6, 1, 0, 10))
    workbench.add("unknown", found=found, start_local=None, utc_offset_min=None)
    build_corpus(workbench.dataset, ["a", "b", "unknown"], {})
    assert ask(
        workbench,
        "SELECT local_hour, detections, effort_s, detections_per_hour FROM activity_by_hour",
    ) == [(0, 1, pytest.approx(180), 20.0), (23, 1, pytest.approx(60), 60.0)]
    days = ask(workbench, "SELECT local_date::VARCHAR, effort_s FROM effort_by_station_day")
    assert days == [
        ("2024-05-14", pytest.approx(60)),
        ("2024-05-15", pytest.approx(60)),
        ("2024-06-01", pytest.approx(120)),
        (None, pytest.approx(120)),
    ]


@pytest.mark.parametrize(
    ("zone", "offset_min", "start", "hours"),
    [
        # 01:59 to 02:01 and on: the clocks go forward to 03:00, and back to 01:00.
        ("America/Edmonton", -420, datetime(2024, 3, 10, 1, 59), [(1, 60.0), (3, 60.0)]),
        ("America/Edmonton", -360, datetime(2024, 11, 3, 1, 59), [(1, 120.0)]),
        ("Australia/Lord_Howe", 660, datetime(2024, 4, 7, 1, 59), [(1, 120.0)]),
        ("Asia/Kathmandu", 345, datetime(2024, 4, 7, 1, 59), [(1, 60.0), (2, 60.0)]),
        ("-07:00", -420, datetime(2024, 3, 10, 1, 59), [(1, 60.0), (2, 60.0)]),
        ("UTC", 0, datetime(1969, 12, 31, 18, 0), [(18, 120.0)]),
        (None, None, datetime(1969, 12, 31, 18, 59), [(18, 60.0), (19, 60.0)]),
    ],
)
def test_every_moment_has_the_local_hour_of_its_own_time(workbench, zone, offset_min, start, hours):
    utc = None if zone is None else (start - timedelta(minutes=offset_min)).replace(tzinfo=UTC)
    facts = {"timezone": zone, "utc_offset_min": offset_min, "start_utc": utc}
    found = [(0.0, 3.0, "Jay", JAY, 0.9), (90.0, 93.0, "Jay", JAY, 0.9)]
    workbench.add("a", found=found, start_local=start, **facts)
    build_corpus(workbench.dataset, ["a"], {})
    told = ask(workbench, "SELECT local_hour, effort_s FROM activity_by_hour ORDER BY local_hour")
    assert told == [(hour, pytest.approx(seconds)) for hour, seconds in hours]
    assert ask(workbench, "SELECT sum(effort_s) FROM effort_by_hour") == [(pytest.approx(120),)]


def test_dead_time_is_no_effort_in_the_hour_it_was_in(open_workbench):
    workbench = open_workbench(chunks={"duration_s": 120.0})
    start = datetime(2024, 5, 14, 5, 59)
    found = [(0.0, 3.0, "Jay", JAY, 0.9)]
    workbench.add("a", found=found, start_local=start, dead=[(50_000, 55_000), (80_000, 120_000)])
    totals = build_corpus(workbench.dataset, ["a"], {})
    assert (totals.effort_s, totals.dead_s) == (75.0, 45.0)
    hours = ask(workbench, "SELECT local_hour, effort_s FROM effort_by_hour")
    assert hours == [(5, pytest.approx(55)), (6, pytest.approx(20))]
    assert ask(workbench, "SELECT effort_s, dead_s FROM effort_by_recording") == [(75.0, 45.0)]
    page = write_site(workbench.dataset).page.read_text("utf-8")
    assert page.count("45.0 s dead") == 3, "of the dataset, its station, its recording"
    assert "1 recording is dead for 45.0 s in all" in page


def test_failed_chunks_are_no_effort_and_fail_their_check(workbench):
    workbench.add("a", found=[], failed={1: "worker died"})
    totals = build_corpus(workbench.dataset, ["a"], {})
    assert (totals.failed_chunks, totals.effort_s) == (1, pytest.approx(60))
    assert failed_checks(workbench)["no_failed_chunks"].examples == [
        "a_chunk_60000_120000: worker died"
    ]


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        ("INSERT INTO recordings SELECT * FROM recordings", "recording_ids_unique"),
        ("INSERT INTO chunks SELECT * FROM chunks LIMIT 1", "chunk_ids_unique"),
        ("DELETE FROM chunks", "recordings_have_chunks"),
        ("DELETE FROM chunks WHERE chunk_start_ms = 0", "chunks_cover_recordings"),
        ("UPDATE chunks SET chunk_end_ms = 59000 WHERE chunk_start_ms = 0",
         "chunks_cover_recordings"),
        ("UPDATE recordings SET n_samples = n_samples + 48000", "chunks_cover_recordings"),
        ("UPDATE detections SET confidence = 'nan'", "confidences_in_range"),
        ("UPDATE detections SET absolute_end_ms = 120001", "detections_inside_recordings"),
        ("DELETE FROM detections", "detections_counted"),
        ("UPDATE detections SET is_expected = false", "species_expected"),
    ],
)  # fmt: skip
def test_every_check_finds_what_it_is_for(workbench, damage, check):
    workbench.add("a")
    build_corpus(workbench.dataset, ["a"], {})
    with open_corpus(workbench.dataset) as corpus:
        tables = {name: corpus.table(name).to_arrow_table() for name in TABLES}
    with duckdb.connect(":memory:") as connection:
        for name, table in tables.items():
            create_table(connection, name, table)
        views = ("real_detections", "detectors_by_recording", "counts_by_recording")
        create_views(connection, (*views, "counts_by_station"))
        connection.execute(damage)
        found = {one.name: one for one in verify_corpus(connection)}[check]
    assert found.violations > 0
    assert found.examples


def test_the_same_sound_twice_is_a_warning_that_names_both_recordings(workbench):
    for recording_id in "abcdef":
        workbench.add(recording_id, sha256="5f" * 32 if recording_id != "b" else "6a" * 32)
    build_corpus(workbench.dataset, list("abcdef"), {})
    found = failed_checks(workbench)
    assert found.keys() == {"recordings_distinct"}
    assert found["recordings_distinct"].is_warning
    assert found["recordings_distinct"].violations == 1
    assert found["recordings_distinct"].examples == ["a, c, d, e, ... (sha256 5f5f5f5f5f5f)"]


def test_only_what_spoils_no_result_is_a_warning():
    warnings = [check.name for check in CORPUS_CHECKS if check.is_warning]
    assert warnings == ["recordings_distinct", "species_expected"]


def test_checks_have_names_of_their_own():
    assert len({check.name for check in CORPUS_CHECKS}) == len(CORPUS_CHECKS)


def test_a_corrupt_file_costs_its_recording_alone_and_is_marked(workbench):
    workbench.add("a")
    workbench.add("b")
    build_corpus(workbench.dataset, ["a", "b"], {})
    workbench.dataset.detections("b").write_bytes(b"PAR1 nothing PAR1")
    totals = build_corpus(workbench.dataset, ["a", "b"], {})
    assert (totals.recordings, totals.missing, totals.damaged) == (1, 1, 1)
    ((recording_id, reason),) = ask(workbench, "SELECT recording_id, reason FROM missing")
    assert recording_id == "b"
    assert reason.startswith("artifacts/aggregate/b.parquet: "), "no path of this machine"
    assert Work(workbench.dataset.work_folder).dirty("detections") == {"b"}
    assert not list(workbench.dataset.corpus.folder.glob(".*"))


def cut(path, n_bytes):
    os.truncate(path, n_bytes)


def overwrite(path, start):
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xff" * 64)


@pytest.mark.parametrize(
    ("name", "damage", "what"),
    [
        *(("corpus.duckdb", lambda path, n=n: cut(path, n), "is damaged") for n in (0, 1, 5000)),
        ("corpus.duckdb", lambda path: cut(path, path.stat().st_size // 2), "(it is cut off)"),
        ("corpus.duckdb", lambda path: cut(path, path.stat().st_size - 1), "(it is cut off)"),
        *(("corpus.duckdb", lambda path, n=n: overwrite(path, n), "damaged") for n in (0, 100)),
        ("corpus.duckdb", lambda path: path.unlink(), "is missing"),
        ("report.html", lambda path: cut(path, 0), "(it is cut off)"),
        ("report.html", lambda path: cut(path, path.stat().st_size - 20), "(it is cut off)"),
        ("report.html", lambda path: path.unlink(), "is missing"),
    ],
)
def test_a_damaged_corpus_file_is_named(workbench, name, damage, what):
    workbench.add("a")
    build_corpus(workbench.dataset, ["a"], {})
    write_site(workbench.dataset)
    assert explain_corpus_damage(workbench.dataset) == ""
    damage(workbench.dataset.corpus.folder / name)
    found = explain_corpus_damage(workbench.dataset)
    assert found.startswith(name)
    assert what in found


def test_a_page_is_missed_also_where_the_database_is_elsewhere(workbench):
    workbench.add("a")
    build_corpus(workbench.dataset, ["a"], {})
    write_site(workbench.dataset)
    database = workbench.dataset.corpus.duckdb
    database.unlink()
    database.symlink_to("../../.git/annex/objects/elsewhere.duckdb")
    assert explain_corpus_damage(workbench.dataset) == ""
    workbench.dataset.corpus.html.unlink()
    assert explain_corpus_damage(workbench.dataset) == "report.html is missing"


def test_a_corpus_that_another_program_has_open_is_not_damaged(workbench):
    workbench.add("a")
    build_corpus(workbench.dataset, ["a"], {})
    write_site(workbench.dataset)
    program = "import duckdb, sys; opened = duckdb.connect(sys.argv[1]); print(flush=True); input()"
    command = [sys.executable, "-c", program, str(workbench.dataset.corpus.duckdb)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        assert explain_corpus_damage(workbench.dataset) == ""
        other.communicate(b"\n")


def test_a_corpus_is_renewed_while_somebody_reads_it(workbench):
    workbench.add("a")
    build_corpus(workbench.dataset, ["a"], {})
    workbench.add("b")
    with duckdb.connect(workbench.dataset.corpus.duckdb, read_only=True) as reader:
        totals = build_corpus(workbench.dataset, ["a", "b"], {})
        assert reader.execute("SELECT count(*) FROM recordings").fetchall() == [(1,)]
    assert totals.recordings == 2


def test_the_page_links_to_recordings_that_have_a_page(workbench):
    workbench.add("a+b")
    workbench.add("c")
    write_bundle(workbench.dataset, "a+b")
    build_corpus(workbench.dataset, ["a+b", "c"], {})
    page = write_site(workbench.dataset).page.read_text(encoding="utf-8")
    assert 'href="../aggregate/a%2Bb_report.html"' in page
    table = page[page.index('id="recordings-table"') :]
    assert table.count("_report.html") == 1
    assert "nothing analysed" in page


def test_the_page_says_which_recordings_count_though_their_file_is_gone(workbench):
    registered = [
        RegisteredRecording(one, workbench.add(one).path, 1, 1, one) for one in ("a", "b")
    ]
    Registry(registered).write(workbench.dataset.registry)
    build_corpus(workbench.dataset, ["a", "b"], {})
    assert "gone" not in write_site(workbench.dataset).page.read_text()
    workbench.dataset.audio(registered[1].path).unlink()
    page = write_site(workbench.dataset).page.read_text()
    assert "The files of 1 recording are gone, such as b." in page


def test_dates_that_are_years_apart_are_said_on_the_page_with_their_years(workbench):
    workbench.add("a", start_local=datetime(2018, 6, 1, 5, 0))
    workbench.add("b", start_local=datetime(2024, 6, 2, 5, 0))
    build_corpus(workbench.dataset, ["a", "b"], {})
    page = write_site(workbench.dataset).page.read_text()
    assert "from Friday 1 June 2018, then nothing for more than a year until Sunday 2 June" in page
    assert ">1 Jun 2018</text>" in page


def test_dates_of_one_season_need_no_year(workbench):
    workbench.add("a", start_local=datetime(2024, 6, 1, 5, 0))
    build_corpus(workbench.dataset, ["a"], {})
    page = write_site(workbench.dataset).page.read_text()
    assert "years apart" not in page
    assert ">1 Jun</text>" in page


def test_a_page_of_no_corpus_is_refused(workbench):
    with pytest.raises(DatasetInvalid, match="there is no corpus yet"):
        write_site(workbench.dataset)


def test_a_corpus_with_results_of_made_up_networks_says_so(workbench):
    made_up = ("hawkears", "2.3.0+3.random")
    workbench.add("a", detector=made_up)
    workbench.add("b")
    for recording_ids, said in (
        (["a"], "These results mean nothing"),
        (["a", "b"], "Some of these results mean nothing"),
        (["b"], None),
    ):
        build_corpus(workbench.dataset, recording_ids, {})
        page = write_site(workbench.dataset).page.read_text(encoding="utf-8")
        assert (said or "</main>") in page
        assert ("mean nothing" in page) == (said is not None)


def test_the_page_lists_each_kind_of_doubt_once_with_how_many_recordings_have_it(workbench):
    workbench.add("a", warnings=("1.5% of the samples are clipped.",))
    workbench.add("b", warnings=("20.0% of the samples are clipped.", "It is cut off."))
    build_corpus(workbench.dataset, ["a", "b"], {})
    page = write_site(workbench.dataset).page.read_text()
    said = "2 recordings, such as <strong>a</strong>: 1.5% of the samples are clipped."
    assert said in page
    assert "1 recording, namely <strong>b</strong>: It is cut off." in page
    assert "20.0%" not in page


def test_a_rate_per_hour_is_shown_where_an_hour_was_analysed(workbench):
    jay = [(0.0, 3.0, "Jay", JAY, 0.9)]
    workbench.add("a", found=jay, location="SHORT")
    workbench.add("b", found=jay * 5, location="LONG", n_samples=7200 * 32000, sample_rate_hz=32000)
    build_corpus(workbench.dataset, ["a", "b"], {})
    page = write_site(workbench.dataset).page.read_text(encoding="utf-8")
    assert "2.5/h" in page
    assert "30.0/h" not in page


def test_a_day_has_what_was_recorded_analysed_failed_and_neither(workbench):
    # A chunk before midnight, which failed, and one after it, of which 10 s are dead.
    workbench.add(
        "a", found=[], failed={0: "no"}, dead=[(60_000, 70_000)],
        start_local=datetime(2024, 5, 14, 23, 59),
    )  # fmt: skip
    # By local time at the station this night lacks an hour: it ends at 3:01.
    workbench.add(
        "b", found=[], location="POND", timezone="America/Edmonton", utc_offset_min=-420,
        start_local=datetime(2024, 3, 9, 23, 30),
        start_utc=datetime(2024, 3, 10, 6, 30, tzinfo=UTC),
        n_samples=9060 * 32000, sample_rate_hz=32000,
    )  # fmt: skip
    workbench.add("c", found=[], start_local=None, utc_offset_min=None, location="POND")
    build_corpus(workbench.dataset, ["a", "b", "c"], {})
    found = ask(
        workbench,
        "SELECT local_date::VARCHAR, recorded_s, effort_s, failed_s, not_analysed_s "
        "FROM coverage_by_station_day ORDER BY location, local_date",
    )
    assert found == [
        ("2024-03-09", 1800, pytest.approx(1800), 0, 0),
        ("2024-03-10", 7260, pytest.approx(7260), 0, 0),
        (None, 120, pytest.approx(120), 0, 0),
        ("2024-05-14", 60, 0, 60, 0),
        ("2024-05-15", 60, pytest.approx(50), 0, 10),
    ]


def test_the_page_of_many_recordings_has_totals_by_station_in_place_of_all(open_workbench):
    workbench = open_workbench(report={"top_recordings": 2})
    names = [f"rec_{n}" for n in range(6)]
    for number, name in enumerate(names):
        found = [(3.0 * n, 3.0 * n + 3, "Jay", JAY, 0.9) for n in range(number)]
        workbench.add(name, found=found, location="North" if number < 4 else "South")
    build_corpus(workbench.dataset, names, {})
    page = write_site(workbench.dataset).page.read_text(encoding="utf-8")
    table = page[page.index('id="recordings-table"') :]
    assert [one for one in names if one in table] == ["rec_4", "rec_5"]
    assert "6 recordings, by station." in page
    table = page[page.index('id="stations-table"') :].split("</table>")[0]
    north, south = table.split("<tr>")[2:]
    assert "/ North</a>" in north
    assert "/ South</a>" in south
    assert '<td class="n">4</td>' in north, "recordings"
    assert '<td class="n">6</td>' in north, "detections: 0 + 1 + 2 + 3"
