"""The level, clipping and dead stretches of every channel, and what is wrong with one of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator

from badc_core.intervals import intersect, length_of
from badc_core.recordings.cancelling import ChannelComparison
from badc_core.recordings.constant_runs import Block, ConstantRuns, Stretches
from badc_core.units import format_duration

Level: TypeAlias = Annotated[
    float, BeforeValidator(lambda level: -math.inf if level is None else level)
]
"""dBFS against full scale; -inf for digital silence, which is null in JSON."""

_DEAD_S = 2.0
"""Even quiet microphones' noise moves the last bit many times a second."""

SILENCE_DBFS = -90.0

_LARGE_OFFSET = 0.05
_ROW_VALUES = 2048  # numpy is slow along rows of one or two values
_ROWS = 256  # so few keep sums in float32 right to 1e-5


@dataclass(frozen=True)
class ChannelFigures:
    """What one channel of a recording is like.

    Attributes:
        rms_dbfs, peak_dbfs: against full scale; -inf for digital silence.
        dc_offset: mean value, as a share of full scale, -1 to 1.
        clipped_fraction: share of samples at full scale, 0 to 1.
        longest_constant_s: longest run of one exactly constant value; 0 where none is as long as
            0.01 s.
        dead_stretches: where it is exactly constant for 2 s or more, so that nothing was recorded:
            half-open intervals of samples, in order, apart from each other. None in 8 bits, where
            quiet sound is constant too.
    """

    rms_dbfs: Level
    peak_dbfs: Level
    dc_offset: float
    clipped_fraction: float
    longest_constant_s: float
    dead_stretches: Stretches = ()

    @property
    def dead_samples(self) -> int:
        """How long it is dead in all."""
        return length_of(self.dead_stretches)


class ChannelMeter:
    """Adds up figures per channel, block by block.

    Args:
        n_channels: of the recording.
        sample_rate_hz: its own rate.
        clipped: a value that clipped samples reach.
        unit: the value of full scale: 1 for float32, 32,768 for int16.
        has_noise: whether quiet sound differs from zero. In 8 bits it often does not, so zeros
            tell nothing there.
    """

    def __init__(
        self,
        n_channels: int,
        sample_rate_hz: int,
        clipped: float,
        unit: float = 1.0,
        has_noise: bool = True,
    ) -> None:
        self._rate_hz = sample_rate_hz
        self._clipped = clipped
        self._unit = unit
        self._n_channels = n_channels
        self._row = n_channels * max(1, _ROW_VALUES // n_channels)
        self._n_samples = 0
        # Of each value of a row; those of a channel are put together at the end.
        self._squares = np.zeros(self._row)
        self._sums = np.zeros(self._row)
        self._peaks = np.zeros(self._row)
        self._n_clipped = np.zeros(self._row)
        self._comparison = ChannelComparison(n_channels, sample_rate_hz)
        shortest = dead_samples(sample_rate_hz) if has_noise else None
        self._runs = ConstantRuns(n_channels, sample_rate_hz, shortest)

    def add(self, block: Block) -> None:
        """Counts a block, shape [n_samples, n_channels], C-contiguous, never empty."""
        values = block.reshape(-1)
        n_in_rows = len(values) // self._row * self._row
        rows = values[:n_in_rows].reshape(-1, self._row)
        for start in range(0, len(rows), _ROWS):
            self._add_rows(rows[start : start + _ROWS])
        self._add_rows(values[n_in_rows:].reshape(-1, self._n_channels))
        self._comparison.add(block)
        self._runs.add(block)
        self._n_samples += len(block)

    def figures(self) -> tuple[ChannelFigures, ...]:
        """Returns the figures of every channel, after the last block."""
        squares, sums, n_clipped = (
            self._by_channel(one).sum(axis=1) / self._n_samples
            for one in (self._squares, self._sums, self._n_clipped)
        )
        peaks = self._by_channel(self._peaks).max(axis=1)
        return tuple(
            ChannelFigures(
                rms_dbfs=_to_dbfs(math.sqrt(power) / self._unit),
                peak_dbfs=_to_dbfs(float(peak) / self._unit),
                dc_offset=float(mean) / self._unit,
                clipped_fraction=float(clipped),
                longest_constant_s=runs.longest_samples / self._rate_hz,
                dead_stretches=runs.stretches,
            )
            for power, peak, mean, clipped, runs in zip(
                *(squares, peaks, sums, n_clipped, self._runs.finish()), strict=True
            )
        )

    def warnings(self, figures: Sequence[ChannelFigures]) -> list[str]:
        """Returns a sentence for each fault of a recording that is not silent as a whole.

        Args:
            figures: as `figures` returned them.
        """
        about_channels = warn_of_channels(figures, self._n_samples, self._rate_hz)
        return [*about_channels, *self._comparison.warnings()]

    def _add_rows(self, rows: Block) -> None:
        """Counts values, shape [n_rows, a multiple of n_channels]."""
        if not len(rows):
            return
        own = slice(rows.shape[1])
        values: npt.NDArray[np.floating[Any]] = rows.astype(np.float32, copy=False)
        with np.errstate(over="ignore", invalid="ignore"):
            squares, sums = _add_up(values)
        if not (np.isfinite(squares) & np.isfinite(sums)).all():
            # Damaged files of floats have values up to 1e38.
            values = rows.astype(np.float64)
            squares, sums = _add_up(values)
        self._squares[own] += squares
        self._sums[own] += sums
        peaks = np.maximum(rows.max(axis=0).astype(float), -rows.min(axis=0).astype(float))
        np.maximum(self._peaks[own], peaks, out=self._peaks[own])
        if peaks.max() >= self._clipped:
            self._n_clipped[own] += np.count_nonzero(np.abs(values) >= self._clipped, axis=0)

    def _by_channel(self, of_row: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Returns values of a row as shape [n_channels, n]."""
        return of_row.reshape(-1, self._n_channels).T


def _add_up(
    rows: npt.NDArray[np.floating[Any]],
) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.floating[Any]]]:
    """Returns the sums of squares and of values of each column, in the precision of the values."""
    return np.einsum("ij,ij->j", rows, rows), np.add.reduce(rows, axis=0)


def mean_level(figures: Sequence[ChannelFigures]) -> float:
    """Returns the level of all channels together, dBFS."""
    power = sum(10 ** (one.rms_dbfs / 10) for one in figures) / len(figures)
    return _to_dbfs(math.sqrt(power))


def _to_dbfs(amplitude: float) -> float:
    """Returns an amplitude, 1 at full scale, in dB; -inf for 0."""
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf


def dead_samples(sample_rate_hz: int) -> int:
    """Returns from which length a run of one value is dead."""
    return round(_DEAD_S * sample_rate_hz)


def shared_stretches(stretches: Sequence[Stretches], sample_rate_hz: int) -> Stretches:
    """Returns where all channels are dead at once, so that their mean is.

    Args:
        stretches: of each channel, in order.
        sample_rate_hz: what is shorter than 2 s is left out.
    """
    shortest_samples = dead_samples(sample_rate_hz)
    shared = stretches[0] if stretches else ()
    for own in stretches[1:]:
        shared = intersect(shared, own)
    return tuple(one for one in shared if one[1] - one[0] >= shortest_samples)


def warn_of_channels(
    figures: Sequence[ChannelFigures], n_samples: int, sample_rate_hz: int
) -> list[str]:
    """Returns a sentence for each fault of a channel in a recording that is not silent as a whole.

    Args:
        figures: of every channel.
        n_samples: length of the recording.
        sample_rate_hz: its own rate.
    """
    together = shared_stretches([one.dead_stretches for one in figures], sample_rate_hz)
    warnings = []
    for number, one in enumerate(figures, 1):
        name = f"Channel {number} of {len(figures)}" if len(figures) > 1 else "The sound"
        is_constant = one.longest_constant_s * sample_rate_hz >= n_samples
        if one.peak_dbfs < SILENCE_DBFS:
            warnings.append(f"{name} is silent: check its microphone and cable.")
        elif is_constant and (_is_offset(one, 0.0) or one.dead_stretches):
            warnings.append(f"{name} is stuck at one value: check microphone and recorder.")
        else:
            warnings += _warn_of_parts(one, name, together, n_samples, sample_rate_hz)
    if together and len(figures) > 1:
        warnings.append(_explain_dead("Every channel", together, sample_rate_hz))
    return warnings


def _warn_of_parts(
    one: ChannelFigures, name: str, together: Stretches, n_samples: int, sample_rate_hz: int
) -> list[str]:
    """Returns the faults of a channel with sound in it."""
    warnings = []
    dead = one.dead_stretches
    if _is_offset(one, one.dead_samples / n_samples):
        warnings.append(f"{name} is off centre by {abs(one.dc_offset):.0%} of full scale.")
    if dead and (name == "The sound" or dead != together):
        warnings.append(_explain_dead(name, dead, sample_rate_hz))
    return warnings


def _is_offset(one: ChannelFigures, dead_share: float) -> bool:
    """Returns whether a channel is off centre by more than dead stretches can cause."""
    return abs(one.dc_offset) > _LARGE_OFFSET + dead_share


def _explain_dead(name: str, stretches: Stretches, sample_rate_hz: int) -> str:
    dead = format_duration(length_of(stretches) / sample_rate_hz)
    start_s = stretches[0][0] / sample_rate_hz
    where = f"from {format_duration(start_s)} on" if start_s else "from its start on"
    if len(stretches) > 1:
        where = f"in {len(stretches)} stretches"
    return (
        f"{name} is dead for {dead} {where}, one exact value without even noise: the microphone, "
        "recorder or card failed, or the recorder leaves out quiet stretches."
    )
