"""Pages of stations and species in a browser, and the way to the second in a recording."""

from datetime import UTC, datetime, timedelta

import pytest

from badc_core.corpus.building import build_corpus
from badc_core.reports.bundle import write_bundle
from badc_core.site.writing import write_site

JAY = "Cyanocitta cristata"
_WIDTH = "document.documentElement.scrollWidth"


@pytest.fixture
def corpus(workbench):
    """Returns the paths of two stations with jays, whose recordings have pages."""
    for n, station in enumerate(("MARSH", "RIDGE")):
        start = datetime(2024, 5, 14 + n, 5)
        name = f"rec-{n}"
        workbench.add(
            name,
            [(3.0 + 9 * k, 6.0 + 9 * k, "Jay", JAY, 0.8 + n / 10) for k in range(n + 1)],
            study_area=None,
            location=station,
            latitude=53.5 + n / 10,
            longitude=-113.5,
            timezone="America/Edmonton",
            utc_offset_min=-360,
            start_local=start,
            start_utc=(start + timedelta(hours=6)).replace(tzinfo=UTC),
            warnings=("Channel 1 of 2 is silent: check its microphone and cable.",),
        )
        write_bundle(workbench.dataset, name)
    build_corpus(workbench.dataset, ["rec-0", "rec-1"], {})
    write_site(workbench.dataset)
    return workbench.dataset.corpus


def test_from_a_species_she_gets_to_the_station_and_to_the_second_in_a_recording(corpus, browser):
    shown = browser.new_page()
    shown.goto(corpus.species_page("Jay").as_uri())
    clips = shown.locator(".exhibit")
    assert clips.locator(".facts").all_inner_texts()[0].splitlines()[:2] == [JAY, "RIDGE"]
    assert clips.count() == 2
    assert "data:audio/mpeg" in clips.locator("audio").first.get_attribute("src")
    clips.first.get_by_role("link", name="15 May 2024").press("Enter")
    shown.wait_for_url("**/rec-1_report.html#d-*")
    assert shown.locator("figure:target audio").get_attribute("aria-label") == "Jay at 05:00:03"
    shown.go_back()
    shown.locator("table a", has_text="MARSH").first.press("Enter")
    assert shown.locator("h1").inner_text() == "MARSH"
    assert shown.locator(".exhibit").count() == 1
    shown.locator("#species-table a", has_text="Jay").press("Enter")
    assert shown.locator("h1").inner_text().startswith("Jay")


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.soak)])
def test_pages_fit_a_telephone_and_are_accessible(corpus, browser, scheme):
    pytest.importorskip("axe_playwright_python")
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415  (may not be there)

    for page in (corpus.station_page(None, "RIDGE"), corpus.species_page("Jay")):
        shown = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
        shown.goto(page.as_uri())
        assert shown.evaluate(_WIDTH) == 390
        found = Axe().run(shown).response["violations"]
        wrong = [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]
        assert wrong == []
