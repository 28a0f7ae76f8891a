"""Which channel of a recording is analysed, and which is its loudest."""

from contextlib import suppress
from pathlib import Path

import numpy as np

from badc_core.audio.channel import Channel, choose_channel
from badc_core.audio.reader import AudioFile
from badc_core.errors import UnreadableRecording
from badc_core.recordings.channels import ChannelFigures
from badc_core.recordings.recording import Recording
from badc_core.settings import ChannelSetting

_LEAST_SHARE = 1e-4
"""Of a channel's power; figures are good to 1e-5, so less may be the rounding of a large offset."""


def channel_of(recording: Recording, wanted: ChannelSetting) -> Channel:
    """Returns what is analysed of a recording; it need not have the channel that is wanted.

    Args:
        recording: its description.
        wanted: the setting `recordings.channel`.
    """
    return choose_channel(wanted, recording.n_channels, lambda: find_loudest(recording))


def find_loudest(recording: Recording) -> int:
    """Returns the index of a recording's loudest channel."""
    return int(np.argmax([_power(one) for one in recording.channels]))


def _power(figures: ChannelFigures) -> float:
    """Returns a channel's power without its offset, as far as the figures are exact."""
    whole = 10 ** (figures.rms_dbfs / 10)
    sound = whole - figures.dc_offset**2
    return sound if sound > _LEAST_SHARE * whole else 0.0


def measure_loudest(path: Path) -> int:
    """Returns the index of a file's loudest channel, as far as it can be decoded.

    Raises:
        ContentMissing, UnreadableRecording: it cannot be opened.
    """
    with AudioFile(path, accept_truncated=True) as audio, suppress(UnreadableRecording):
        sums, squares, n_samples = np.zeros(audio.n_channels), np.zeros(audio.n_channels), 0
        for block in audio.blocks():
            sums += block.sum(axis=0, dtype=np.float64)
            squares += np.einsum("ij,ij->j", block, block, dtype=np.float64)
            n_samples += len(block)
    n_samples = max(1, n_samples)
    return int(np.argmax(squares / n_samples - (sums / n_samples) ** 2))
