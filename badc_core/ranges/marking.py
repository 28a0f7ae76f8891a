"""Marks detections with whether their species is expected at a recording's place and date.

The answer comes, in this order, from the list of species in the settings, from the detector itself
where it looks that up, and from BirdNET's range model, by scientific name. What is not known stays
without a mark: a place, a species that the model lacks, a sound that is of no species.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import Detection, RecordingContext
from badc_core.detectors.registry import known_labels
from badc_core.errors import ConfigInvalid
from badc_core.hashing import sha256_unchanged
from badc_core.ranges.birdnet import (
    EXPECTED_FROM,
    WHOLE_YEAR,
    SpeciesRange,
    find_range_model,
    installed_range,
    week_of,
)
from badc_core.ranges.species_list import ListedSpecies, require_list

_INSTALL = (
    "Run: pip install 'badc[birdnet]', or give a detector.species_list, or set detector.range"
)


class Marking:
    """Marks detections, and tells those apart that the settings leave out.

    Attributes:
        remark: which species of a list the detector does not know; empty if it knows all.

    Raises:
        ConfigInvalid: the settings ask for what nothing here can answer, or the list of species
            cannot be read or fits none of the detector's labels.
    """

    def __init__(self, settings: DetectorSettings) -> None:
        self._settings = settings
        self._list, self.remark = _find_list(settings)
        self._range = _find_range(settings)

    @property
    def leaves_out(self) -> bool:
        """Whether detections that are not expected are left out."""
        return self._settings.range == "filter"

    def mark(
        self, context: RecordingContext, detections: Sequence[Detection]
    ) -> tuple[Detection, ...]:
        """Returns as many detections, in the same order, with `is_expected` and `occurrence`."""
        if self._settings.range == "off":
            return tuple(replace(one, is_expected=None, occurrence=None) for one in detections)
        if self._list is not None:
            listed = self._list
            return tuple(
                replace(one, is_expected=listed.expects(one.label), occurrence=None)
                for one in detections
            )
        often = self._occurrences(context) if detections else {}
        return tuple(self._marked(one, often) for one in detections)

    def split(
        self, detections: Iterable[Detection]
    ) -> tuple[tuple[Detection, ...], tuple[Detection, ...]]:
        """Returns marked detections in two: what the settings keep, and what they leave out."""
        kept: list[Detection] = []
        left_out: list[Detection] = []
        for one in detections:
            (left_out if self.leaves_out and one.is_expected is False else kept).append(one)
        return tuple(kept), tuple(left_out)

    def _occurrences(self, context: RecordingContext) -> Mapping[str, float]:
        """Returns scientific name -> occurrence; empty where that is not known."""
        if self._range is None or context.latitude is None or context.longitude is None:
            return {}
        week = self._settings.range_week
        if week == "recording":
            week = week_of(context.date)
        elif week == "year":
            week = WHOLE_YEAR
        return self._range.occurrences(context.latitude, context.longitude, week)

    def _marked(self, one: Detection, often: Mapping[str, float]) -> Detection:
        threshold = self._settings.range_threshold
        is_own = one.is_expected is not None or one.occurrence is not None
        if is_own and self._settings.range_week == "recording":
            if threshold is None or one.occurrence is None:
                return one
            return replace(one, is_expected=one.occurrence >= threshold)
        value = often.get(one.label.scientific_name)
        if value is None:
            return replace(one, is_expected=None, occurrence=None) if is_own else one
        lowest = EXPECTED_FROM if threshold is None else threshold
        return replace(one, is_expected=value >= lowest, occurrence=value)


def describe_marks(settings: DetectorSettings) -> tuple[str, ...]:
    """Returns the files that decide marks, each with its SHA-256, for fingerprints.

    Raises:
        ConfigInvalid: the list of species is not there.
    """
    if settings.range == "off":
        return ()
    if settings.species_list:
        path = require_list(Path(settings.species_list))
        return (f"species list: {sha256_unchanged(path)}",)
    path_or_none = find_range_model() if _asks_birdnet(settings) else None
    if path_or_none is None:
        return ()
    has_it = path_or_none.is_file()
    return (f"{path_or_none.name}: {sha256_unchanged(path_or_none) if has_it else 'absent'}",)


def _asks_birdnet(settings: DetectorSettings) -> bool:
    """Returns whether BirdNET's range model is asked about a detector's labels.

    HawkEars looks up occurrences itself, in the week of the recording only.
    """
    if settings.range == "off" or settings.species_list:
        return False
    if settings.name.startswith("hawkears"):
        return not settings.hawkears.use_occurrence or settings.range_week != "recording"
    labels = known_labels(settings)
    return labels is None or any(one.scientific_name for one in labels)


def _find_range(settings: DetectorSettings) -> SpeciesRange | None:
    if not _asks_birdnet(settings):
        return None
    found = installed_range()
    if found is None and (settings.range == "filter" or settings.range_week != "recording"):
        raise ConfigInvalid("BirdNET's range model is not installed", "detector.range", _INSTALL)
    return found


def _find_list(settings: DetectorSettings) -> tuple[ListedSpecies | None, str]:
    """Returns the list of species, and which of them the detector does not know."""
    if settings.range == "off" or not settings.species_list:
        return None, ""
    found = ListedSpecies.read(Path(settings.species_list))
    labels = known_labels(settings)
    return found, "" if labels is None else found.compare(labels, settings.name)
