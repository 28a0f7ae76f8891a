"""Which labels of several detectors are one species.

They have the same scientific name, in any case and encoding of accents; labels without one are
matched by common name. Detections are matched in time in `comparing.py`.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Name:
    """The names of a label; the scientific one is empty if the table has none."""

    scientific: str
    common: str


@dataclass(frozen=True)
class SpeciesList:
    """Labels sorted into species.

    Attributes:
        number_of: label -> its index in `shown`.
        shown: each species, spelled as in its first label.
        homonyms: common name -> its different scientific names.
    """

    number_of: Mapping[Name, int]
    shown: tuple[Name, ...]
    homonyms: Mapping[str, tuple[str, ...]]


def sort_into_species(labels: Iterable[Name]) -> SpeciesList:
    """Returns which labels are one species.

    A label without a scientific name gets the one that other labels have with its common name. If
    there are several, it gets none and is a species of its own.

    Args:
        labels: all different labels, those whose spelling should be shown first.
    """
    labels = list(labels)
    scientific: dict[str, dict[str, str]] = defaultdict(dict)
    for one in labels:
        if one.scientific:
            scientific[_key(one.common)].setdefault(_key(one.scientific), one.scientific)
    numbers: dict[tuple[str, str], int] = {}
    number_of: dict[Name, int] = {}
    shown: list[Name] = []
    for one in labels:
        known = scientific.get(_key(one.common), {})
        name = one.scientific or (next(iter(known.values())) if len(known) == 1 else "")
        key = ("", _key(name)) if name else (_key(one.common), "")
        if key not in numbers:
            numbers[key] = len(shown)
            shown.append(Name(name, one.common))
        number_of[one] = numbers[key]
    homonyms: dict[str, tuple[str, ...]] = {}
    spelt = {_key(one.common): one.common for one in reversed(labels)}
    for common, known in scientific.items():
        if len(known) > 1:
            homonyms[spelt[common]] = tuple(known.values())
    return SpeciesList(number_of, tuple(shown), homonyms)


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", " ".join(name.casefold().split()))
