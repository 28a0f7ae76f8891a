"""Where a channel keeps one exact value, found block by block, right to the sample."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from badc_core.intervals import Interval

Stretches: TypeAlias = tuple[Interval, ...]
"""Half-open intervals of samples, in order, apart from each other."""

Block: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.int16]

_SHORTEST_S = 0.01
_PROBES = 16
"""In a run that counts; as many equal values one after another are no chance in any noise."""


@dataclass(frozen=True)
class ChannelRuns:
    """Runs of one value in a channel.

    Attributes:
        longest_samples: length of the longest; 0 where none is as long as 0.01 s.
        stretches: those that are long enough to be dead; such that touch, at another value, are
            one.
    """

    longest_samples: int
    stretches: Stretches


class ConstantRuns:
    """Looks for runs in all channels, block by block.

    Args:
        n_channels: of the recording.
        sample_rate_hz: its own rate.
        dead_samples: from which length a run is dead; None: no run is.
    """

    def __init__(self, n_channels: int, sample_rate_hz: int, dead_samples: int | None) -> None:
        self._shortest = max(2, round(_SHORTEST_S * sample_rate_hz))
        self._channels = [_Channel(self._shortest, dead_samples) for _ in range(n_channels)]
        self._n_samples = 0

    def add(self, block: Block) -> None:
        """Looks through the next block, shape [n_samples, n_channels], not empty."""
        for number in range(len(self._channels)):
            self._channels[number].add(block[:, number], self._n_samples)
        self._n_samples += len(block)

    def finish(self) -> list[ChannelRuns]:
        """Returns what was found in each channel, after the last block."""
        return [one.finish() for one in self._channels]


class _Channel:
    """The run that reaches the end of what was looked at, and what was found before."""

    def __init__(self, shortest: int, dead_samples: int | None) -> None:
        self._shortest = shortest
        self._dead_samples = dead_samples
        self._longest = 0
        self._stretches: list[Interval] = []
        self._start = self._end = 0
        self._value: np.generic | None = None

    def add(self, samples: Block, offset: int) -> None:
        for start, end in _find_runs(samples, self._shortest):
            if start > 0 or samples[0] != self._value:
                self._close()
                self._start = offset + start
            self._end = offset + end
        self._value = samples[-1]

    def finish(self) -> ChannelRuns:
        self._close()
        return ChannelRuns(self._longest, tuple(self._stretches))

    def _close(self) -> None:
        """Counts the open run, which goes on no further."""
        end, length = self._end, self._end - self._start
        if length >= self._shortest:
            self._longest = max(self._longest, length)
        if self._dead_samples is None or length < self._dead_samples:
            return
        if self._stretches and self._stretches[-1][1] == self._start:
            self._stretches[-1] = (self._stretches[-1][0], end)
        else:
            self._stretches.append((self._start, end))


def _find_runs(samples: Block, shortest: int) -> list[Interval]:
    """Returns the first and last run of samples, and those between that are long enough."""
    if not _may_have_run(samples, shortest):
        head, tail = _leading_run(samples), _leading_run(samples[::-1])
        runs = [(0, head), (len(samples) - tail, len(samples))]
        return runs[:1] if head == len(samples) else runs
    changes = np.flatnonzero(samples[1:] != samples[:-1]) + 1
    edges = np.concatenate([[0], changes, [len(samples)]])
    counts = np.diff(edges) >= shortest
    counts[[0, -1]] = True
    return list(zip(edges[:-1][counts].tolist(), edges[1:][counts].tolist(), strict=True))


def _may_have_run(samples: Block, shortest: int) -> bool:
    """Returns whether there can be a run so long; most sound says no at once."""
    step = max(1, shortest // _PROBES)
    probes = samples[::step].copy()
    n_following = shortest // step - 2
    if n_following < 0:
        return True
    equal = np.flatnonzero(probes[1:] == probes[:-1])
    n_starts = len(equal) - n_following
    return n_starts > 0 and bool((equal[n_following:] - equal[:n_starts] == n_following).any())


def _leading_run(samples: Block) -> int:
    """Returns how many samples at the start have the first one's value."""
    n_looked_at = 64
    while True:
        other = np.flatnonzero(samples[:n_looked_at] != samples[0])
        if len(other):
            return int(other[0])
        if n_looked_at >= len(samples):
            return len(samples)
        n_looked_at *= 8
