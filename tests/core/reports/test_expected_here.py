"""A bird that cannot be there is marked wherever it is shown, or is shown nowhere."""

import csv
import json
from pathlib import Path

import pytest
from support.alberta import CACTUS_WREN, ENGINE, OVENBIRD, build_alberta
from support.commands import run_badc
from support.detecting import detect_in_process, ids

from badc_core.corpus.building import build_corpus
from badc_core.corpus.root import CorpusTotals
from badc_core.corpus.verifying import check_corpus
from badc_core.datasets.dataset import Dataset
from badc_core.reports.bundle import write_bundle
from badc_core.site.writing import write_site

BADGE = '<span class="badge">not expected here</span>'

pytestmark = pytest.mark.usefixtures("birdnet")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Returns a dataset in Alberta in which three labels are found three times each."""
    build_alberta(tmp_path)
    return tmp_path


def report(root: Path, how: str, more: str = "") -> tuple[Dataset, CorpusTotals]:
    """Returns the dataset with all its pages and tables made."""
    settings = (root / "badc.toml").read_text()
    (root / "badc.toml").write_text(
        settings.replace("[detector]", f"[detector]\nrange = '{how}'\n{more}")
    )
    dataset = Dataset.open(root)
    detect_in_process(dataset, ids(dataset))
    for one in ids(dataset):
        write_bundle(dataset, one)
    totals = build_corpus(dataset, ids(dataset), {})
    write_site(dataset)
    return dataset, totals


def texts(dataset: Dataset) -> dict[Path, str]:
    """Returns every page and table of the dataset."""
    kinds = {".html", ".csv", ".json"}
    folders = (dataset.aggregate, dataset.corpus.folder)
    paths = {path for folder in folders for path in folder.rglob("*") if path.suffix in kinds}
    return {path: path.read_text() for path in paths}


def test_a_desert_bird_is_marked_on_every_page_table_and_line(root):
    dataset, totals = report(root, "mark")
    (recording_id,) = ids(dataset)
    assert (totals.expected, totals.not_expected, totals.not_known) == (3, 3, 3)
    counted = (
        "3 detections are expected, 3 not expected here (1 species), and for 3 it is not known"
    )
    pages = [dataset.bundle(recording_id).html, dataset.corpus.html]
    for page in (path.read_text() for path in pages):
        assert counted in " ".join(page.split())
        assert "left out" not in page
        for name, is_marked in ((CACTUS_WREN, True), (OVENBIRD, False)):
            row = next(one for one in page.split("<tr>")[1:] if f">{name}<" in one)
            assert (BADGE in row) == is_marked
    for name, said in ((CACTUS_WREN, "none of them is"), (OVENBIRD, "all of them are")):
        page = dataset.corpus.species_page(name).read_text()
        assert f"By place and season, {said} expected." in page
    exhibits = pages[0].read_text().split("<figure")
    marked = [one for one in exhibits if BADGE in one and f"<span>{CACTUS_WREN}</span>" in one]
    assert len(marked) == 2
    assert not [one for one in exhibits if BADGE in one and f"<span>{OVENBIRD}</span>" in one]
    with (dataset.corpus.summary / "label_summary.csv").open() as file:
        assert "avg_calibrated_p" not in file.readline()
        file.seek(0)
        rows = {row["label"]: row for row in csv.DictReader(file)}
    counts = [rows[CACTUS_WREN][one] for one in ("expected", "not_expected", "not_known")]
    assert counts == ["0", "3", "0"]
    with (dataset.corpus.summary / "recording_summary.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert [row[one] for one in ("expected", "not_expected", "not_known")] == ["3", "3", "3"]
    lines = run_badc("report", ".", folder=root).stdout
    assert "3 detections expected, 3 not expected here (1 species), 3 not known" in lines
    checks = {one.name: one for one in check_corpus(dataset)}
    # As many are expected as are not, so place and date need not be wrong.
    assert checks["species_expected"].passed


def test_where_there_is_a_curve_tables_and_the_terminal_say_how_many_are_right(root):
    """Three Cactus Wrens of score 0.6, each right by 0.452873: odds against are e * 1.5**-2."""
    (root / "curves.csv").write_text("label,intercept,slope\nCactus Wren,-1,2\n")
    dataset, _ = report(root, "mark", "calibration_file = 'curves.csv'")
    with (dataset.corpus.summary / "label_summary.csv").open() as file:
        means = {row["label"]: row["avg_calibrated_p"] for row in csv.DictReader(file)}
    assert means == {CACTUS_WREN: "0.452873", OVENBIRD: "", ENGINE: ""}
    shown = run_badc("report", ".", folder=root).stdout
    assert "Probably right" in shown
    row = next(line for line in shown.splitlines() if line.startswith(CACTUS_WREN))
    assert row.split()[-1] == "1.4"


def test_with_a_filter_it_is_nowhere_and_the_pages_say_what_was_left_out(root):
    dataset, totals = report(root, "filter")
    (recording_id,) = ids(dataset)
    found = texts(dataset)
    assert [path for path, text in found.items() if CACTUS_WREN in text] == []
    assert [path for path, text in found.items() if "Campylorhynchus" in text] == []
    for page in (dataset.bundle(recording_id).html, dataset.corpus.html):
        assert "3 detections of 1 species left out: not expected here." in found[page]
        assert BADGE not in found[page]
        assert OVENBIRD in found[page]
    assert (totals.not_expected, totals.left_out) == (0, 3)
    lines = run_badc("report", ".", "-r", recording_id, folder=root).stdout
    assert CACTUS_WREN not in lines
    assert "3 detections of 1 species left out: not expected here" in lines
    shown = json.loads(run_badc("report", ".", "--json", folder=root).stdout)
    assert shown["left_out"] == 3
    assert {one["label"] for one in shown["species"]} == {OVENBIRD, "Engine"}


def test_where_nothing_is_asked_nothing_is_said(root):
    dataset, _ = report(root, "off")
    assert not [path for path, text in texts(dataset).items() if "expected here" in text]
    assert "expected here" not in run_badc("report", ".", folder=root).stdout
