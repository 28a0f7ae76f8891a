"""The grid of windows, reading them, and what detectors share that score windows.

Windows start at multiples of the hop from the *recording's* start. A window belongs to the chunk
it starts in, and reads past that chunk's end where it must, so results do not depend on how a
recording is cut. In the overlap of two chunks it belongs to the earlier one.

A chunk in a file of its own cannot be read past the file's end. A window that is cut there belongs
to the next file if that holds more of it. Where no file holds all of it, the first scores its part
of the window, and the next one the rest.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from badc_core.audio.reader import AudioFile
from badc_core.audio.resampling import resample_windows
from badc_core.chunks.plan import Chunk, FilePlace
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

    def windows(self, chunk: Chunk, n_samples: int) -> list[tuple[int, int]]:
        """Returns the windows that belong to a chunk: half-open ranges of the sound they hold.

        Windows that hold less than a millisecond of sound, which a table could only show as
        nothing, are left out.
        """
        in_file = _in_range if chunk.file is None else _in_file
        size = seconds_to_samples(self.window_s, chunk.sample_rate_hz)
        found = in_file(chunk, n_samples, size, self._hop(chunk.sample_rate_hz))
        return [one for one in found if _has_length(*one, chunk.sample_rate_hz)]

    def read(self, audio: AudioFile, chunk: Chunk) -> Iterator[WindowBatch]:
        """Yields the chunk's windows in batches; those that hold less sound are zero-padded.

        What is padded is the sound at the model's rate, as the `birdnet` package does: resampling
        a window with zeros in it would blur the sound's end and move the score by up to 0.15.

        Raises:
            UnreadableRecording: the audio cannot be decoded.
        """
        size = seconds_to_samples(self.window_s, audio.sample_rate_hz)
        wanted_hz = self.sample_rate_hz or audio.sample_rate_hz
        ranges = self.windows(chunk, audio.n_samples)
        for index in range(0, len(ranges), _BATCH_WINDOWS):
            starts, ends = zip(*ranges[index : index + _BATCH_WINDOWS], strict=True)
            sound = audio.read(starts[0], max(ends))
            lengths = [end - start for start, end in zip(starts, ends, strict=True)]
            windows = _cut(sound, [start - starts[0] for start in starts], lengths, size)
            if wanted_hz != audio.sample_rate_hz:
                wanted = seconds_to_samples(self.window_s, wanted_hz)
                windows = _resample(windows, lengths, wanted)
            yield WindowBatch(windows, starts, ends, wanted_hz)

    def _hop(self, sample_rate_hz: int) -> int:
        return max(1, seconds_to_samples(self.window_s - self.overlap_s, sample_rate_hz))


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
    """Raises ConfigInvalid where windows would overlap entirely."""
    if overlap_s >= window_s:
        raise ConfigInvalid(
            f"detector.window_overlap_s is {overlap_s:g}",
            remedy=f"{name}'s windows last {window_s:g} s: choose less than that",
        )


def _in_range(chunk: Chunk, n_samples: int, size: int, hop: int) -> list[tuple[int, int]]:
    """Returns the windows of a chunk on the grid that begins where its file does."""
    first = _next_start(chunk.start_sample + chunk.overlap_samples, hop)
    return [(start, min(start + size, n_samples)) for start in range(first, chunk.end_sample, hop)]


def _in_file(chunk: Chunk, n_samples: int, size: int, hop: int) -> list[tuple[int, int]]:
    """Returns the windows of a chunk in a file of its own, on the recording's grid.

    What the files before hold is theirs, except for windows that their end cuts. If none of those
    begins in this file, the rest of the last of them is a window of its own.
    """
    place = chunk.file or FilePlace(0)
    held = place.held_before
    if held >= n_samples:
        return []
    earliest = max(0, held - size + 1)
    first = _next_start(place.start_sample + earliest, hop) - place.start_sample
    later = n_samples - place.held_after
    windows = [(held, min(first - hop + size, n_samples))] if first > held else []
    windows += [
        (start, min(start + size, n_samples))
        for start in range(first, n_samples, hop)
        if start < later or start + size <= n_samples
    ]
    return [one for one in windows if chunk.start_sample <= one[0] < chunk.end_sample]


def _next_start(sample: int, hop: int) -> int:
    """Returns the first multiple of the hop at or after a sample."""
    return -(-sample // hop) * hop


def _has_length(start_sample: int, end_sample: int, sample_rate_hz: int) -> bool:
    """Returns whether a window has a length in milliseconds."""
    return samples_to_ms(start_sample, sample_rate_hz) < samples_to_ms(end_sample, sample_rate_hz)


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
    resampled = np.zeros((len(windows), window_samples), np.float32)
    whole = [row for row, length in enumerate(lengths) if length == full]
    if whole:
        resampled[whole] = resample_windows(windows[whole], window_samples)
    for row, length in enumerate(lengths):
        if length < full:
            n_samples = max(1, round(length * window_samples / full))
            part = resample_windows(windows[row : row + 1, :length], n_samples)
            resampled[row, :n_samples] = part
    return resampled


def _cut(
    sound: npt.NDArray[np.float32], offsets: list[int], lengths: list[int], window_samples: int
) -> npt.NDArray[np.float32]:
    """Returns windows of equal size, zero-padded; a view of `sound` where they follow each other.

    Args:
        sound: shape [n_samples].
        offsets: where each window begins in it.
        lengths: how many samples of each are sound.
        window_samples: size of a window.
    """
    follow = offsets == [row * window_samples for row in range(len(offsets))]
    if follow and len(sound) == len(offsets) * window_samples:
        return sound.reshape(len(offsets), window_samples)
    windows = np.zeros((len(offsets), window_samples), np.float32)
    for row, (offset, length) in enumerate(zip(offsets, lengths, strict=True)):
        windows[row, :length] = sound[offset : offset + length]
    return windows
