"""What BirdNET's range model expects where, and when."""

import subprocess
import sys

import pytest

from badc_core.ranges.birdnet import WHOLE_YEAR, installed_range, week_of

ITHACA = 42.5, -76.45
MID_JUNE, MID_JANUARY = 23, 3

pytestmark = pytest.mark.usefixtures("birdnet")


@pytest.mark.parametrize(
    ("day", "week"),
    [
        (None, -1),
        ("2022-01-01", 1),
        ("2022-01-07", 1),
        ("2022-01-08", 2),
        ("2022-01-31", 4),
        ("2022-02-01", 5),
        ("2024-02-29", 8),
        ("2022-12-31", 48),
    ],
)
def test_a_month_has_four_weeks(day: str | None, week: int) -> None:
    assert week_of(day) == week


def test_the_meta_model_gives_what_it_is_known_to_give() -> None:
    # 255 species at this place over the year: measured with the model run by hand.
    often = installed_range().occurrences(*ITHACA, WHOLE_YEAR)
    assert 0 <= min(often.values()) <= max(often.values()) <= 1
    assert sum(one >= 0.03 for one in often.values()) == 255
    assert "" not in often
    assert often.keys() == installed_range().common_names.keys()


def test_loading_the_meta_model_prints_nothing() -> None:
    script = (
        "from badc_core.ranges.birdnet import installed_range\n"
        "installed_range().occurrences(42.5, -76.45, -1)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_the_week_changes_what_is_expected() -> None:
    expect = installed_range()
    assert expect.occurrences(*ITHACA, MID_JUNE)["Piranga olivacea"] > 0.03
    assert expect.occurrences(*ITHACA, MID_JANUARY)["Piranga olivacea"] < 0.03
    assert expect.occurrences(*ITHACA, MID_JUNE) is expect.occurrences(*ITHACA, MID_JUNE)
