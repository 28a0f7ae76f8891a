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

from badc_core.audio.containers import check_container
from badc_core.errors import ContentMissing, UnreadableRecording

Samples: TypeAlias = npt.NDArray[np.float32]

_BLOCK_SAMPLES = 1 << 20


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
        try:
            self._file = sf.SoundFile(path)
        except (sf.LibsndfileError, RuntimeError) as error:
            raise UnreadableRecording(
                f"cannot be decoded ({str(error).rsplit(': ', 1)[-1].rstrip('.')})",
                path,
                "Copy it again from the card, or remove it",
            ) from error
        self.sample_rate_hz: int = self._file.samplerate
        self.n_channels: int = self._file.channels
        self.n_samples: int = self._file.frames
        self.format: str = self._file.format
        self.subtype: str = self._file.subtype

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
            if self._file.tell() != start_sample:
                self._file.seek(start_sample)
            block = self._file.read(wanted, dtype="float32", always_2d=True)
        except (sf.LibsndfileError, RuntimeError) as error:
            raise self._broken_at(start_sample) from error
        if len(block) < wanted:
            raise self._broken_at(start_sample + len(block))
        return block[:, 0] if self.n_channels == 1 else block.mean(axis=1, dtype=np.float32)

    def blocks(self) -> Iterator[npt.NDArray[np.float32]]:
        """Yields the whole recording in order, float32 of shape [n_samples, n_channels].

        Raises:
            UnreadableRecording: decoding stops before or goes on after the length in the header.
        """
        self._file.seek(0)
        n_read = 0
        while True:
            try:
                block = self._file.read(_BLOCK_SAMPLES, dtype="float32", always_2d=True)
            except (sf.LibsndfileError, RuntimeError) as error:
                raise self._broken_at(n_read) from error
            if not len(block):
                break
            n_read += len(block)
            yield block
        if n_read != self.n_samples:
            raise self._broken_at(n_read)

    def _broken_at(self, sample: int) -> UnreadableRecording:
        return UnreadableRecording(
            f"decoding stops at {sample / self.sample_rate_hz:.2f} s of the "
            f"{self.n_samples / self.sample_rate_hz:.2f} s its header promises",
            self.path,
            "Copy it again from the card, or remove it",
        )


def require_content(path: Path) -> int:
    """Returns the size in bytes of a file whose content is here.

    Raises:
        ContentMissing: there is no such file, or it is an annexed link without content.
        UnreadableRecording: it may not be read.
    """
    try:
        with path.open("rb") as file:
            return file.seek(0, 2)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise ContentMissing(
                "its content is not on this machine", path, f"Run: datalad get '{path}'"
            ) from error
        raise ContentMissing(
            "the file is gone", path, "Put it back, or run badc scan to see what is there"
        ) from error
    except PermissionError as error:
        raise UnreadableRecording(
            "no permission to read it", path, f"Run: chmod u+r '{path}'"
        ) from error
