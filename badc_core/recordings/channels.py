"""What is wrong with single channels of a recording: dead, stuck, offset, or cancelling out."""

import numpy as np
import numpy.typing as npt

_SILENT = 10 ** (-90 / 20)  # as a whole recording is, by its peak
_LARGE_OFFSET = 0.05
_CANCELS = 0.1  # of the channels' mean power: 10 dB; one dead channel of two costs only 6 dB
_PIECE_S = 0.25
_EVERY = 31  # samples suffice for the figures; no usual tone repeats in step with them
_DEAD_S = 2.0
"""Even quiet microphones' noise moves the last bit many times a second."""


class ChannelMeter:
    """Adds up figures per channel, block by block.

    Args:
        n_channels: of the recording.
        sample_rate_hz: its own rate.
        has_noise: whether quiet sound differs from zero. In 8 bits it often does not, so zeros
            tell nothing there.
    """

    def __init__(self, n_channels: int, sample_rate_hz: int, has_noise: bool = True) -> None:
        self._rate_hz = sample_rate_hz
        self._has_noise = has_noise
        self._piece = max(1, round(_PIECE_S * sample_rate_hz))
        self._n_sampled = 0
        self._squares = np.zeros(n_channels)
        self._sums = np.zeros(n_channels)
        self._is_heard = np.zeros(n_channels, bool)
        self._squares_of_mean = 0.0
        self._zeros = self._longest_zeros = 0

    def add(self, block: npt.NDArray[np.float32]) -> float:
        """Counts a block, shape [n_samples, n_channels]; returns its sum of squares."""
        # einsum widens to float64 in small buffers, where a cast would copy the whole block.
        total = float(np.einsum("ij,ij->", block, block, dtype=np.float64))
        # A row for each channel: numpy is slow along rows of two values.
        sampled = np.array(block[::_EVERY].T, dtype=np.float64, order="C")
        self._squares += np.einsum("ij,ij->i", sampled, sampled)
        self._sums += sampled.sum(axis=1)
        if len(sampled) > 1:
            together = sampled.mean(axis=0)
            self._squares_of_mean += float(np.square(together).sum())
            self._hear(block)
        self._n_sampled += sampled.shape[1]
        for start in range(0, len(block), self._piece):
            # Most pieces begin with sound, so that one look is enough.
            piece = block[start : start + self._piece]
            is_dead = not piece[0].any() and not piece.any()
            self._zeros = self._zeros + len(piece) if is_dead else 0
            self._longest_zeros = max(self._longest_zeros, self._zeros)
        return total

    def _hear(self, block: npt.NDArray[np.float32]) -> None:
        """Notes which channels are not silent; each is searched until it has been heard."""
        for number in np.flatnonzero(~self._is_heard):
            self._is_heard[number] = np.abs(block[:, number]).max() >= _SILENT

    def warnings(self) -> list[str]:
        """Returns one sentence for each fault of a recording that is not silent as a whole."""
        power = self._squares / self._n_sampled
        offset = self._sums / self._n_sampled
        warnings = []
        for number, (own, at, heard) in enumerate(
            zip(power, offset, self._is_heard, strict=True), 1
        ):
            name = f"Channel {number} of {len(power)}" if len(power) > 1 else "The sound"
            if len(power) > 1 and not heard:
                warnings.append(f"{name} is silent: check its microphone and cable.")
            elif abs(at) > _LARGE_OFFSET and own - at**2 < 1e-6 * own:
                warnings.append(f"{name} is stuck at one value: check microphone and recorder.")
            elif abs(at) > _LARGE_OFFSET:
                warnings.append(f"{name} is off centre by {abs(at):.0%} of full scale.")
        if len(power) > 1 and self._squares_of_mean / self._n_sampled < _CANCELS * power.mean():
            warnings.append(
                "The channels cancel each other out: their mean, which is analysed, is much "
                "quieter than they are. Export one channel and analyse that."
            )
        dead_s = self._longest_zeros / self._rate_hz
        if self._has_noise and dead_s >= _DEAD_S:
            warnings.append(
                f"About {dead_s:.0f} s on end are exact zeros, without even noise: the microphone "
                "or card failed, or the recorder leaves out quiet stretches."
            )
        return warnings
