"""Ranges of samples out of audio files, read in place.

What a file claims is compared with what is there: a truncated file raises, it is never
silently shorter. Quality figures are in `recordings/quality.py`.
"""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile as sf

from badc_core.audio.containers import check_container, explain_damage
from badc_core.audio.mpeg import open_source_to_end
from badc_core.errors import UnreadableRecording

Samples: TypeAlias = npt.NDArray[np.float32]

_BLOCK_SAMPLES = 1 << 20

# A Vorbis block depends on the one before and is at most 8,192 samples long; libsndfile's seek
# starts inside it and is off by up to 0.04 of full scale where nothing is decoded before.
_FORWARD_FORMATS = frozenset({"MP3", "OGG"})

_POSITION_LOST = -1
"""Where the decoder is after an error: unknown, so the next read moves it first."""


class _ForwardFile(sf.SoundFile):  # type: ignore[misc]
    """A sound file whose reads go on where the last one ended.

    soundfile seeks after every read of a seekable file, to where it is already. In MP3 and OGG
    that spoils the first samples of the next read.
    """

    def seekable(self) -> bool:
        """Returns False so that `read` leaves the position alone; `seek` works all the same."""
        return False


class AudioFile:
    """An open recording.

    Attributes:
        path: the file.
        sample_rate_hz: its own rate.
        n_channels: its channels; `read` returns their mean.
        n_samples: its length as the header says, per channel.
        format: libsndfile's major format, such as WAV, FLAC or MP3.
        subtype: libsndfile's encoding, such as PCM_16.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file.

        Raises:
            ContentMissing: the file or its annexed content is not here.
            UnreadableRecording: empty, forbidden, not audio, or shorter than its header says.
        """
        self.path = path
        check_container(path)
        self._file = self._open()
        self._position = 0
        self.sample_rate_hz: int = self._file.samplerate
        self.n_channels: int = self._file.channels
        self.n_samples: int = self._file.frames
        self.format: str = self._file.format
        self.subtype: str = self._file.subtype
        if self.n_samples == 0:
            self.close()
            raise explain_damage(path, "there is no sound in it")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; a second call does nothing."""
        self._file.close()

    def read(self, start_sample: int, end_sample: int) -> Samples:
        """Returns the samples of a half-open range, channels averaged.

        Equal to that slice of the whole decoded recording, bit by bit. In an MP3 a range that
        does not follow the one read before costs decoding everything before it, about 1 s an
        hour of sound.

        Args:
            start_sample: first sample, at the recording's own rate.
            end_sample: one past the last, <= n_samples.

        Returns:
            float32, shape [end_sample - start_sample], range [-1, 1].

        Raises:
            UnreadableRecording: the range cannot be decoded to its end.
        """
        wanted = end_sample - start_sample
        try:
            self._move_to(start_sample)
            block = self._read_block(wanted)
        except (sf.LibsndfileError, RuntimeError) as error:
            raise self._broken_at(start_sample) from error
        if len(block) < wanted:
            raise self._broken_at(start_sample + len(block))
        if self.n_channels == 1:
            return block[:, 0]
        mean: Samples = block.mean(axis=1, dtype=np.float32)
        return mean

    def blocks(self) -> Iterator[npt.NDArray[np.float32]]:
        """Yields the whole recording in order, float32 of shape [n_samples, n_channels].

        Raises:
            UnreadableRecording: decoding stops before or goes on after the length in the header.
        """
        n_read = 0
        while True:
            try:
                self._move_to(n_read)
                block = self._read_block(_BLOCK_SAMPLES)
            except (sf.LibsndfileError, RuntimeError) as error:
                raise self._broken_at(n_read) from error
            if not len(block):
                break
            n_read += len(block)
            yield block
        if n_read != self.n_samples:
            raise self._broken_at(n_read)

    def _open(self) -> _ForwardFile:
        try:
            return _ForwardFile(open_source_to_end(self.path))
        except (sf.LibsndfileError, RuntimeError) as error:
            reason = str(error).rsplit(": ", 1)[-1].rstrip(".")
            raise explain_damage(self.path, f"cannot be decoded ({reason})") from error

    def _move_to(self, sample: int) -> None:
        """Brings the decoder to a sample so that what follows is what a full decode gives.

        Frames of MP3 and Ogg draw on frames before them, and libsndfile's seek forgets those: it
        was off by up to 0.38 of full scale in MP3 and by 448 samples in Ogg. Both are only ever
        decoded forwards.
        """
        if self._position == sample:
            return
        if self.format in _FORWARD_FORMATS:
            if not 0 <= self._position <= sample:
                self._file.close()
                self._file, self._position = self._open(), 0
        else:
            self._position = self._file.seek(sample)
        while self._position < sample:
            if not len(self._read_block(min(sample - self._position, _BLOCK_SAMPLES))):
                return  # a broken end, which the read that follows reports

    def _read_block(self, n_samples: int) -> npt.NDArray[np.float32]:
        """Returns the next samples, fewer at the end: shape [n_samples, n_channels]."""
        position, self._position = self._position, _POSITION_LOST
        block: npt.NDArray[np.float32] = self._file.read(n_samples, "float32", always_2d=True)
        self._position = position + len(block)
        return block

    def _broken_at(self, sample: int) -> UnreadableRecording:
        promised = f"of the {self.n_samples / self.sample_rate_hz:.2f} s its header promises"
        what = f"decoding stops at {sample / self.sample_rate_hz:.2f} s {promised}"
        return explain_damage(self.path, what)
