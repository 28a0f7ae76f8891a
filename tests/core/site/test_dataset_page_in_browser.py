"""The page of a dataset in a browser, with somebody who presses keys."""

import csv
import time
from datetime import datetime, timedelta

import pytest

from badc_core.corpus.building import build_corpus
from badc_core.reports.bundle import write_bundle
from badc_core.site.writing import write_site

FORMULA = '=HYPERLINK("http://example.org")'
STATIONS = (("Ridge", 54.9, -115.4, 2), ("Pond", 54.8, -115.3, 10), ("Årsta", 54.85, -115.35, 0))
_SHOWN = """() => {
    const drawn = document.querySelector('.map svg').getBoundingClientRect();
    return [...document.querySelectorAll('.map text')].map(one => {
        const box = one.getBoundingClientRect();
        return box.left >= drawn.left && box.right <= drawn.right && box.height >= 10;
    });
}"""


@pytest.fixture
def page(workbench):
    """Returns the page of four stations, one of which is called like a formula."""
    for n, (station, latitude, longitude, n_found) in enumerate(
        (*STATIONS, (FORMULA, None, None, 3))
    ):
        workbench.add(
            f"rec-{n}",
            found=[
                (3.0 * k, 3.0 * k + 3, "Jay", "Cyanocitta cristata", 0.9) for k in range(n_found)
            ],
            location=station,
            study_area=None,
            latitude=latitude,
            longitude=longitude,
            start_local=datetime(2024, 5, 14, 5, 30) + timedelta(days=n),
            warnings=("Channel 1 of 2 is silent: check its microphone and cable.",),
        )
        write_bundle(workbench.dataset, f"rec-{n}")
    build_corpus(workbench.dataset, [f"rec-{n}" for n in range(4)], {})
    return write_site(workbench.dataset).page


def stations(shown):
    return shown.locator("#stations-table tbody th").all_inner_texts()


def test_she_sorts_a_table_by_keys_and_saves_it_as_a_spreadsheet_may_open_it(
    page, browser, tmp_path
):
    shown = browser.new_page()
    shown.goto(page.as_uri())
    many = shown.locator("#stations-table tr", has_text="Pond").get_by_text("10", exact=True)
    many.evaluate("cell => cell.innerText = '1,010'")  # as pages write it
    header = shown.locator("#stations-table th", has_text="Detections")
    header.locator("button").focus()
    shown.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "descending"
    assert stations(shown) == ["Pond", FORMULA, "Ridge", "Årsta"]
    shown.keyboard.press("Space")
    assert header.get_attribute("aria-sort") == "ascending"
    assert stations(shown) == ["Årsta", "Ridge", FORMULA, "Pond"]
    shown.locator("#stations-table th", has_text="Station").locator("button").press("Enter")
    assert header.get_attribute("aria-sort") is None
    assert stations(shown) == [FORMULA, "Årsta", "Pond", "Ridge"]
    with shown.expect_download() as waiting:
        shown.locator("button[data-table=stations-table]").press("Enter")
    waiting.value.save_as(tmp_path / waiting.value.suggested_filename)
    with (tmp_path / "stations.csv").open(encoding="utf-8", newline="") as file:
        header_row, *rows = csv.reader(file)
    assert header_row[0] == "Station"
    assert [row[0] for row in rows] == [f"'{FORMULA}", "Årsta", "Pond", "Ridge"]
    assert [row[header_row.index("Detections")] for row in rows] == ["3", "0", "1010", "2"]


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.soak)])
def test_the_page_fits_a_telephone_and_axe_core_finds_nothing_wrong(page, browser, scheme):
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415  (may not be there)

    shown = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    errors = []
    shown.on("pageerror", lambda error: errors.append(str(error)))
    started_s = time.perf_counter()
    shown.goto(page.as_uri())
    assert time.perf_counter() - started_s < 20  # 2 s on a machine that does nothing else
    assert errors == []
    assert shown.evaluate("document.documentElement.scrollWidth") == 390
    names = shown.evaluate(_SHOWN)
    assert len(names) >= 4
    assert all(names)
    found = Axe().run(shown).response["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []


def test_without_javascript_the_page_is_whole_and_offers_nothing_that_needs_it(page, browser):
    shown = browser.new_context(java_script_enabled=False).new_page()
    shown.goto(page.as_uri())
    assert len(shown.locator("#stations-table tbody tr").all()) == 4
    assert not shown.locator("button[data-csv]").first.is_visible()


def test_clips_are_heard_and_lead_to_the_second_in_the_recording(page, browser):
    shown = browser.new_page()
    shown.goto(page.as_uri())
    sound = shown.locator(".exhibit audio").first
    duration_s = sound.evaluate(
        "one => new Promise(done => "
        "{ one.onloadedmetadata = () => done(one.duration); one.load(); })"
    )
    assert duration_s == pytest.approx(4, abs=0.3)
    shown.locator(".exhibit .facts a", has_text="May 2024").first.click()
    shown.wait_for_url("**/rec-*_report.html#d-*")
    assert shown.evaluate("document.querySelector(':target').tagName") == "FIGURE"


def test_what_is_wrong_with_a_dataset_is_grouped_by_kind(page):
    text = page.read_text(encoding="utf-8")
    notice = text[text.index('aria-labelledby="attention"') :].split("</section>")[0]
    assert "<h3>Microphones and channels</h3>" in notice
    assert "4 recordings, such as" in notice
    assert 'rec-0_report.html">rec-0</a>' in notice
    assert "<h3>Clocks</h3>" not in notice
