"""Which detections of a label are drawn for review: pure, and the same for the same seed.

Reading a dataset's detections is in `candidates.py`, writing what was drawn in `queue.py`.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from badc_core.errors import OptionInvalid
from badc_core.reviews.precision import score_bin

DEFAULT_STRATEGY = "bins"


@dataclass(frozen=True)
class Candidates:
    """The detections of one label, in an order that does not depend on how they are stored.

    Attributes:
        score: shape [n].
        start_ms: from the recording's start, shape [n].
        recording: number of the recording, shape [n].
        day: number of the station and local date, shape [n]; -1 where the date is not known.
        hour: of the local day, shape [n]; -1 where it is not known.
    """

    score: npt.NDArray[np.float64]
    start_ms: npt.NDArray[np.int64]
    recording: npt.NDArray[np.int64]
    day: npt.NDArray[np.int64]
    hour: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sampling:
    """How detections are drawn.

    Attributes:
        strategy: one of `STRATEGIES`.
        per_label: how many of each label at most.
        seed: of the random numbers.
        max_per_recording: of each label; 0 for any number.
        min_spacing_s: between the starts of two of a label in one recording.

    Raises:
        OptionInvalid: there is no such strategy.
    """

    strategy: str = DEFAULT_STRATEGY
    per_label: int = 20
    seed: int = 0
    max_per_recording: int = 0
    min_spacing_s: float = 0.0

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise OptionInvalid(f"use one of {', '.join(STRATEGIES)}", "--strategy")


@dataclass(frozen=True)
class Drawn:
    """A detection that was drawn.

    Attributes:
        index: in the candidates.
        weight: how many detections it represents, itself included; None where it was not chosen at
            random, so that it represents only itself.
    """

    index: int
    weight: float | None


Strata = npt.NDArray[np.int64]
_Stratify = Callable[[Candidates, int], Strata]


def _by_score(candidates: Candidates, _n: int) -> Strata:
    return np.array([score_bin(float(one)) for one in candidates.score], dtype=np.int64)


def _by_rank(candidates: Candidates, n: int) -> Strata:
    """Returns n parts with equally many detections, by score."""
    order = np.argsort(candidates.score, kind="stable")
    strata = np.empty(len(order), dtype=np.int64)
    strata[order] = np.arange(len(order)) * n // len(order)
    return strata


def _together(candidates: Candidates, _n: int) -> Strata:
    return np.zeros(len(candidates.score), dtype=np.int64)


STRATEGIES: Mapping[str, _Stratify] = {
    "random": _together,
    "top": _together,
    "bins": _by_score,
    "percentile": _by_rank,
    "date": lambda candidates, _n: candidates.day,
    "hour": lambda candidates, _n: candidates.hour,
}
"""How detections are sorted into groups, from which equally many are drawn.

`random`: no groups; `top`: none, the best scores first; `bins`: ten ranges of scores; `percentile`:
as many groups of equally many detections as are to be drawn, by score; `date`: a group for each
station and local date; `hour`: one for each hour of the local day.
"""


def draw(candidates: Candidates, sampling: Sampling, label: str) -> list[Drawn]:
    """Returns what is drawn of a label, in random order; of `top`, the best first.

    A weight is the size of a detection's group, over how many of the group were drawn. Where there
    are more groups than are to be drawn, those that had none drawn are represented by the others.

    Args:
        candidates: all there are.
        sampling: how.
        label: each has random numbers of its own, so that another label changes nothing.
    """
    total = len(candidates.score)
    if not total:
        return []
    rng = np.random.default_rng([sampling.seed, _number(label)])
    strata = STRATEGIES[sampling.strategy](candidates, sampling.per_label)
    groups = [np.flatnonzero(strata == one) for one in _unique(strata)]
    is_top = sampling.strategy == "top"
    if is_top:
        groups = [one[np.argsort(-candidates.score[one], kind="stable")] for one in groups]
    else:
        groups = [rng.permutation(one) for one in groups]
        groups = [groups[int(one)] for one in rng.permutation(len(groups))]
    drawn = list(_take_turns(candidates, groups, sampling))
    if is_top:
        return [Drawn(index, None) for _, index in drawn]
    numbers = np.bincount([group for group, _ in drawn], minlength=len(groups))
    reached = sum(len(one) for one, n in zip(groups, numbers, strict=True) if n)
    picks = [
        Drawn(index, len(groups[group]) / int(numbers[group]) * total / reached)
        for group, index in drawn
    ]
    return [picks[int(one)] for one in rng.permutation(len(picks))]


def _take_turns(
    candidates: Candidates, groups: Sequence[npt.NDArray[np.int64]], sampling: Sampling
) -> Iterator[tuple[int, int]]:
    """Yields group and index: one of each group in turn, until there are enough or no more."""
    taken: dict[int, list[int]] = {}
    spacing_ms = sampling.min_spacing_s * 1000

    def may_be_taken(index: int) -> bool:
        others = taken.get(int(candidates.recording[index]), [])
        if sampling.max_per_recording and len(others) >= sampling.max_per_recording:
            return False
        start_ms = int(candidates.start_ms[index])
        return all(abs(start_ms - one) >= spacing_ms for one in others)

    queues = [(number, iter(one.tolist())) for number, one in enumerate(groups)]
    n_left = sampling.per_label
    while queues and n_left:
        remaining = []
        for number, queue in queues:
            index = next((one for one in queue if may_be_taken(one)), None)
            if index is None:
                continue
            taken.setdefault(int(candidates.recording[index]), []).append(
                int(candidates.start_ms[index])
            )
            yield number, index
            n_left -= 1
            if not n_left:
                return
            remaining.append((number, queue))
        queues = remaining


def _unique(strata: Strata) -> list[int]:
    return [int(one) for one in np.unique(strata)]


def _number(label: str) -> int:
    return int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big")
