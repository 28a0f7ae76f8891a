"""What the settings about place and season do to a recording's detections, with no model run."""

from pathlib import Path

import pytest
from support.alberta import CACTUS_WREN, ENGINE, OVENBIRD, build_alberta
from support.detecting import detect_in_process, ids

from badc_core.datasets.dataset import Dataset
from badc_core.detections.store import read_detections, read_effort
from badc_core.inference.detections_result import DetectionsResult

EVERY = {CACTUS_WREN, OVENBIRD, ENGINE}

pytestmark = pytest.mark.usefixtures("birdnet")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Returns a dataset in which each of three labels is found three times."""
    build_alberta(tmp_path)
    return tmp_path


def select(root: Path, **detector: object) -> DetectionsResult:
    dataset = Dataset.open(root, {"detector": detector})
    (found,) = detect_in_process(dataset, ids(dataset)).values()
    return found


def stored(root: Path) -> tuple[list[dict], list[dict]]:
    """Returns the rows of detections and effort."""
    dataset = Dataset.open(root)
    (one,) = ids(dataset)
    tables = read_detections(dataset.detections(one)), read_effort(dataset.effort(one))
    return tuple(table.to_pylist() for table in tables)


def test_a_desert_bird_in_alberta_is_marked_and_kept(root):
    found = select(root)
    assert found.expected_counts == {"expected": 3, "not_expected": 3, "not_known": 3}
    rows, effort = stored(root)
    assert {(row["label_name"], row["is_expected"]) for row in rows} == {
        (CACTUS_WREN, False),
        (OVENBIRD, True),
        (ENGINE, None),
    }
    assert {row["occurrence"] is None for row in rows if row["label_name"] == ENGINE} == {True}
    assert [row["left_out"] for row in effort] == [[], []]
    assert found.left_out == {}


@pytest.mark.parametrize(
    ("length", "by_chunk"), [("fixed", [[2], [1]]), ("variable", [[1], []])], ids=str
)
def test_a_filter_leaves_it_out_and_counts_it_where_it_began(root, length, by_chunk):
    select(root)
    found = select(root, range="filter", label_length=length)
    rows, effort = stored(root)
    assert {row["label_name"] for row in rows} == EVERY - {CACTUS_WREN}
    assert [[one["detections"] for one in row["left_out"]] for row in effort] == by_chunk
    assert {one["label_name"] for row in effort for one in row["left_out"]} == {CACTUS_WREN}
    assert found.left_out == {CACTUS_WREN: sum(map(sum, by_chunk))}
    assert sum(row["detections"] for row in effort) == len(rows)
    assert found.raw.n_detections == 9, "what the model gave stays as it is"
    assert found.raw.n_resumed == 2, "and it did not run again"


def test_off_says_nothing_and_a_list_says_it_in_place_of_the_model(root):
    assert select(root, range="off").expected_counts == {
        "expected": 0,
        "not_expected": 0,
        "not_known": 9,
    }
    (root / "ours.csv").write_text("Common Name\nCactus Wren\n")
    found = select(root, range="filter", species_list="ours.csv")
    assert found.left_out == {OVENBIRD: 3}
    assert found.expected_counts == {"expected": 3, "not_expected": 0, "not_known": 3}


def test_each_setting_gives_the_rows_another_fingerprint(root):
    (root / "ours.csv").write_text("Cactus Wren\n")
    (root / "thresholds.csv").write_text("label,threshold\nOvenbird,0.5\n")
    (root / "curves.csv").write_text("label,intercept,slope\nOvenbird,0,1\n")
    given = (
        {},
        {"range": "off"},
        {"range": "filter"},
        {"range_threshold": 0.5},
        {"range_week": "year"},
        {"species_list": "ours.csv"},
        {"thresholds_file": "thresholds.csv"},
        {"calibration_file": "curves.csv"},
    )
    hashes = [select(root, **one).config_hash for one in given]
    assert len(set(hashes)) == len(given)


def test_thresholds_and_curves_come_from_files(root):
    """All scores of Ovenbird are 0.8, of Cactus Wren 0.6, of Engine 0.4."""
    (root / "t.csv").write_text("label,threshold\nOvenbird,0.81\nCactus Wren,0.6\n")
    (root / "c.csv").write_text("label,intercept,slope\nCactus Wren,-1,2\n")
    found = select(root, thresholds_file="t.csv", calibration_file="c.csv")
    rows, _ = stored(root)
    assert {row["label_name"] for row in rows} == {CACTUS_WREN, ENGINE}
    # logit(0.6) = ln 1.5, so odds against are e * 1.5**-2.
    right = {round(row["calibrated_p"], 6) for row in rows if row["label_name"] == CACTUS_WREN}
    assert right == {0.452873}
    assert {row["calibrated_p"] for row in rows if row["label_name"] == ENGINE} == {None}
    assert found.raw.n_detections == 9
    (root / "t.csv").write_text("label,threshold\nOvenbird,0.8\n")
    assert "Ovenbird" in set(select(root, thresholds_file="t.csv").table["label_name"].to_pylist())
