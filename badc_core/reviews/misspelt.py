"""Finding names of species in verdicts that are probably misspelt."""

from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches

from badc_core.detector_settings import DetectorSettings
from badc_core.detectors.registry import known_labels
from badc_core.errors import DetectorMissing


def find_misspelt(settings: DetectorSettings, names: Iterable[str]) -> dict[str, list[str]]:
    """Returns name -> labels that are nearly called so.

    Names that are nothing like a label are no mistake: a sound may be what no detector knows. Where
    the detector is not here to say what it knows, nothing is found.

    Raises:
        ConfigInvalid: no detector of that name, or its labels cannot be read.
    """
    given = tuple(names)
    labels = None
    if given:
        with suppress(DetectorMissing):
            labels = known_labels(settings)
    known = {name.casefold(): name for label in labels or () for name in label.names}
    unknown = [one for one in given if one.casefold() not in known]
    near = {one: get_close_matches(one.casefold(), known, 3, 0.8) for one in unknown}
    return {one: [known[name] for name in some] for one, some in near.items() if some}
