"""Which detections of a label are drawn for review: pure, and the same for the same seed.

What they are drawn from is read in `candidates.py`; what was drawn is written in `queue.py`.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from badc_core.errors import OptionInvalid
from badc_core.reviews.precision import N_BINS

DEFAULT_STRATEGY = "bins"

STRATEGIES: Mapping[str, str] = {
    "random": "NULL",
    "top": "NULL",
    "bins": f"least({N_BINS - 1}, floor(confidence * {N_BINS} + 1e-9))",
    "percentile": "ntile($n) OVER (PARTITION BY label ORDER BY confidence, turn)",
    "date": "concat_ws(' ', location, begin::DATE)",
    "hour": "hour(begin)",
}
"""How detections are sorted into groups, from which equally many are drawn; in SQL.

`random`: no groups; `top`: none, the best scores first; `bins`: ten ranges of scores; `percentile`:
as many groups of equally many detections as are to be drawn, by score; `date`: a group for each
station and local date; `hour`: one for each hour of the local day.
"""

_SPARE = 20
"""So many times as many are looked at where some may not be taken beside others."""


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

    @property
    def most_per_group(self) -> int:
        """How many detections of a group are looked at: all that can be drawn, and some to spare.

        Where they must be apart, or not of one recording, more: most may not be taken.
        """
        is_free = not (self.max_per_recording or self.min_spacing_s)
        return self.per_label * (1 if is_free else _SPARE)


class Candidate(NamedTuple):
    """A detection of some label: what tells it from all others."""

    recording_id: str
    start_ms: int
    end_ms: int
    runner: str
    model_version: str


@dataclass(frozen=True)
class Group:
    """Detections of a label that are alike.

    Attributes:
        size: how many there are.
        first: those that are drawn first, in that order; not more than can be needed.
    """

    size: int
    first: Sequence[Candidate]


@dataclass(frozen=True)
class Drawn:
    """A detection that was drawn.

    Attributes:
        candidate: which.
        weight: how many detections it represents, itself included; None where it was not chosen at
            random, so that it represents only itself.
    """

    candidate: Candidate
    weight: float | None


def draw(groups: Sequence[Group], sampling: Sampling, label: str) -> list[Drawn]:
    """Returns what is drawn of a label, in random order; of `top`, the best first.

    A weight is the size of a detection's group, over how many of the group were drawn. Where there
    are more groups than are to be drawn, those that had none drawn are represented by the others.

    Args:
        groups: all there are, none of them empty.
        sampling: how.
        label: each has random numbers of its own, so that another label changes nothing.
    """
    if not groups:
        return []
    if sampling.strategy == "top":
        return [Drawn(one, None) for _, one in _take_turns(groups, sampling)]
    rng = np.random.default_rng([sampling.seed, _number(label)])
    groups = [groups[int(one)] for one in rng.permutation(len(groups))]
    drawn = list(_take_turns(groups, sampling))
    numbers = np.bincount([group for group, _ in drawn], minlength=len(groups))
    total = sum(one.size for one in groups)
    reached = sum(one.size for one, n in zip(groups, numbers, strict=True) if n)
    picks = [
        Drawn(one, groups[group].size / int(numbers[group]) * total / reached)
        for group, one in drawn
    ]
    return [picks[int(one)] for one in rng.permutation(len(picks))]


def _take_turns(groups: Sequence[Group], sampling: Sampling) -> Iterator[tuple[int, Candidate]]:
    """Yields number of group and candidate: one of each in turn, until enough or no more."""
    taken: dict[str, list[int]] = {}
    spacing_ms = sampling.min_spacing_s * 1000

    def may_be_taken(one: Candidate) -> bool:
        others = taken.get(one.recording_id, [])
        if sampling.max_per_recording and len(others) >= sampling.max_per_recording:
            return False
        return all(abs(one.start_ms - start_ms) >= spacing_ms for start_ms in others)

    queues = [(number, iter(one.first)) for number, one in enumerate(groups)]
    n_left = sampling.per_label
    while queues:
        remaining = []
        for number, queue in queues:
            one = next((one for one in queue if may_be_taken(one)), None)
            if one is None:
                continue
            taken.setdefault(one.recording_id, []).append(one.start_ms)
            yield number, one
            n_left -= 1
            if not n_left:
                return
            remaining.append((number, queue))
        queues = remaining


def _number(label: str) -> int:
    return int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big")
