"""What the web interface shows of reports: a table, a picture, and a link that opens."""

import base64
import io
from dataclasses import replace
from urllib.parse import unquote

import pytest
from PIL import Image
from support.finished_dataset import MARSH_1, RIDGE, copy_finished

from badc_core.datasets.dataset import Dataset
from badc_core.reports.bundle import write_bundle
from badc_core.reports.highlights import (
    Highlights,
    ReportPicture,
    draw_bars,
    shrink_first_spectrogram,
)
from badc_core.site.highlights import find_highlights
from badc_dagster.report_metadata import bundle_metadata, highlights_metadata, page_metadata

_MOST_BYTES = 15_000


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return copy_finished(tmp_path_factory, tmp_path_factory.mktemp("shown") / "my birds")


def shown(metadata):
    return metadata["highlights"].md_str


def picture_in(text):
    kind, _, content = text.partition("](data:")[2].partition(")")[0].partition(";base64,")
    return kind, base64.b64decode(content)


def test_a_recordings_best_detection_is_shown_with_a_table(dataset):
    metadata = bundle_metadata(write_bundle(dataset, MARSH_1), dataset)
    text = shown(metadata)
    kind, content = picture_in(text)
    assert kind == "image/png"
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.size == (200, 65)
        assert len(picture.convert("L").getcolors()) > 3  # the tone stands out
    assert "| name | detections | best score |" in text
    assert "![Spectrogram of " in text
    assert len(text) < _MOST_BYTES
    assert metadata["report"].value == str(dataset.bundle(MARSH_1).html)


def test_without_sound_the_picture_says_when(dataset):
    settings = dataset.settings.model_copy(
        update={"report": dataset.settings.report.model_copy(update={"top_detections": 0})}
    )
    kind, content = picture_in(
        shown(bundle_metadata(write_bundle(replace(dataset, settings=settings), MARSH_1), dataset))
    )
    assert kind == "image/svg+xml"
    assert content.count(b"<rect") == 24


def test_where_nothing_was_detected_nothing_is_shown(dataset):
    assert "highlights" not in bundle_metadata(write_bundle(dataset, RIDGE), dataset)


def test_of_a_dataset_the_species_and_the_hours_of_the_day_are_shown(dataset):
    found = find_highlights(dataset)
    assert found.species[0]["detections"] > 0
    text = shown(highlights_metadata(found))
    kind, content = picture_in(text)
    assert kind == "image/svg+xml"
    assert "Detections by hour of the local day" in text
    heights = [float(one.split(b'"')[0]) for one in content.split(b'height="')[2:26]]
    assert [n for n, one in enumerate(heights) if one] == [5]  # all recordings began at 5:30
    write_bundle(dataset, MARSH_1)
    page = dataset.bundle(MARSH_1).html.read_text()
    picture = find_highlights(dataset, page).picture
    assert picture is not None
    assert picture == shrink_first_spectrogram(page)


def test_a_page_has_an_address_where_it_is_served_and_a_path_always(dataset):
    page = dataset.bundle(MARSH_1).html
    assert "page" not in page_metadata(dataset, page)
    served = Dataset.open(
        dataset.root, {"web_interface": {"reports_url": "https://example.org/my%20birds/"}}
    )
    metadata = page_metadata(served, page)
    start = "https://example.org/my%20birds/"
    assert metadata["page"].url == f"{start}artifacts/aggregate/{MARSH_1}_report.html"
    assert metadata["report"].value == str(page)
    assert unquote(metadata["dagster/uri"]) == f"file://{page}"


def test_names_stay_text_and_what_is_not_expected_is_counted():
    species = [
        {"name": "A|B <b>*x*\n", "detections": 3, "best": 0.9, "not_expected": 2},
        {"name": "Jay", "detections": 1, "best": 0.5, "not_expected": 0},
    ]
    text = shown(highlights_metadata(Highlights.choose(species, ReportPicture("data:x", "It"))))
    assert "| A\\|B \\<b>\\*x\\* | 3 | 0.90 | 2 |" in text
    assert "| Jay | 1 | 0.50 |  |" in text
    many = [{**species[1], "name": f"Jay {n}"} for n in range(20)]
    assert "and 12 more" in shown(highlights_metadata(Highlights.choose(many, None)))


def test_bars_are_as_high_as_what_they_stand_for():
    picture = draw_bars([0, 1, 2], ("a", "b"), "title")
    svg = base64.b64decode(picture.uri.partition(",")[2]).decode()
    assert [one.split('"')[0] for one in svg.split('height="')[2:5]] == ["0.0", "30.0", "60.0"]
    assert draw_bars([0, 0], ("a", "b"), "title") is None
