"""Labels as long as the sound: a recording's detections of one label that touch, joined into one.

It is done with all chunks of a recording together, once the model is through with them, and so
does not depend on where chunks begin and end. Which detections are kept at all is in `filters.py`.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from badc_core.detectors.interface import Detection, Label

_Placed = tuple[Detection, int]
"""A detection, and the number of the chunk it was found in."""


def join_touching(chunks: Sequence[Iterable[Detection]]) -> list[tuple[Detection, ...]]:
    """Returns each chunk's detections, those joined that overlap or follow without a gap.

    What is joined lasts as long as its parts together, has the score and the marks of the
    strongest, of equals the earliest, and belongs to the chunk in which it begins.

    Args:
        chunks: what was found in each chunk of one recording, in order.
    """
    by_label: dict[Label, list[_Placed]] = defaultdict(list)
    for number, found in enumerate(chunks):
        for one in found:
            by_label[one.label].append((one, number))
    joined: list[list[Detection]] = [[] for _ in chunks]
    for placed in by_label.values():
        for parts in _touching(placed):
            joined[parts[0][1]].append(_join([one for one, _ in parts]))
    return [tuple(sorted(one, key=_order)) for one in joined]


def _touching(placed: list[_Placed]) -> list[list[_Placed]]:
    """Returns detections of one label in groups without a gap."""
    groups: list[list[_Placed]] = []
    end_sample = -1
    for one, number in sorted(placed, key=lambda each: (*_order(each[0]), each[1])):
        if one.start_sample > end_sample:
            groups.append([])
        groups[-1].append((one, number))
        end_sample = max(end_sample, one.end_sample)
    return groups


def _join(parts: list[Detection]) -> Detection:
    strongest = max(parts, key=lambda one: one.confidence)
    return replace(
        strongest,
        start_sample=parts[0].start_sample,
        end_sample=max(one.end_sample for one in parts),
        n_merged=sum(one.n_merged for one in parts),
    )


def _order(one: Detection) -> tuple[int, str, str, int]:
    return one.start_sample, one.label.name, one.label.code, one.end_sample
