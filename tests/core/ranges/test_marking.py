"""How detections are marked, and which are left out."""

from dataclasses import replace
from pathlib import Path

import pytest

from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import NO_CONTEXT, Detection, Label, RecordingContext
from badc_core.errors import ConfigInvalid
from badc_core.ranges import marking
from badc_core.ranges.marking import Marking, describe_marks

ALBERTA = RecordingContext(55.0, -114.0, "2024-05-15")
IN_WINTER = replace(ALBERTA, date="2024-01-15")
CACTUS_WREN = Label("Cactus Wren", scientific_name="Campylorhynchus brunneicapillus")
OVENBIRD = Label("Ovenbird", scientific_name="Seiurus aurocapilla")
UNHEARD_OF = Label("Wolf", scientific_name="Canis lupus nonexistens")
ENGINE = Label("Engine")
LABELS = (CACTUS_WREN, OVENBIRD, UNHEARD_OF, ENGINE)
FOUND = tuple(Detection(0, 3, one, 0.5) for one in LABELS)

pytestmark = pytest.mark.usefixtures("birdnet")


def mark(context: RecordingContext = ALBERTA, found=FOUND, **settings) -> list[bool | None]:
    """Returns which of the detections are expected."""
    marked = Marking(DetectorSettings(**settings)).mark(context, found)
    assert [replace(one, is_expected=None, occurrence=None) for one in marked] == [
        replace(one, is_expected=None, occurrence=None) for one in found
    ]
    return [one.is_expected for one in marked]


def test_a_species_that_cannot_be_there_is_marked_by_any_detector() -> None:
    for name in ("birdnet", "command"):
        assert mark(name=name, command="true") == [False, True, None, None]
    wren, ovenbird, *_ = Marking(DetectorSettings()).mark(ALBERTA, FOUND)
    # Both were measured with the model run by hand: week 19, at 55, -114.
    assert wren.occurrence == pytest.approx(2.07e-7, rel=0.01)
    assert ovenbird.occurrence == pytest.approx(0.3468, rel=0.001)


def test_the_week_is_that_of_the_recording_or_a_given_one_or_the_whole_year() -> None:
    ovenbird = FOUND[1:2]
    assert mark(ALBERTA, ovenbird) == [True]
    assert mark(IN_WINTER, ovenbird) == [False]
    assert mark(IN_WINTER, ovenbird, range_week="year") == [True]
    assert mark(IN_WINTER, ovenbird, range_week=19) == [True]
    assert mark(ALBERTA, ovenbird, range_week=3) == [False]
    assert mark(replace(ALBERTA, date=None), ovenbird) == [True], "without a date, of the year"


def test_the_threshold_decides_and_may_be_that_of_the_value_itself() -> None:
    (ovenbird,) = Marking(DetectorSettings()).mark(ALBERTA, FOUND[1:2])
    assert mark(found=FOUND[1:2], range_threshold=ovenbird.occurrence) == [True]
    assert mark(found=FOUND[1:2], range_threshold=ovenbird.occurrence + 1e-6) == [False]
    assert mark(found=FOUND[:1], range_threshold=0.0) == [True]


@pytest.mark.parametrize(
    "place", [NO_CONTEXT, RecordingContext(55.0), RecordingContext(longitude=-114.0)]
)
def test_without_a_place_nothing_is_known(place: RecordingContext) -> None:
    assert mark(place) == [None] * 4
    settings = DetectorSettings(range="filter")
    marked = Marking(settings).mark(place, FOUND)
    assert Marking(settings).split(marked) == (FOUND, ())


def test_a_filter_leaves_out_what_is_not_expected_and_nothing_that_is_not_known() -> None:
    for name, kept in (("mark", LABELS), ("filter", LABELS[1:])):
        chosen = Marking(DetectorSettings(range=name))
        found, left_out = chosen.split(chosen.mark(ALBERTA, FOUND))
        assert tuple(one.label for one in found) == kept
        assert len(found) + len(left_out) == 4


def test_off_takes_a_detectors_own_marks_too() -> None:
    own = (replace(FOUND[0], is_expected=True, occurrence=0.4), *FOUND[1:])
    assert mark(found=own) == [True, True, None, None], "what a detector says itself counts"
    assert mark(found=own, range="off") == [None] * 4


def test_hawkears_own_occurrences_are_compared_again_and_its_verdicts_kept() -> None:
    own = tuple(
        replace(FOUND[1], is_expected=is_expected, occurrence=often)
        for is_expected, often in ((True, 0.01), (False, 0.0001), (True, None), (None, None))
    )
    assert mark(found=own, name="hawkears") == [True, False, True, None], "not asked of BirdNET"
    assert mark(found=own, name="hawkears", range_threshold=0.05) == [False, False, True, None]
    for week in ("year", 19):  # which HawkEars did not look up
        assert mark(found=own, name="hawkears", range_week=week) == [True] * 4
    without = {"use_occurrence": False}
    assert mark(found=FOUND, name="hawkears", hawkears=without) == [False, True, None, None]


def test_a_list_of_species_decides_in_place_of_a_model(tmp_path: Path) -> None:
    path = tmp_path / "here.txt"
    path.write_text("cactus wren\n")
    settings = {"name": "command", "command": "true", "species_list": str(path)}
    own = replace(FOUND[1], is_expected=True, occurrence=0.4)
    assert mark(found=[*FOUND, own], **settings) == [True, False, False, None, False]
    assert mark(NO_CONTEXT, **settings) == [True, False, False, None], "wherever it is"


def test_what_cannot_be_answered_is_refused_only_where_it_was_asked(monkeypatch) -> None:
    monkeypatch.setattr(marking, "installed_range", lambda: None)
    assert mark() == [None] * 4
    for given in ({"range": "filter"}, {"range_week": "year"}):
        with pytest.raises(ConfigInvalid, match=r"range model is not installed.*birdnet"):
            Marking(DetectorSettings(**given))
    assert mark(range="off", range_week="year") == [None] * 4
    Marking(DetectorSettings(name="band_energy", range="filter"))  # which names no species


def test_what_decides_marks_is_named_with_its_content(tmp_path: Path) -> None:
    (model,) = describe_marks(DetectorSettings())
    assert model.startswith("BirdNET_GLOBAL_6K_V2.4_MData_Model_V2_FP16.tflite: ")
    assert describe_marks(DetectorSettings(range="off")) == ()
    assert describe_marks(DetectorSettings(name="band_energy")) == ()
    assert describe_marks(DetectorSettings(name="hawkears")) == ()
    path = tmp_path / "here.txt"
    path.write_text("Ovenbird\n")
    first = describe_marks(DetectorSettings(species_list=str(path)))
    path.write_text("Cactus Wren\n")
    assert first != describe_marks(DetectorSettings(species_list=str(path)))
