"""Which threshold a label needs, so that what is kept is right as often as wanted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from badc_core.reviews.judged import Judged
from badc_core.reviews.precision import Proportion, weighted_precision

LEAST_ABOVE = 10
"""A threshold has at least so many verdicts, right or wrong, at and above it."""

_DIGITS = 10_000


@dataclass(frozen=True)
class Recommendation:
    """A label's threshold, or why there is none.

    Attributes:
        threshold: detections with this score or more are kept; None if none can be recommended.
        precision: of those; without a threshold of all that were judged, None if that is unknown.
        n_above: verdicts, right or wrong, at and above it.
        n: all of them.
        reason: why there is none.
    """

    label: str
    wanted: float
    threshold: float | None
    precision: Proportion | None
    n_above: int
    n: int
    reason: str = ""


def recommend(
    label: str, judged: Sequence[Judged], wanted: float, floor: float = 0.0
) -> Recommendation:
    """Returns the lowest threshold at which detections are surely right as often as wanted.

    Surely: the lower end of the 95 % interval of the precision is not below what is wanted. So ten
    right ones of ten do not suffice for 0.9.

    Args:
        label: whose.
        judged: its detections. Those that are neither right nor wrong are left out, and those
            without a weight.
        wanted: the precision, 0 to 1.
        floor: no threshold is below this score, down to which the detector's results are kept.
    """
    drawn = sorted(
        (one for one in judged if one.is_decided and one.weight), key=lambda one: -one.score
    )
    found: Recommendation | None = None
    for number, one in enumerate(drawn, start=1):
        is_tied = number < len(drawn) and drawn[number].score == one.score
        if number < LEAST_ABOVE or is_tied:
            continue
        precision = weighted_precision(drawn[:number])
        if precision is not None and precision.low >= wanted:
            threshold = max(floor, math.floor(one.score * _DIGITS + 1e-6) / _DIGITS)
            found = Recommendation(label, wanted, threshold, precision, number, len(drawn))
    if found is not None:
        return found
    overall = weighted_precision(drawn)
    enough = len(drawn) >= LEAST_ABOVE
    reason = "no score reaches it" if enough else f"fewer than {LEAST_ABOVE} right or wrong"
    return Recommendation(label, wanted, None, overall, 0, len(drawn), reason)
