"""Sound without what people say."""

from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from badc_core.speech.segments import SpeechSegment

_Number = TypeVar("_Number", bound=np.generic)


def mute(
    samples: npt.NDArray[_Number],
    segments: Iterable[SpeechSegment],
    sample_rate_hz: int,
    start_sample: int = 0,
) -> npt.NDArray[_Number]:
    """Returns a copy in which every sample of the segments is 0.

    Samples that only a part of a segment's first or last millisecond covers are silent too.

    Args:
        samples: of any type, shape [n_samples] or [n_samples, n_channels].
        segments: counted from the recording's start.
        sample_rate_hz: of the samples.
        start_sample: where in the recording the samples begin.

    Returns:
        Of the same shape and type.
    """
    muted: npt.NDArray[Any] = samples.copy()
    for start_ms, end_ms, _ in segments:
        start = start_ms * sample_rate_hz // 1000 - start_sample
        end = -(-end_ms * sample_rate_hz // 1000) - start_sample
        muted[max(0, start) : max(0, end)] = 0
    return muted
