"""Which detections a table of thresholds and lists of labels keep."""

from collections.abc import Iterable

import pytest

from badc_core.detections.filters import Filter
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import Detection, Label

OVENBIRD = Detection(0, 10, Label("Ovenbird", "OVEN", "Seiurus aurocapilla"), 0.6)
WREN = Detection(10, 20, Label("Winter Wren", "WIWR", "Troglodytes hiemalis"), 0.4)
ENGINE = Detection(20, 30, Label("Engine"), 0.9)
ALL = (OVENBIRD, WREN, ENGINE)


def keep(detections: Iterable[Detection], settings: DetectorSettings) -> tuple[Detection, ...]:
    return Filter(settings).of(detections)


def test_without_tables_everything_is_kept_in_order() -> None:
    assert keep(iter(ALL), DetectorSettings()) == ALL
    assert keep([], DetectorSettings()) == ()


@pytest.mark.parametrize("name", ["Ovenbird", "ovenbird", "OVEN", "oven", " Seiurus Aurocapilla "])
def test_a_label_is_meant_by_any_of_its_names(name: str) -> None:
    assert keep(ALL, DetectorSettings(include=(name,))) == (OVENBIRD,)
    assert keep(ALL, DetectorSettings(exclude=(name,))) == (WREN, ENGINE)
    assert keep(ALL, DetectorSettings(thresholds={name: 0.7})) == (WREN, ENGINE)


def test_a_threshold_is_the_lowest_score_kept() -> None:
    assert keep(ALL, DetectorSettings(thresholds={"OVEN": 0.6, "WIWR": 0.41})) == (OVENBIRD, ENGINE)


def test_a_threshold_counts_in_place_of_the_minimum_score_also_where_it_is_lower() -> None:
    settings = DetectorSettings(min_score=0.95, thresholds={"WIWR": 0.1})
    assert keep(ALL, settings) == (WREN,)
    assert settings.lowest_score == 0.1
    assert DetectorSettings(min_score=0.3, thresholds={"WIWR": 0.9}).lowest_score == 0.3


def test_of_several_thresholds_the_highest_counts() -> None:
    for thresholds in ({"OVEN": 0.7, "Ovenbird": 0.5}, {"oven": 0.5, "OVEN": 0.7}):
        assert keep([OVENBIRD], DetectorSettings(thresholds=thresholds)) == ()


def test_what_is_excluded_is_not_included() -> None:
    settings = DetectorSettings(include=("OVEN", "WIWR"), exclude=("Winter Wren",))
    assert keep(ALL, settings) == (OVENBIRD,)


def test_names_that_no_label_has_are_without_effect() -> None:
    unknown = DetectorSettings(thresholds={"Dodo": 1.0, "": 1.0}, exclude=("Dodo", ""))
    assert keep(ALL, unknown) == ALL
    assert keep(ALL, DetectorSettings(include=("Dodo",))) == ()
