"""A detection with some of the sound around it, silent where people speak if that is wanted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from badc_core.audio.reader import AudioFile, Samples
from badc_core.speech.mute import mute
from badc_core.speech.segments import SpeechSegment
from badc_core.units import seconds_to_samples

# A merged detection can last minutes; its beginning shows what it is.
_MAX_SHOWN_S = 15.0


@dataclass(frozen=True)
class Surroundings:
    """The sound of a detection and around it.

    Attributes:
        samples: float32, shape [n_samples].
        sample_rate_hz: their rate.
        mark_start, mark_end: position of the detection in it, 0 to 1.
    """

    samples: Samples
    sample_rate_hz: int
    mark_start: float
    mark_end: float

    @property
    def duration_s(self) -> float:
        """Length of the sound."""
        return len(self.samples) / self.sample_rate_hz


def read_surroundings(
    files: Sequence[AudioFile],
    start_s: float,
    end_s: float,
    padding_s: float,
    silenced: Sequence[SpeechSegment],
) -> Surroundings:
    """Returns the sound of a detection and around it, of the loudest channel.

    Args:
        files: the recording, opened for each channel that was analysed.
        start_s: where the detection begins.
        end_s: where it ends; at most 15 s are read.
        padding_s: sound before and after it.
        silenced: where there is to be no sound.

    Raises:
        UnreadableRecording: it cannot be decoded.
    """
    audio = files[0]
    rate_hz = audio.sample_rate_hz
    first = max(0, seconds_to_samples(start_s - padding_s, rate_hz))
    last = min(audio.n_samples, seconds_to_samples(end_s + padding_s, rate_hz))
    last = min(last, first + seconds_to_samples(_MAX_SHOWN_S, rate_hz))
    read = (mute(one.read(first, last), silenced, rate_hz, first) for one in files)
    samples = max(read, key=np.std)
    shown_s = len(samples) / rate_hz
    return Surroundings(
        samples,
        rate_hz,
        mark_start=(start_s - first / rate_hz) / shown_s,
        mark_end=min(1.0, (end_s - first / rate_hz) / shown_s),
    )


def overlaps_speech(segments: Iterable[SpeechSegment], start_ms: int, end_ms: int) -> bool:
    """Returns whether somebody speaks at some time from a start to an end."""
    return any(one.start_ms < end_ms and start_ms < one.end_ms for one in segments)
