"""From score to probability, against numbers worked out by hand."""

import math
from pathlib import Path

import pytest

from badc_core.detections.calibrate import Calibrator, describe_calibration
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import Label
from badc_core.detectors.registry import identify_detector
from badc_core.errors import ConfigInvalid

OVENBIRD = Label("Ovenbird", "OVEN", "Seiurus aurocapilla")


def settings(path: Path, content: str) -> DetectorSettings:
    path.write_text(content)
    return DetectorSettings(name="birdnet", calibration_file=str(path))


@pytest.mark.parametrize("name", ["Ovenbird", "ovenBIRD", "Seiurus aurocapilla"])
def test_a_score_becomes_the_probability_of_its_labels_curve(tmp_path: Path, name: str) -> None:
    table = (
        f"label,n,intercept,slope,why\n{name},31,-1,2,a comment\nWinter Wren,,,,too few verdicts\n"
    )
    read = Calibrator.read(settings(tmp_path / "curves.csv", table))
    # logit(0.8) = ln 4, so odds against are e * 4**-2; logit(0.5) = 0.
    assert read.probability(OVENBIRD, 0.8) == pytest.approx(1 / (1 + math.e / 16))
    assert read.probability(OVENBIRD, 0.8) == pytest.approx(0.8547793)
    assert read.probability(OVENBIRD, 0.5) == pytest.approx(0.2689414)
    # 0 and 1 count as a millionth less extreme: odds of 999999.
    assert read.probability(OVENBIRD, 0.0) == pytest.approx(999999**-2 / math.e, rel=1e-5)
    assert read.probability(OVENBIRD, 1.0) == pytest.approx(1 - math.e * 999999**-2)
    assert read.probability(Label("Winter Wren"), 0.8) is None
    assert read.probability(Label("Moa"), 0.8) is None


def test_extreme_curves_stay_between_0_and_1(tmp_path: Path) -> None:
    table = "label,intercept,slope\nOvenbird,-900,100\nWinter Wren,900,100\n"
    read = Calibrator.read(settings(tmp_path / "curves.csv", table))
    assert read.probability(OVENBIRD, 1e-9) == 0
    assert read.probability(Label("Winter Wren"), 1.0) == 1


def test_a_curve_that_falls_is_refused_unless_its_table_says_it_is_not_usable(tmp_path) -> None:
    falling = "label,intercept,slope,usable\nOvenbird,1,-0.5,{}\n"
    with pytest.raises(ConfigInvalid, match=r"Ovenbird: a slope of -0.5.*Delete its line"):
        Calibrator.read(settings(tmp_path / "curves.csv", falling.format("yes")))
    read = Calibrator.read(settings(tmp_path / "curves.csv", falling.format("no")))
    assert read.probability(OVENBIRD, 0.5) is None


def test_without_a_file_nothing_is_known_and_a_lost_one_is_refused(tmp_path: Path) -> None:
    assert Calibrator.read(DetectorSettings()).probability(OVENBIRD, 0.5) is None
    assert describe_calibration(DetectorSettings()) == ()
    lost = DetectorSettings(calibration_file=str(tmp_path / "lost.csv"))
    for act in (Calibrator.read, describe_calibration):
        with pytest.raises(ConfigInvalid, match=r"lost\.csv: there is no such calibration file"):
            act(lost)


def test_a_misspelt_label_is_named_with_its_line(tmp_path: Path) -> None:
    misspelt = "label,intercept,slope\nOvenbird,1,0.5\nHouse Finsh,1,0.5\n"
    with pytest.raises(ConfigInvalid, match=r"curves\.csv: line 3: .*Perhaps: House Finch"):
        Calibrator.read(settings(tmp_path / "curves.csv", misspelt))
    (tmp_path / "t.csv").write_text("label;threshold\n\nHouse Finsh;0,5\n")
    given = {"thresholds_file": str(tmp_path / "t.csv"), "thresholds": {"House Finsh": 0.5}}
    with pytest.raises(ConfigInvalid, match=r"t\.csv: line 3: .*Perhaps: House Finch"):
        identify_detector(DetectorSettings(**given))
    with pytest.raises(ConfigInvalid, match=r"detector\.thresholds: .*'Blu Jay'"):
        identify_detector(DetectorSettings(**given | {"thresholds": {"Blu Jay": 0.5}}))
