"""Detectors by name.

Packages add theirs through the entry-point group `badc.detectors`, whose entries name a module or
object with `identify` and `load` (`interface.DetectorLoader`).
"""

import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from functools import lru_cache, partial
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from badc_core.detector_files import place_of_threshold
from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.interface import (
    Detector,
    DetectorIdentity,
    DetectorLoader,
    Label,
)
from badc_core.errors import ConfigInvalid
from badc_core.settings import ChunkSettings, Settings

ENTRY_POINT_GROUP = "badc.detectors"


def list_detectors() -> list[str]:
    """Returns the names of all registered detectors, sorted."""
    return sorted(_entries(tuple(sys.path)))


def identify_detector(settings: DetectorSettings) -> DetectorIdentity:
    """Returns what would run, without loading it.

    Raises:
        ConfigInvalid: no detector of that name, or it has no label that is asked for.
        DetectorMissing: it is not installed.
    """
    loader = _loader(settings.name)
    require_known(settings, settings.thresholds, partial(place_of_threshold, settings))
    for table in ("include", "exclude"):
        require_known(settings, getattr(settings, table), f"detector.{table}")
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


def uses_place(settings: DetectorSettings) -> bool:
    """Returns whether what a detector's model gives may depend on place and date."""
    return bool(getattr(_loader(settings.name), "USES_PLACE", True))


def choose_chunks(settings: Settings) -> ChunkSettings:
    """Returns how recordings are cut: as set, or as long as the detector must hear at once.

    Raises:
        ConfigInvalid: no detector of that name.
    """
    at_once_s = hears_at_once_s(settings.detector)
    return settings.chunks if at_once_s is None else ChunkSettings(duration_s=at_once_s)


def hears_at_once_s(settings: DetectorSettings) -> float | None:
    """Returns up to which length recordings are given to a detector whole; None where any does.

    Raises:
        ConfigInvalid: no detector of that name.
    """
    return cast("float | None", getattr(_loader(settings.name), "HEARS_AT_ONCE_S", None))


def known_labels(settings: DetectorSettings) -> tuple[Label, ...] | None:
    """Returns all labels a detector can give; None where it does not say.

    Raises:
        ConfigInvalid: no detector of that name, or its labels cannot be read.
        DetectorMissing: it is not installed.
    """
    ask = getattr(_loader(settings.name), "labels", None)
    return None if ask is None else cast("tuple[Label, ...]", ask(settings))


def require_known(
    settings: DetectorSettings, names: Iterable[str], where: str | Callable[[str], str]
) -> None:
    """Returns if a detector has labels of these names; an unknown one would look like silence.

    Args:
        settings: the detector's.
        names: common or scientific names, or codes.
        where: they are given, as the error calls it; or what returns that of a name.

    Raises:
        ConfigInvalid: it does not have one of them.
        DetectorMissing: it is not installed.
    """
    given = tuple(names)
    labels = known_labels(settings) if given else None
    if labels is None:
        return
    known = {name.casefold(): name for label in labels for name in label.names}
    for name in given:
        if name.strip().casefold() not in known:
            near = get_close_matches(name.casefold(), known, n=3)
            meant = ", ".join(known[one] for one in near)
            raise ConfigInvalid(
                f"{settings.name} has no label {name!r}",
                where if isinstance(where, str) else where(name),
                f"Perhaps: {meant}" if meant else "Give a common or a scientific name",
            )


def load_detector(settings: DetectorSettings) -> Detector:
    """Returns a detector ready to run.

    Raises:
        ConfigInvalid: no detector of that name.
        DetectorMissing: it is not installed.
    """
    return _loader(settings.name).load(settings)


def _loader(name: str) -> DetectorLoader:
    found = _entries(tuple(sys.path)).get(name)
    if found is None:
        raise ConfigInvalid(
            f"no detector is called {name!r}",
            "detector.name",
            f"Choose one of: {', '.join(list_detectors())}",
        )
    return cast("DetectorLoader", found.load())


@lru_cache(maxsize=8)
def _entries(_path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """Returns name -> entry; all installed packages are looked through, which takes 50 ms."""
    # The first of a name is the one whose package comes first on the path.
    return {one.name: one for one in reversed(tuple(entry_points(group=ENTRY_POINT_GROUP)))}
