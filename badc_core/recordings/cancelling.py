"""Whether the channels of a recording cancel each other out, altogether or in a band.

A channel wired the other way round takes everything away; two microphones some 10 cm apart take a
band away in which a call reaches one half a wave later than the other.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from badc_core.recordings.constant_runs import Block

_REMEDY = 'Set recordings.channel = "loudest" in badc.toml, unless it is set already.'

_LEFT = 0.3
"""Of the power that the mean of as many unlike channels has, to which their number alone brings it
down: 5 dB. Equal channels have more, as has one with the others dead."""

_PIECE = 4096
_DENSE = 1 << 14
_SPARSE = 1 << 19
_N_DENSE = 32
"""Pieces at first so near each other that a minute will do; then so few that they cost nothing."""

_LOWEST_HZ, _HIGHEST_HZ = 500, 12_000
"""Most birds call in between."""

_LEAST_VALUES = 64
"""In a band, for its power to be no chance: it is then right to an eighth."""


class ChannelComparison:
    """Compares the mean of channels with them, block by block.

    Args:
        n_channels: of the recording.
        sample_rate_hz: its own rate.
    """

    def __init__(self, n_channels: int, sample_rate_hz: int) -> None:
        self._n_channels = n_channels
        self._hz = np.fft.rfftfreq(_PIECE, 1 / sample_rate_hz)
        self._window = np.hanning(_PIECE)
        # Sums of power: of the channels' sum, and of each channel.
        self._sum = np.zeros(len(self._hz))
        self._channels = np.zeros(len(self._hz))
        self._n_pieces = 0

    def add(self, block: Block) -> None:
        """Counts a block, shape [n_samples, n_channels]."""
        start = 0
        while self._n_channels > 1 and start < len(block):
            piece = block[start : start + _PIECE].T.astype(np.float64)
            spectra = np.fft.rfft(piece * self._window[: piece.shape[1]], _PIECE, axis=1)
            self._sum += _power(spectra.sum(axis=0))
            self._channels += _power(spectra).sum(axis=0)
            self._n_pieces += 1
            start += _DENSE if self._n_pieces < _N_DENSE else _SPARSE

    def warnings(self) -> list[str]:
        """Returns a sentence if the mean is much quieter than the channels."""
        where = ""
        if not self._is_cancelled(self._hz > 0):
            bands = [one for one in self._bands() if self._is_cancelled(self._in_band(*one))]
            if not bands:
                return []
            deepest = min(bands, key=lambda one: self._share(self._in_band(*one)))
            where = f" around {float(np.sqrt(deepest[0] * deepest[1])) / 1000:.1f} kHz"
        return [
            f"The channels cancel each other out{where}: their mean is much quieter than they are. "
            + _REMEDY
        ]

    def _bands(self) -> list[tuple[float, float]]:
        """Returns the thirds of octaves in which there are values enough."""
        n_thirds = int(3 * np.log2(max(1.0, min(_HIGHEST_HZ, self._hz[-1]) / _LOWEST_HZ)))
        edges = [_LOWEST_HZ * 2 ** (number / 3) for number in range(n_thirds + 1)]
        return [
            (low, high)
            for low, high in pairwise(edges)
            if np.count_nonzero(self._in_band(low, high)) * self._n_pieces >= _LEAST_VALUES
        ]

    def _in_band(self, low_hz: float, high_hz: float) -> npt.NDArray[np.bool_]:
        return (self._hz >= low_hz) & (self._hz < high_hz)

    def _share(self, band: npt.NDArray[np.bool_]) -> float:
        """Returns the power of the channels' mean as a share of their mean power."""
        channels = float(self._channels[band].sum()) * self._n_channels
        return float(self._sum[band].sum()) / channels if channels else 1.0

    def _is_cancelled(self, band: npt.NDArray[np.bool_]) -> bool:
        return self._n_channels > 1 and self._share(band) < _LEFT / self._n_channels


def _power(spectrum: npt.NDArray[np.complex128]) -> npt.NDArray[np.float64]:
    power: npt.NDArray[np.float64] = spectrum.real**2 + spectrum.imag**2
    return power
