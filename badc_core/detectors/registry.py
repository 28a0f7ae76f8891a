"""Detectors by name.

Packages add theirs through the entry-point group `badc.detectors`, whose entries name a module or
object with `identify` and `load` (`interface.DetectorLoader`).
"""

from importlib.metadata import entry_points
from typing import cast

from badc_core.detectors.interface import Detector, DetectorIdentity, DetectorLoader
from badc_core.errors import ConfigInvalid
from badc_core.settings import DetectorSettings

ENTRY_POINT_GROUP = "badc.detectors"


def detector_names() -> list[str]:
    """Returns the names of all registered detectors, sorted."""
    return sorted(entry_points(group=ENTRY_POINT_GROUP).names)


def identify_detector(settings: DetectorSettings) -> DetectorIdentity:
    """Returns what would run, without loading it.

    Raises:
        ConfigInvalid: no detector of that name.
        DetectorMissing: it is not installed.
    """
    return _loader(settings.name).identify(settings)


def load_detector(settings: DetectorSettings) -> Detector:
    """Returns a detector ready to run.

    Raises:
        ConfigInvalid: no detector of that name.
        DetectorMissing: it is not installed.
    """
    return _loader(settings.name).load(settings)


def _loader(name: str) -> DetectorLoader:
    found = entry_points(group=ENTRY_POINT_GROUP, name=name)
    if not found:
        raise ConfigInvalid(
            f"no detector is called {name!r}",
            "detector.name",
            f"Choose one of: {', '.join(detector_names())}",
        )
    return cast("DetectorLoader", next(iter(found)).load())
