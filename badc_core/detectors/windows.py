"""The grid of windows, reading them, and what detectors share that score windows.

Windows start at multiples of the hop from the *recording's* start. A window belongs to the chunk
it starts in, and reads past that chunk's end where it must, so results do not depend on how a
recording is cut. In the overlap of two chunks it belongs to the earlier one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from badc_core.audio.reader import AudioFile
from badc_core.audio.resampling import resample_windows
from badc_core.chunks.plan import Chunk
from badc_core.detectors.interface import (
    DetectorIdentity,
    DetectorReport,
    RecordingContext,
    WindowBatch,
)
from badc_core.errors import ConfigInvalid
from badc_core.units import samples_to_ms, seconds_to_samples

_BATCH_WINDOWS = 12


@dataclass(frozen=True)
class WindowGrid:
    """How a detector looks at a recording.

    Attributes:
        window_s: length of a window.
        overlap_s: how much successive windows share, < window_s.
        sample_rate_hz: what the model needs; None for the recording's own.
    """

    window_s: float
    overlap_s: float = 0.0
    sample_rate_hz: int | None = None

    def starts(self, chunk: Chunk) -> range:
        """Returns the first samples of the windows that belong to a chunk."""
        hop = max(1, seconds_to_samples(self.window_s - self.overlap_s, chunk.sample_rate_hz))
        owned_start = chunk.start_sample + chunk.overlap_samples
        first = -(-owned_start // hop) * hop
        return range(first, chunk.end_sample, hop)

    def read(self, audio: AudioFile, chunk: Chunk) -> Iterator[WindowBatch]:
        """Yields the chunk's windows in batches; the recording's last is zero-padded.

        What is padded is the sound at the model's rate, as the `birdnet` package does: resampling
        a window with zeros in it would blur the sound's end and move the score by up to 0.15.

        Windows that hold less than a millisecond of sound, which a table could only show as
        nothing, are left out.

        Raises:
            UnreadableRecording: the audio cannot be decoded.
        """
        window = seconds_to_samples(self.window_s, audio.sample_rate_hz)
        starts = [start for start in self.starts(chunk) if _has_sound(audio, start)]
        for index in range(0, len(starts), _BATCH_WINDOWS):
            some = starts[index : index + _BATCH_WINDOWS]
            ends = tuple(min(start + window, audio.n_samples) for start in some)
            sound = audio.read(some[0], ends[-1])
            windows = _cut(sound, [start - some[0] for start in some], window)
            wanted_hz = self.sample_rate_hz or audio.sample_rate_hz
            if wanted_hz != audio.sample_rate_hz:
                wanted = seconds_to_samples(self.window_s, wanted_hz)
                lengths = [end - start for start, end in zip(some, ends, strict=True)]
                windows = _resample(windows, lengths, wanted)
            yield WindowBatch(windows, tuple(some), ends, wanted_hz)


class WindowDetector:
    """A detector that scores windows in this process.

    Attributes:
        identity: which model.
        batch_windows: how many windows to give it at once.
    """

    batch_windows = 1

    def __init__(self, identity: DetectorIdentity, grid: WindowGrid) -> None:
        self.identity = identity
        self._grid = grid

    def batches(
        self,
        audio: AudioFile,
        chunk: Chunk,
        recording_context: RecordingContext,  # noqa: ARG002  (a sound scores the same everywhere)
    ) -> Iterator[WindowBatch]:
        """Yields the chunk's windows at the model's rate."""
        return self._grid.read(audio, chunk)

    def report(self) -> DetectorReport | None:
        """Returns nothing: there is no more to say than the detections."""
        return None

    def close(self) -> None:
        """Does nothing: the process that ends frees the model."""


def require_partial_overlap(overlap_s: float, window_s: float, name: str) -> None:
    """Raises ConfigInvalid where windows would overlap entirely.

    Args:
        overlap_s: as set.
        window_s: length of a window.
        name: of the model, for people.
    """
    if overlap_s >= window_s:
        raise ConfigInvalid(
            f"detector.window_overlap_s is {overlap_s:g}",
            remedy=f"{name}'s windows last {window_s:g} s: choose less than that",
        )


def _has_sound(audio: AudioFile, start_sample: int) -> bool:
    """Returns whether a window has a length in milliseconds."""
    end_ms = samples_to_ms(audio.n_samples, audio.sample_rate_hz)
    return samples_to_ms(start_sample, audio.sample_rate_hz) < end_ms


def _resample(
    windows: npt.NDArray[np.float32], lengths: list[int], window_samples: int
) -> npt.NDArray[np.float32]:
    """Returns windows of `window_samples` at another rate, of which only the sound is resampled.

    Args:
        windows: shape [n_windows, n_samples], zero-padded.
        lengths: how many samples of each are sound.
        window_samples: length of a window at the wanted rate.
    """
    full = windows.shape[1]
    n_whole = sum(length == full for length in lengths)  # those cut by the end are the last
    resampled = np.zeros((len(windows), window_samples), np.float32)
    if n_whole:
        resampled[:n_whole] = resample_windows(windows[:n_whole], window_samples)
    for row, length in enumerate(lengths[n_whole:], n_whole):
        n_samples = max(1, round(length * window_samples / full))
        resampled[row, :n_samples] = resample_windows(windows[row : row + 1, :length], n_samples)
    return resampled


def _cut(
    sound: npt.NDArray[np.float32], offsets: list[int], window_samples: int
) -> npt.NDArray[np.float32]:
    """Returns windows of equal length; a view of `sound` where they follow each other."""
    if len(sound) == len(offsets) * window_samples and offsets[-1] + window_samples == len(sound):
        return sound.reshape(len(offsets), window_samples)
    windows = np.zeros((len(offsets), window_samples), np.float32)
    for row, offset in enumerate(offsets):
        part = sound[offset : offset + window_samples]
        windows[row, : len(part)] = part
    return windows
