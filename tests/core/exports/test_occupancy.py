"""Detection histories: matrices worked out by hand, and fitted by R."""

import csv
import shutil
import subprocess

import pytest
from support.export_bench import JAY, WREN, Put

NA = "NA"


def read(path):
    """Returns a table as lists, without its header."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_a_day_is_one_nothing_or_not_known_and_effort_is_in_seconds(bench):
    # MARSH: the jay on the 1st; on the 2nd nothing; on the 3rd only the second minute analysed.
    bench.add("a", "2024-06-01 05:30:00", 120, [Put(0, 3), Put(63, 66)])
    bench.add("b", "2024-06-02 05:30:00", 60)
    bench.add("c", "2024-06-03 05:30:00", 120, [Put(70, 73, WREN)], failed=[0])
    # RIDGE: nothing on the 1st; the 2nd failed as a whole; no recording on the 3rd.
    bench.add("d", "2024-06-01 06:00:00", 30, location="RIDGE")
    bench.add("e", "2024-06-02 06:00:00", 60, failed=[0], location="RIDGE")
    # Not placed in time; and a place twice, in two study areas.
    bench.add("f", None, 60, [Put(0, 3)])
    bench.add("g", "2024-06-03 06:00:00", 60, [Put(0, 3)], location="RIDGE", study_area="South")
    written = bench.export("occupancy")
    folder = written.folder
    header = ["site", "2024-06-01", "2024-06-02", "2024-06-03"]
    assert read(folder / "y_Blue_Jay.csv") == [
        header,
        ["MARSH", "1", "0", "0"],
        ["RIDGE", "0", NA, NA],
        ["South/RIDGE", NA, NA, "1"],
    ]
    assert read(folder / "y_Cactus_Wren.csv")[1] == ["MARSH", "0", "0", "1"]
    assert read(folder / "effort_s.csv") == [
        header,
        ["MARSH", "120.0", "60.0", "60.0"],
        ["RIDGE", "30.0", "0.0", "0.0"],
        ["South/RIDGE", "0.0", "0.0", "60.0"],
    ]
    assert read(folder / "species.csv")[1:] == [
        [*JAY[:1], *JAY, "y_Blue_Jay.csv"],
        [*WREN[:1], *WREN, "y_Cactus_Wren.csv"],
    ]
    assert written.notes == (
        "1 recording left out, since the station or the clock is not known: f",
    )


@pytest.mark.parametrize(
    ("start", "zone", "before_s"),
    [
        ("2024-06-01 23:00:00", "America/Edmonton", 3600),
        ("2024-03-09 23:00:00", "America/Edmonton", 3600),  # the night clocks go forward, at 2
        ("2024-11-02 23:00:00", "America/Edmonton", 3600),
        ("2024-09-07 23:00:00", "America/Santiago", 3600),  # forward at midnight: no 00:00
        ("2024-04-06 23:00:00", "America/Santiago", 2 * 3600),  # back at midnight: 23:00 twice
        ("2024-12-31 23:59:59.5", "-03:30", 0.5),
    ],
)
def test_a_recording_over_midnight_is_of_two_days_by_the_stations_clock(
    bench, start, zone, before_s
):
    night_s = 4 * 3600
    hits = [Put(before_s - 0.25, before_s, score=0.5), Put(before_s, before_s + 3, WREN)]
    bench.add("a", start, night_s, hits, timezone=zone)
    folder = bench.export("occupancy").folder
    effort = read(folder / "effort_s.csv")[1][1:]
    assert [float(one) for one in effort] == [before_s, night_s - before_s]
    assert read(folder / "y_Blue_Jay.csv")[1] == ["MARSH", "1", "0"]
    assert read(folder / "y_Cactus_Wren.csv")[1] == ["MARSH", "0", "1"]


def test_r_fits_the_model_and_finds_what_was_worked_out_by_hand(bench, lacking):
    """Each of nine stations is listened to on two days of three: NA is the third.

    Two have the jay on both days, two on one, five on none. With two days the likelihood has its
    maximum at p = 2 * 2 / (2 + 2 * 2) = 2/3, and at psi = (4/9) / (1 - (1 - p)^2) = 1/2.
    """
    if shutil.which("Rscript") is None:
        lacking("R (Debian: r-base-core)")
    histories = ["11", "11", "10", "01", "00", "00", "00", "00", "00"]
    for number, history in enumerate(histories):
        for day, heard in enumerate(history, 1 + number % 2):
            found = [Put(0, 3)] if heard == "1" else []
            bench.add(
                f"s{number}_{day}", f"2024-06-0{day} 05:30:00", 60, found, location=f"S{number}"
            )
    folder = bench.export("occupancy").folder
    table = read(folder / "y_Blue_Jay.csv")
    assert table[1] == ["S0", "1", "1", NA]
    assert table[4] == ["S3", NA, "0", "1"]
    words = ("Rscript", "--vanilla", "fit.R", "y_Blue_Jay.csv")
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    fitted = "occupancy 0.5000, detection on a day 0.6667"
    assert f"base R: {fitted}" in done.stdout
    if "unmarked:" in done.stdout:  # where that package is installed; it is not in Debian
        assert f"unmarked: {fitted}" in done.stdout
