"""The gallery of a queue in Chromium, from its file, driven by real keys."""

import csv

import pytest
from support.browser import open_browser
from support.finished_dataset import copy_finished
from support.gallery import Reviewer

from badc_core.reviews.queue import QueueOrder, add_sounds, draw_queue
from badc_core.reviews.verdict_files import read_verdicts


@pytest.fixture(scope="module")
def browser(lacking):
    with open_browser(lacking) as opened:
        yield opened


@pytest.fixture(scope="module")
def queue(tmp_path_factory):
    """Returns a queue of five sounds of one label."""
    dataset = copy_finished(tmp_path_factory, tmp_path_factory.mktemp("review") / "a 'b' é")
    drawn = draw_queue(dataset, "queue-1", QueueOrder())
    assert len(add_sounds(dataset, drawn).made) == 5
    return drawn


def test_keys_judge_play_go_back_undo_and_name_another_species(browser, queue, tmp_path):
    reviewer = Reviewer(browser, queue.paths.page)
    reviewer.page.fill("#reviewer", '=Ann "B", é')
    reviewer.press("Escape")
    assert reviewer.hear_next("Space") >= 0
    assert "score" not in reviewer.shown("facts")
    reviewer.hear_next("1")
    assert reviewer.shown("position") == "Sound 2 of 5"
    reviewer.hear_next("ArrowLeft")
    assert f"score {queue.rows[0]['score']:.2f}" in reviewer.shown("facts")
    # Judged again, and taken back: the earlier verdict counts.
    reviewer.hear_next("2")
    reviewer.hear_next("z")
    assert reviewer.page.get_attribute('[data-verdict="correct"]', "aria-pressed") == "true"
    reviewer.hear_next("ArrowRight")
    reviewer.hear_next("i")
    reviewer.hear_next("z")
    assert (reviewer.shown("position"), reviewer.shown("progress-text")[:10]) == (
        "Sound 2 of 5",
        "· 1 judged",
    )
    # What is typed in a field is no key.
    reviewer.press("n", *"Tree 12, or u", "Enter")
    reviewer.press("Control+1")
    assert reviewer.shown("position") == "Sound 3 of 5"
    reviewer.press("u", "c", "c")
    assert reviewer.page.is_visible("#done")
    saved = reviewer.save(tmp_path)
    assert saved.name == "queue-1-verdicts-Ann-B-e.csv"
    verdicts = {one.detection_id: one for one in read_verdicts(saved)}
    said = [verdicts[one["detection_id"]] for one in queue.rows]
    assert [one.verdict for one in said] == [
        "correct", "incorrect", "uncertain", "correct", "correct",
    ]  # fmt: skip
    assert [one.corrected_label for one in said] == ["", "Tree 12, or u", "", "", ""]
    assert {one.reviewer for one in said} == {'=Ann "B", é'}
    assert [one.score for one in said] == [one["score"] for one in queue.rows]
    assert reviewer.errors == []


def test_what_was_saved_is_taken_back_and_a_reload_loses_nothing(browser, queue, tmp_path):
    first = Reviewer(browser, queue.paths.page)
    first.press("Space", "2", "1")
    first.page.reload()
    assert first.shown("progress-text").startswith("· 2 judged, 2 not in a file yet")
    assert first.shown("position") == "Sound 3 of 5"
    saved = first.save(tmp_path)
    assert "2 judged" in first.shown("progress-text")
    assert "not in a file" not in first.shown("progress-text")
    # As a spreadsheet may write it, and with a verdict on another queue's detection.
    with saved.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0]["verdict"] = rows[0]["verdict"][0]
    rows.append({**rows[0], "detection_id": "f" * 40})
    rewritten = tmp_path / "rewritten.csv"
    with rewritten.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";", quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
    second = Reviewer(browser, queue.paths.page)
    second.page.set_input_files("#load", rewritten)
    second.page.wait_for_function("document.getElementById('status').textContent.includes('taken')")
    expected = "2 verdicts taken from rewritten.csv; 1 are of another queue."
    assert second.shown("status") == expected
    assert second.shown("position") == "Sound 3 of 5"
    # A file that is none says so, and one that is older than what is here changes nothing.
    second.page.set_input_files("#load", queue.paths.description)
    second.page.wait_for_function("document.getElementById('status').textContent.includes('holds')")
    assert "2 judged" in second.shown("progress-text")
    assert first.errors == second.errors == []


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_the_page_fits_a_phone_and_is_accessible(browser, queue, width, scheme):
    reviewer = Reviewer(
        browser,
        queue.paths.page,
        viewport={"width": width, "height": 844},
        color_scheme=scheme,
    )
    reviewer.press("Space", "1")
    assert reviewer.page.evaluate("document.documentElement.scrollWidth") <= width
    for verdict in ("correct", "incorrect", "uncertain"):
        box = reviewer.page.locator(f'[data-verdict="{verdict}"]').bounding_box()
        assert box["y"] + box["height"] <= 844, "a verdict needs scrolling"
        assert min(box["width"], box["height"]) >= 44
    assert reviewer.violations() == []
