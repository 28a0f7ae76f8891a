"""Which channel of a recording is analysed: what the setting `recordings.channel` comes to.

Samples are read in `reader.py`. Which channel is the loudest is found out in
`recordings/loudest.py`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from badc_core.errors import ChannelMissing
from badc_core.settings import ChannelSetting
from badc_core.units import counted

Block: TypeAlias = npt.NDArray[np.float32]

MEAN: Final = "mean"
EACH: Final = "each"

OneChannel: TypeAlias = int | Literal["mean"]
"""A channel's index, from 0, or the mean of all; what `AudioFile.read` returns."""

Channel: TypeAlias = OneChannel | Literal["each"]
"""The same, or every channel on its own; of a mono recording always the mean."""


def choose_channel(
    wanted: ChannelSetting, n_channels: int, find_loudest: Callable[[], int]
) -> Channel:
    """Returns what is analysed of a recording.

    Args:
        wanted: the setting, which counts channels from 1.
        n_channels: of the recording; it need not have the channel that is wanted.
        find_loudest: returns the index of its loudest channel.
    """
    if n_channels == 1 or wanted == "mean":
        return MEAN
    if wanted == "each":
        return EACH
    if wanted == "loudest":
        return find_loudest()
    return 0 if wanted == "first" else wanted - 1


def require_channel(channel: Channel, n_channels: int, where: str | Path) -> None:
    """Returns if a recording has the channel that is to be analysed.

    Args:
        channel: as `choose_channel` returns it.
        n_channels: of the recording.
        where: its name or file, for people.

    Raises:
        ChannelMissing: it has fewer.
    """
    if isinstance(channel, int) and channel >= n_channels:
        has = counted(n_channels, "channel")
        raise ChannelMissing(
            f"it has {has}, so there is no channel {channel + 1} to analyse",
            where,
            'Set recordings.channel to one it has, or to "mean", "first", "loudest" or "each"',
        )


def name_channel(channel: Channel) -> str:
    """Returns what people call it: `2`, `mean`, `each`."""
    return str(channel + 1) if isinstance(channel, int) else channel


def parse_channel(name: str) -> Channel:
    """Returns the channel of a name that `name_channel` gave."""
    if name in {MEAN, EACH}:
        return MEAN if name == MEAN else EACH
    return int(name) - 1


def take_channel(block: Block, channel: OneChannel, out: Block) -> None:
    """Writes one channel of a block, or the mean of all, into an array.

    Args:
        block: float32, shape [n_samples, n_channels].
        channel: which.
        out: float32, shape [n_samples].
    """
    if isinstance(channel, int):
        out[:] = block[:, channel]
    else:
        block.mean(axis=1, dtype=np.float32, out=out)
