"""The level, clipping and real length of a recording, in one pass over its samples."""

import math
from dataclasses import dataclass

import numpy as np

from badc_core.audio.reader import AudioFile
from badc_core.recordings.channels import ChannelMeter

SILENCE_DBFS = -90.0
_FULL_SCALE_8_BIT = 127 / 128
_FULL_SCALE = 32_767 / 32_768


@dataclass(frozen=True)
class Quality:
    """Figures over all channels.

    Attributes:
        rms_dbfs, peak_dbfs: against full scale; -inf for digital silence.
        clipped_fraction: share of samples at full scale, 0 to 1.
        is_silent: every sample is below -90 dBFS.
        n_samples: decoded length per channel.
    """

    rms_dbfs: float
    peak_dbfs: float
    clipped_fraction: float
    is_silent: bool
    n_samples: int


def measure_quality(audio: AudioFile) -> tuple[Quality, list[str]]:
    """Returns the figures of a recording and warnings about channels, decoding it to its end.

    Raises:
        UnreadableRecording: it cannot be decoded to its end.
    """
    is_8_bit = audio.subtype.endswith(("_U8", "_S8"))
    full_scale = _FULL_SCALE_8_BIT if is_8_bit else _FULL_SCALE
    sum_of_squares, peak, n_clipped, n_samples = 0.0, 0.0, 0, 0
    meter = ChannelMeter(audio.n_channels, audio.sample_rate_hz, has_noise=not is_8_bit)
    for block in audio.blocks():
        block_peak = max(float(block.max()), -float(block.min()))
        peak = max(peak, block_peak)
        sum_of_squares += meter.add(block)
        if block_peak >= full_scale:
            n_clipped += int(np.count_nonzero(np.abs(block) >= full_scale))
        n_samples += len(block)
    n_values = n_samples * audio.n_channels
    peak_dbfs = _to_dbfs(peak)
    quality = Quality(
        rms_dbfs=_to_dbfs(math.sqrt(sum_of_squares / n_values)),
        peak_dbfs=peak_dbfs,
        clipped_fraction=n_clipped / n_values,
        is_silent=peak_dbfs < SILENCE_DBFS,
        n_samples=n_samples,
    )
    return quality, [] if quality.is_silent else meter.warnings()


def _to_dbfs(amplitude: float) -> float:
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf
