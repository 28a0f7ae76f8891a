"""Detectors by name.

Packages add theirs through the entry-point group `badc.detectors`, whose entries name a module or
object with `identify` and `load` (`interface.DetectorLoader`).
"""

from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import cast

from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import Detector, DetectorIdentity, DetectorLoader
from badc_core.errors import ConfigInvalid

ENTRY_POINT_GROUP = "badc.detectors"


def list_detectors() -> list[str]:
    """Returns the names of all registered detectors, sorted."""
    return sorted(entry_points(group=ENTRY_POINT_GROUP).names)


def identify_detector(settings: DetectorSettings) -> DetectorIdentity:
    """Returns what would run, without loading it.

    Raises:
        ConfigInvalid: no detector of that name, or it has no label that is asked for.
        DetectorMissing: it is not installed.
    """
    loader = _loader(settings.name)
    _refuse_unknown_labels(loader, settings)
    return loader.identify(settings)


def uses_gpu(settings: DetectorSettings) -> bool:
    """Returns whether a detector can use a GPU, without looking for its files if possible.

    Raises:
        ConfigInvalid: no detector of that name.
        DetectorMissing: it is not installed, and does not say otherwise.
    """
    loader = _loader(settings.name)
    known = getattr(loader, "USES_GPU", None)
    return loader.identify(settings).uses_gpu if known is None else bool(known)


def load_detector(settings: DetectorSettings) -> Detector:
    """Returns a detector ready to run.

    Raises:
        ConfigInvalid: no detector of that name.
        DetectorMissing: it is not installed.
    """
    return _loader(settings.name).load(settings)


def _refuse_unknown_labels(loader: DetectorLoader, settings: DetectorSettings) -> None:
    """Raises where a list names an unknown label, which would look like silence."""
    tables = {
        "thresholds": settings.thresholds,
        "include": settings.include,
        "exclude": settings.exclude,
    }
    ask = getattr(loader, "labels", None)
    if ask is None or not any(tables.values()):
        return
    known = {name.casefold(): name for label in ask(settings) for name in label.names}
    for table, names in tables.items():
        for name in names:
            if name.strip().casefold() not in known:
                near = get_close_matches(name.casefold(), known, n=3)
                meant = ", ".join(known[one] for one in near)
                raise ConfigInvalid(
                    f"{settings.name} has no label {name!r}",
                    f"detector.{table}",
                    f"Perhaps: {meant}" if meant else "Give a common or a scientific name",
                )


def _loader(name: str) -> DetectorLoader:
    found = entry_points(group=ENTRY_POINT_GROUP, name=name)
    if not found:
        raise ConfigInvalid(
            f"no detector is called {name!r}",
            "detector.name",
            f"Choose one of: {', '.join(list_detectors())}",
        )
    return cast("DetectorLoader", next(iter(found)).load())
