"""Which labels of several detectors are one species.

By the scientific name, in whatever case and however accents are encoded; a label without one goes
by its common name. Matching detections in time is in `comparing.py`.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Name:
    """What a table calls a sound.

    Attributes:
        scientific: empty where the table has none.
        common: the common name.
    """

    scientific: str
    common: str


@dataclass(frozen=True)
class SpeciesList:
    """Labels sorted into species.

    Attributes:
        number_of: label -> its place in `shown`.
        shown: each species as the first label that has it is spelt.
        homonyms: common name -> the different scientific names that go by it.
    """

    number_of: Mapping[Name, int]
    shown: tuple[Name, ...]
    homonyms: Mapping[str, tuple[str, ...]]


def sort_into_species(labels: Iterable[Name]) -> SpeciesList:
    """Returns which labels are one species.

    A label without a scientific name takes the one that goes with its common name elsewhere. Where
    several do, it takes none of them and is a species of its own.

    Args:
        labels: all different ones, those whose spelling is to be shown first.
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
        taken = one.scientific or (next(iter(known.values())) if len(known) == 1 else "")
        key = ("", _key(taken)) if taken else (_key(one.common), "")
        if key not in numbers:
            numbers[key] = len(shown)
            shown.append(Name(taken, one.common))
        number_of[one] = numbers[key]
    homonyms: dict[str, tuple[str, ...]] = {}
    spelt = {_key(one.common): one.common for one in reversed(labels)}
    for common, known in scientific.items():
        if len(known) > 1:
            homonyms[spelt[common]] = tuple(known.values())
    return SpeciesList(number_of, tuple(shown), homonyms)


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", " ".join(name.casefold().split()))
