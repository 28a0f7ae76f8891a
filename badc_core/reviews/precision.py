"""How many detections are right, and how sure that is: proportions with Wilson intervals.

What a score means as a probability is in `calibration.py`, which threshold to choose in
`recommend.py`.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from badc_core.reviews.judged import Judged

CONFIDENCE_Z = 1.959964
"""Standard normal quantile of 97.5 %: intervals are of 95 %."""
N_BINS = 10
"""Score bins of equal width from 0 to 1."""


class Proportion(NamedTuple):
    """A share, with the interval that it probably lies in.

    Attributes:
        value: 0 to 1.
        low: lower end of the interval.
        high: upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PrecisionRow:
    """How many detections of a label in a range of scores are right.

    Attributes:
        score_from: lowest score of the range.
        score_to: its end, itself in the range only where that is 1.
        detections: how many the results have.
        correct, incorrect, uncertain: how many were judged so; all 0 where nobody has judged any.
        precision: of those that are judged right or wrong; None without any.
        if_uncertain_wrong: the share that is right if every uncertain one is wrong; None without
            verdicts.
        if_uncertain_right: the same if every uncertain one is right.
    """

    label: str
    score_from: float
    score_to: float
    detections: int
    correct: int
    incorrect: int
    uncertain: int
    precision: Proportion | None
    if_uncertain_wrong: float | None
    if_uncertain_right: float | None


def wilson(correct: float, n: float, z: float = CONFIDENCE_Z) -> Proportion:
    """Returns a share with its Wilson score interval.

    Args:
        correct: how many are right; need not be whole where they are weighted.
        n: of how many, > 0.
        z: standard normal quantile.

    Source:
        E. B. Wilson (1927), Probable inference, the law of succession, and statistical inference.
    """
    share = correct / n
    middle = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return Proportion(share, max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale))


def weighted_precision(judged: Iterable[Judged]) -> Proportion | None:
    """Returns the share of right detections among all that those judged represent.

    Each counts as many detections as its weight says, and the interval is that of as many
    equal ones as are as informative, (sum of w)^2 / (sum of w^2).

    Args:
        judged: of one label. Those that are neither right nor wrong, and those without a weight,
            are left out.

    Returns:
        None if none is left.

    Source:
        L. Kish (1965), Survey Sampling: the effective sample size.
    """
    pairs = [(one.weight, one.is_correct) for one in judged if one.is_decided and one.weight]
    if not pairs:
        return None
    total = sum(weight for weight, _ in pairs)
    right = sum(weight for weight, is_correct in pairs if is_correct)
    n_equal = total * total / sum(weight * weight for weight, _ in pairs)
    return wilson(right / total * n_equal, n_equal)


def score_bin(score: float) -> int:
    """Returns which of the score bins a score is in; those at a border are in the upper one."""
    return min(N_BINS - 1, int(score * N_BINS + 1e-9))


def precision_rows(
    judged: Iterable[Judged], sizes: Mapping[str, Mapping[int, int]]
) -> list[PrecisionRow]:
    """Returns a row for each label and score bin with verdicts or detections, in order.

    Args:
        judged: of any labels.
        sizes: label -> score bin -> how many detections the results have.
    """
    groups: dict[tuple[str, int], list[Judged]] = {
        (label, number): [] for label, bins in sizes.items() for number in bins
    }
    for one in judged:
        groups.setdefault((one.label, score_bin(one.score)), []).append(one)
    return [
        _row(label, number, sizes.get(label, {}).get(number, 0), group)
        for (label, number), group in sorted(groups.items())
    ]


def _row(label: str, number: int, detections: int, group: list[Judged]) -> PrecisionRow:
    correct = sum(one.is_correct for one in group)
    decided = sum(one.is_decided for one in group)
    uncertain = len(group) - decided
    return PrecisionRow(
        label,
        number / N_BINS,
        (number + 1) / N_BINS,
        detections,
        correct,
        decided - correct,
        uncertain,
        wilson(correct, decided) if decided else None,
        correct / len(group) if group else None,
        (correct + uncertain) / len(group) if group else None,
    )
