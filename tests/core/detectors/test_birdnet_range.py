"""What BirdNET expects where, and how its detections say so."""

import subprocess
import sys
from pathlib import Path

import pytest

from badc_core.detectors import birdnet
from badc_core.detectors.birdnet import find_labels, find_model
from badc_core.detectors.birdnet_range import SpeciesRange, week_of
from badc_core.detectors.interface import RecordingContext
from badc_core.detectors.label_files import read_labels

ITHACA = RecordingContext(42.5, -76.45)
IN_JUNE = RecordingContext(42.5, -76.45, "2022-06-15")
KALAHARI_IN_JUNE = RecordingContext(-24.0, 22.0, "2022-06-15")


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
    often = SpeciesRange(find_model()).occurrences(ITHACA)
    assert often.shape == (6522,)
    assert 0 <= often.min() <= often.max() <= 1
    assert (often >= 0.03).sum() == 255


def test_loading_the_meta_model_prints_nothing() -> None:
    script = (
        "from badc_core.detectors.birdnet import find_model\n"
        "from badc_core.detectors.birdnet_range import SpeciesRange\n"
        "from badc_core.detectors.interface import RecordingContext\n"
        "SpeciesRange(find_model()).occurrences(RecordingContext(42.5, -76.45))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_the_date_changes_what_is_expected() -> None:
    labels = [label.name for label in read_labels(find_labels())]
    expect = SpeciesRange(find_model())
    scarlet_tanager = labels.index("Scarlet Tanager")
    assert expect.occurrences(IN_JUNE)[scarlet_tanager] > 0.03
    january = expect.occurrences(RecordingContext(42.5, -76.45, "2022-01-15"))
    assert january[scarlet_tanager] < 0.03
    assert expect.occurrences(IN_JUNE) is expect.occurrences(IN_JUNE)


@pytest.mark.parametrize(
    "place", [RecordingContext(), RecordingContext(42.5), RecordingContext(longitude=-76.45)]
)
def test_without_a_place_nothing_is_expected_or_unexpected(place: RecordingContext) -> None:
    assert SpeciesRange(find_model()).occurrences(place) is None


def test_without_the_meta_model_nothing_is_marked(tmp_path: Path) -> None:
    assert SpeciesRange(tmp_path / "model.tflite").occurrences(IN_JUNE) is None


def test_species_far_from_home_are_marked_and_kept(load, detect, field_audio: Path) -> None:
    detector = load("birdnet", min_score=0.1)
    song = field_audio / "CommonYellowthroat.mp3"
    found = detect(detector, song)
    at_home, far_away = (birdnet.mark(place, found) for place in (IN_JUNE, KALAHARI_IN_JUNE))
    assert len(at_home) == len(far_away) == len(found) > 0
    assert {one.is_expected for one in at_home} == {True}
    assert {one.is_expected for one in far_away} == {False}
    assert min(one.occurrence for one in at_home) >= 0.03 > max(one.occurrence for one in far_away)


def test_sounds_that_are_no_species_are_not_asked_for(load, detect, soundscape: Path) -> None:
    found = detect(load("birdnet", min_score=0.01, sensitivity=1.25), soundscape)
    found = birdnet.mark(IN_JUNE, found)
    species = [one for one in found if one.label.scientific_name]
    others = [one for one in found if not one.label.scientific_name]
    assert species
    assert others
    assert all(one.is_expected is not None and one.occurrence is not None for one in species)
    assert all(one.is_expected is None and one.occurrence is None for one in others)


def test_what_the_model_gives_does_not_depend_on_the_place(load, detect, soundscape: Path) -> None:
    detector = load("birdnet", min_score=0.05)
    assert detect(detector, soundscape, IN_JUNE) == detect(detector, soundscape)


def test_without_a_place_detections_stay_as_they_are(load, detect, soundscape: Path) -> None:
    found = detect(load("birdnet", min_score=0.05), soundscape)
    assert list(birdnet.mark(RecordingContext(), found)) == list(found)
