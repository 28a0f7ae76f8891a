"""A recording, opened for each of its channels that is analysed."""

from pathlib import Path

from badc_core.audio.channel import EACH, Channel, OneChannel
from badc_core.audio.reader import AudioFile


def open_channels(
    path: Path,
    channel: Channel,
    *,
    accept_truncated: bool = False,
    expected_samples: int | None = None,
) -> tuple[AudioFile, ...]:
    """Returns a recording, opened once for each channel that is analysed on its own.

    Every one decodes by itself, so that none has to go back for another.

    Args:
        path: the file.
        channel: what is analysed.
        accept_truncated: read what is left of a file that was cut off.
        expected_samples: read it where so much is left.

    Raises:
        ContentMissing, UnreadableRecording, ChannelMissing: as `AudioFile` does.
    """

    def open_one(one: OneChannel) -> AudioFile:
        return AudioFile(
            path,
            accept_truncated=accept_truncated,
            expected_samples=expected_samples,
            channel=one,
        )

    if channel != EACH:
        return (open_one(channel),)
    first = open_one(0)
    return (first, *map(open_one, range(1, first.n_channels)))
