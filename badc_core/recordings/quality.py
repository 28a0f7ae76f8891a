"""The level, clipping and real length of a recording, in one pass over its samples.

What is asked of each channel is in `channels.py`.
"""

from dataclasses import dataclass

from badc_core.audio.reader import AudioFile
from badc_core.recordings.channels import (
    SILENCE_DBFS,
    ChannelFigures,
    ChannelMeter,
    mean_level,
)

_FULL_SCALE_8_BIT = 127 / 128
_FULL_SCALE = 32_767 / 32_768
_COARSE_SUBTYPES = ("ULAW", "ALAW")
"""8 bits too: their steps at zero are larger than the noise of quiet recorders."""


@dataclass(frozen=True)
class Quality:
    """Figures over all channels.

    Attributes:
        rms_dbfs, peak_dbfs: against full scale; -inf for digital silence.
        clipped_fraction: share of samples at full scale, 0 to 1.
        is_silent: every sample is below -90 dBFS.
        n_samples: decoded length per channel.
        channels: figures of each.
    """

    rms_dbfs: float
    peak_dbfs: float
    clipped_fraction: float
    is_silent: bool
    n_samples: int
    channels: tuple[ChannelFigures, ...]


def measure_quality(audio: AudioFile) -> tuple[Quality, list[str]]:
    """Returns the figures of a recording and warnings about channels, decoding it to its end.

    Raises:
        UnreadableRecording: it cannot be decoded to its end.
    """
    is_8_bit = audio.subtype.endswith(("_U8", "_S8"))
    is_coarse = is_8_bit or audio.subtype in _COARSE_SUBTYPES
    # As integers, the samples of most recorders are read in a tenth of the time.
    dtype, unit = ("int16", 32_768.0) if audio.subtype == "PCM_16" else ("float32", 1.0)
    clipped = unit * (_FULL_SCALE_8_BIT if is_8_bit else _FULL_SCALE)
    rate_hz = audio.sample_rate_hz
    meter = ChannelMeter(audio.n_channels, rate_hz, clipped, unit, has_noise=not is_coarse)
    n_samples = 0
    for block in audio.blocks(dtype):
        meter.add(block)
        n_samples += len(block)
    channels = meter.figures()
    peak_dbfs = max(one.peak_dbfs for one in channels)
    quality = Quality(
        rms_dbfs=mean_level(channels),
        peak_dbfs=peak_dbfs,
        clipped_fraction=sum(one.clipped_fraction for one in channels) / len(channels),
        is_silent=peak_dbfs < SILENCE_DBFS,
        n_samples=n_samples,
        channels=channels,
    )
    return quality, [] if quality.is_silent else meter.warnings(channels)
