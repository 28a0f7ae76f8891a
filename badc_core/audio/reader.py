"""Ranges of samples out of audio files, read in place.

What a file claims is compared with what is there, in `containers.py`: a truncated file raises, it
is never silently shorter. Quality figures are in `recordings/quality.py`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile as sf

from badc_core.audio.channel import MEAN, OneChannel, require_channel, take_channel
from badc_core.audio.containers import examine, open_refused
from badc_core.audio.damage import explain_damage, explain_strange, explain_truncation, name_lengths
from badc_core.audio.ffmpeg import FfmpegFile, FfmpegView
from badc_core.audio.last_range import LastRange
from badc_core.audio.view import ForwardFile, OpenSound, is_forward_only
from badc_core.errors import ChannelMissing, UnreadableRecording

Samples: TypeAlias = npt.NDArray[np.float32]

_BLOCK_SAMPLES = 1 << 20
_BLOCK_VALUES = 1 << 22
"""Of all channels: a header may claim a thousand of them."""

_RATES_HZ = range(100, 10_000_001)
_LONGEST_S = 366 * 24 * 3600
_FLOAT_SUBTYPES = frozenset({"FLOAT", "DOUBLE"})

_POSITION_LOST = -1
"""Where the decoder is after an error: unknown, so the next read moves it first."""


class AudioFile:
    """An open recording.

    Attributes:
        path: the file.
        sample_rate_hz: its own rate.
        n_channels: its channels.
        channel: the one that `read` returns, or the mean of all.
        format: libsndfile's major format, such as WAV, FLAC or MP3; M4A and others for ffmpeg.
        subtype: libsndfile's encoding, such as PCM_16, or ffmpeg's, such as AAC.
        decoder: ffmpeg and its version where that decodes it; empty for libsndfile.
        warnings: what is wrong with it and does not keep it from being read, one sentence each.
        n_not_numbers: how many of the values read so far were not finite; they read as 0.
        is_truncated: it was cut off, and what is left is read; known at its end at the latest.
    """

    def __init__(
        self,
        path: Path,
        *,
        accept_truncated: bool = False,
        expected_samples: int | None = None,
        channel: OneChannel = MEAN,
    ) -> None:
        """Opens the file.

        Args:
            path: the file.
            accept_truncated: read what is left of a file that was cut off.
            expected_samples: its length as it was counted before, which spares decoding a file
                whose end alone tells; a file that was cut off is read where so much is left of
                it, since whoever counted that accepted it.
            channel: what `read` returns.

        Raises:
            ContentMissing: the file or its annexed content is not here.
            UnreadableRecording: empty, forbidden, not audio, or shorter than its header says.
            ChannelMissing: it has no such channel.
        """
        self.path = path
        self.channel: OneChannel = channel
        self._view = examine(path)
        self.warnings = self._view.warnings
        self.n_not_numbers = 0
        self.is_truncated = False
        if self._view.truncated and not accept_truncated and expected_samples is None:
            raise explain_truncation(path, self._view.truncated)
        self._file = self._open()
        self._position = 0
        self._last = LastRange()
        self._accept_truncated = accept_truncated or expected_samples is not None
        self.sample_rate_hz: int = self._file.samplerate
        self.n_channels: int = self._file.channels
        self.format: str = self._file.format
        self.subtype: str = self._file.subtype
        self.decoder = ""
        self._n_samples: int | None = self._view.n_samples or self._file.frames
        if isinstance(self._file, FfmpegFile):
            self._n_samples = expected_samples
            self.decoder, self.warnings = self._file.decoder, self.warnings + self._file.warnings
        try:
            self._check(accept_truncated, expected_samples)
        except (UnreadableRecording, ChannelMissing):
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def n_samples(self) -> int:
        """Its length per channel, whatever its header says.

        Raises:
            UnreadableRecording: only its end tells, and it cannot be decoded to there.
        """
        while self._n_samples is None:
            for _ in self.blocks():
                pass
        return self._n_samples

    def close(self) -> None:
        """Closes the file; a second call does nothing."""
        self._file.close()

    def read(self, start_sample: int, end_sample: int) -> Samples:
        """Returns the samples of a half-open range, of the channel or the mean of all.

        Equal to that slice of the whole decoded recording, bit by bit. In an MP3, and where
        ffmpeg decodes, a range that does not follow the one read before costs decoding everything
        before it: about 1 s an hour of sound in an MP3, 5 s in an M4A. What overlaps with the
        range read last is remembered.

        Args:
            start_sample: first sample, at the recording's own rate.
            end_sample: one past the last, <= n_samples.

        Returns:
            float32, shape [end_sample - start_sample], range [-1, 1].

        Raises:
            UnreadableRecording: the range cannot be decoded to its end.
        """
        kept = self._last.recall(start_sample, end_sample)
        if 0 < len(kept) == end_sample - start_sample:
            return kept
        first = start_sample + len(kept)
        try:
            self._move_to(first)
            rest = self._read_channel(end_sample - first)
        except (sf.LibsndfileError, RuntimeError) as error:
            raise self._broken_at(first) from error
        if first + len(rest) < end_sample:
            raise self._broken_at(first + len(rest))
        if isinstance(self._file, FfmpegFile) and end_sample == self._n_samples:
            self._require_end()
        sound: Samples = np.concatenate([kept, rest]) if len(kept) else rest
        if is_forward_only(self._file):
            self._last = LastRange(start_sample, sound.copy())
        return sound

    def blocks(self, dtype: str = "float32") -> Iterator[npt.NDArray[Any]]:
        """Yields the whole recording in order, shape [n_samples, n_channels].

        Args:
            dtype: float32, or what soundfile reads where that cannot hold all (float64, int32) or
                is slower (int16, for PCM_16).

        Raises:
            UnreadableRecording: decoding stops before its length.
        """
        n_read = 0
        while self._n_samples is None or n_read < self._n_samples:
            n_left = self._block_samples if self._n_samples is None else self._n_samples - n_read
            try:
                self._move_to(n_read)
                block = self._read_block(min(self._block_samples, n_left), dtype)
            except (sf.LibsndfileError, RuntimeError) as error:
                raise self._broken_at(n_read) from error
            if len(block):
                n_read += len(block)
                yield block
            elif isinstance(self._file, FfmpegFile) and self._n_samples is None:
                self._settle(self._file, n_read)
            else:
                raise self._broken_at(n_read)

    @property
    def _block_samples(self) -> int:
        return min(_BLOCK_SAMPLES, max(1, _BLOCK_VALUES // self.n_channels))

    def _check(self, accept_truncated: bool, expected_samples: int | None) -> None:
        """Raises where nobody can have recorded this, or less is left than is accepted."""
        if self.sample_rate_hz not in _RATES_HZ:
            what = f"its header claims a sample rate of {self.sample_rate_hz} Hz"
            raise explain_strange(self.path, what)
        require_channel(self.channel, self.n_channels, self.path)
        if self._n_samples is None:
            return
        if self.n_samples == 0:
            raise explain_damage(self.path, "there is no sound in it")
        if self.n_samples > _LONGEST_S * self.sample_rate_hz:
            days = self.n_samples / self.sample_rate_hz / 86_400
            raise explain_strange(self.path, f"its header promises {days:.3g} days of sound")
        if not self._view.truncated:
            return
        if not accept_truncated and self.n_samples != expected_samples:
            raise explain_truncation(self.path, self._view.truncated)
        self._warn_cut_off(self._view.truncated, self.n_samples)

    def _warn_cut_off(self, what: str, n_samples: int) -> None:
        there = f"the {n_samples / self.sample_rate_hz:.2f} s that are left are taken"
        self.warnings += (f"It is cut off: {what}; {there}.",)
        self.is_truncated = True

    def _settle(self, file: FfmpegFile, n_samples: int) -> None:
        """Takes a length that only the end told, where the file is whole or may be cut off."""
        truncated = file.explain_end(n_samples)
        if truncated and not self._accept_truncated:
            raise explain_truncation(self.path, truncated)
        self.warnings += tuple(one for one in file.warnings if one not in self.warnings)
        if n_samples == 0:
            raise explain_damage(self.path, "there is no sound in it")
        if truncated:
            self._warn_cut_off(truncated, n_samples)
        self._n_samples = n_samples

    def _require_end(self) -> None:
        """Raises where sound follows the end that somebody counted before."""
        if len(self._read_block(1)):
            what = f"it goes on after its {self.n_samples / self.sample_rate_hz:.2f} s"
            raise explain_damage(self.path, f"{what}: it changed since it was described")

    def _read_channel(self, wanted: int) -> Samples:
        """Returns the next samples of the channel, or of the mean; fewer at the end."""
        if self.n_channels == 1:
            only: Samples = self._read_block(wanted)[:, 0]
            return only
        sound = np.empty(wanted, np.float32)
        n_read = 0
        while n_read < wanted:
            block = self._read_block(min(self._block_samples, wanted - n_read))
            if not len(block):
                break
            take_channel(block, self.channel, sound[n_read : n_read + len(block)])
            n_read += len(block)
        return sound[:n_read]

    def _open(self) -> OpenSound:
        try:
            return self._view.open(self.path)
        except (sf.LibsndfileError, RuntimeError) as error:
            reason = str(error).rsplit(": ", 1)[-1].rstrip(".")
            refused = open_refused(self.path, self._view, reason)
            self._view = FfmpegView(is_second=True)
            return refused

    def _move_to(self, sample: int) -> None:
        """Brings the decoder to a sample so that what follows is what a full decode gives.

        Frames of MP3 and Ogg draw on frames before them, and libsndfile's seek forgets those: it
        was off by up to 0.38 of full scale in MP3 and by 448 samples in Ogg. These are only ever
        decoded forwards.
        """
        if self._position == sample:
            return
        if isinstance(self._file, ForwardFile) and not is_forward_only(self._file):
            self._position = self._file.seek(sample)
        elif not 0 <= self._position <= sample:
            self._file.close()
            self._file, self._position = self._open(), 0
        while self._position < sample:
            if not len(self._read_block(min(sample - self._position, self._block_samples))):
                return  # a broken end, which the read that follows reports

    def _read_block(self, n_samples: int, dtype: str = "float32") -> npt.NDArray[Any]:
        """Returns the next samples, fewer at the end: shape [n_samples, n_channels]."""
        position, self._position = self._position, _POSITION_LOST
        block: npt.NDArray[Any] = self._file.read(n_samples, dtype, always_2d=True)
        self._position = position + len(block)
        if self.subtype in _FLOAT_SUBTYPES and not (is_number := np.isfinite(block)).all():
            self.n_not_numbers += block.size - int(np.count_nonzero(is_number))
            block[~is_number] = 0
        return block

    def _broken_at(self, sample: int) -> UnreadableRecording:
        promised, there = name_lengths(
            self.n_samples / self.sample_rate_hz, sample / self.sample_rate_hz
        )
        return explain_damage(self.path, f"decoding stops at {there} of its {promised}")
