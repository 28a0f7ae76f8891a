"""`badc report summary DATASET`: counts by station and local time, with what was listened to."""

import csv
import json
from datetime import UTC, datetime

import pytest
from support.commands import run_typed
from typer import Typer

from badc_core.cli.reports import reports
from badc_core.corpus.building import build_corpus

JAY = ("Jay", "Cyanocitta cristata")
RAIN = ("Rain", None)


@pytest.fixture
def summarized(workbench):
    """Returns what gives the rows of a summary of a dataset.

    POND is heard for two minutes over the change to summer time, 01:59 to 03:01, and for two an
    hour before midnight; HILL for two with nothing in them; one recording has no clock.
    """
    edmonton = {"timezone": "America/Edmonton", "study_area": None}
    pond = edmonton | {"location": "POND"}
    workbench.add(
        "a", found=[(0.0, 3.0, *JAY, 0.9), (90.0, 93.0, *JAY, 0.5), (96.0, 99.0, *RAIN, 0.3)],
        start_local=datetime(2024, 3, 10, 1, 59),
        start_utc=datetime(2024, 3, 10, 8, 59, tzinfo=UTC),
        utc_offset_min=-420, **pond,
    )  # fmt: skip
    workbench.add(
        "b", found=[(0.0, 3.0, *JAY, 0.7)],
        start_local=datetime(2024, 3, 10, 23), start_utc=datetime(2024, 3, 11, 5, tzinfo=UTC),
        utc_offset_min=-360, **pond,
    )  # fmt: skip
    workbench.add(
        "c", found=[], start_local=datetime(2024, 3, 11, 4), utc_offset_min=-360,
        start_utc=datetime(2024, 3, 11, 10, tzinfo=UTC), **edmonton, location="HILL",
    )  # fmt: skip
    workbench.add(
        "d", found=[(0.0, 3.0, *JAY, 0.7)], start_local=None, utc_offset_min=None,
        study_area=None, location=None,
    )  # fmt: skip
    build_corpus(workbench.dataset, ["a", "b", "c", "d"], {})
    app = Typer()
    app.add_typer(reports, name="report")

    def ask(*groups):
        words = ["report", "summary", workbench.dataset.root, "--group-by", ",".join(groups)]
        found = json.loads(run_typed(app, *words, "--json").stdout)["groups"]
        return [tuple(one.values()) for one in found]

    ask.app, ask.root = app, workbench.dataset.root
    return ask


def test_stations_have_their_effort_also_where_nothing_was_found(summarized):
    assert summarized("location") == [
        ("POND", 4, 0.6, 240.0, 60.0),
        (None, 1, 0.7, 120.0, 30.0),
        ("HILL", 0, None, 120.0, 0.0),
    ]
    assert summarized("study_area") == [(None, 5, 0.62, 480.0, 37.5)]


def test_hours_are_those_of_local_clocks_at_each_moment(summarized):
    # No hour from 2 to 3; what has no clock has detections, and no effort of any hour.
    assert summarized("hour") == [
        (3, 2, 0.4, 60.0, 120.0),
        (1, 1, 0.9, 60.0, 60.0),
        (23, 1, 0.7, 120.0, 30.0),
        (None, 1, 0.7, None, None),
        (4, 0, None, 120.0, 0.0),
    ]
    assert summarized("date", "week") == [
        ("2024-03-10", "2024-W10", 4, 0.6, 240.0, 60.0),
        (None, None, 1, 0.7, None, None),
        ("2024-03-11", "2024-W11", 0, None, 120.0, 0.0),
    ]


def test_a_label_is_counted_per_hour_that_its_station_was_listened_to(summarized):
    assert summarized("label", "location") == [
        ("Jay", "POND", 3, 0.7, 240.0, 45.0),
        ("Jay", None, 1, 0.7, 120.0, 30.0),
        ("Rain", "POND", 1, 0.3, 240.0, 15.0),
    ]


def test_without_effort_that_fits_there_are_counts_alone(summarized):
    assert summarized("label") == [("Jay", 4, 0.7), ("Rain", 1, 0.3)]
    assert summarized("recording_id", "hour")[0] == ("a", 3, 2, 0.4)
    assert summarized("recording_id")[0] == ("a", 3, 0.566667, 120.0, 90.0)


def test_the_table_goes_to_a_file_and_its_first_rows_to_the_screen(summarized, tmp_path):
    words = ["report", "summary", summarized.root, "--group-by", "location", "--limit", 1]
    shown = run_typed(summarized.app, *words, "--output", tmp_path / "t.csv").stdout
    assert "POND" in shown
    assert "HILL" not in shown
    assert "and 2 more" in shown
    with (tmp_path / "t.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header[-2:] == ["effort_s", "detections_per_hour"]
    assert len(rows) == 3


@pytest.mark.parametrize("both", [True, False])
def test_either_a_dataset_or_a_file_is_summarized(summarized, tmp_path, both):
    words = [summarized.root, "--parquet", tmp_path / "x.parquet"] if both else []
    result = run_typed(summarized.app, "report", "summary", *words, code=2)
    wrong = "together with a dataset" if both else "or a file with --parquet"
    assert wrong in result.output
