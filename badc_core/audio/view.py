"""How libsndfile is shown a file whose header is wrong in a known way.

A view is the file without what is wrong: bytes that replace a header, and ranges of the file
itself. Nothing is copied to disk or loaded whole.
"""

import io
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias

import numpy.typing as npt
import soundfile as sf

Piece: TypeAlias = bytes | range
"""Bytes, or a range of bytes of the file."""


class OpenSound(Protocol):
    """An open file as a decoder gives it.

    Attributes:
        samplerate, channels: its own.
        frames: length per channel, as the decoder says; 0 where only the end tells.
        format, subtype: major format and encoding.
    """

    samplerate: int
    channels: int
    frames: int
    format: str
    subtype: str

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def close(self) -> None:
        """Closes the file."""

    def read(
        self, frames: int, dtype: str = "float32", *, always_2d: bool = True
    ) -> npt.NDArray[Any]:
        """Returns the next samples, fewer at the end."""


# A Vorbis block depends on the one before and is at most 8,192 samples long; libsndfile's seek
# starts inside it and is off by up to 0.04 of full scale where nothing is decoded before.
_FORWARD_FORMATS = frozenset({"MP3", "OGG"})

# libsndfile cannot move within these; nor, as in an MP3, within one that is in a WAV.
_FORWARD_SUBTYPES = ("MPEG_LAYER", "GSM610", "G721", "G723", "NMS_ADPCM", "DWVW", "DPCM")

_BUFFER_BYTES = 1 << 16


@dataclass(frozen=True)
class View:
    """What a file holds, whatever its header says.

    Attributes:
        pieces: what libsndfile is shown; none: the file as it is.
        n_samples: length per channel where it is known better than libsndfile knows it.
        warnings: what is wrong with the file, one sentence each.
        truncated: what is missing, as an error says it; empty for a file that is whole.
        is_anonymous: whether libsndfile gets the file as it is without its name, by which it would
            look for another beside it.
    """

    pieces: tuple[Piece, ...] = ()
    n_samples: int | None = None
    warnings: tuple[str, ...] = ()
    truncated: str = ""
    is_anonymous: bool = False

    def warn(self, warning: str) -> Self:
        """Returns the view with one more warning."""
        return replace(self, warnings=(*self.warnings, warning))

    def open(self, path: Path) -> OpenSound:
        """Returns the file as libsndfile reads it.

        Raises:
            soundfile.LibsndfileError: it cannot be decoded.
        """
        if self.is_anonymous:
            return ForwardFile(os.open(path, os.O_RDONLY | os.O_CLOEXEC), closefd=True)
        if not self.pieces:
            return ForwardFile(path)
        # An MP3 is read in two small pieces a frame.
        return ForwardFile(io.BufferedReader(PiecesFile(path, self.pieces), _BUFFER_BYTES))


WHOLE = View()


class PiecesFile(io.RawIOBase):
    """A read-only file made of pieces."""

    def __init__(self, path: Path, pieces: tuple[Piece, ...]) -> None:
        super().__init__()
        self._file = path.open("rb")
        self._pieces = pieces
        self._size_bytes = sum(map(len, pieces))
        self._position = 0

    def readable(self) -> bool:
        """Returns True."""
        return True

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def tell(self) -> int:
        """Returns the position."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves the position; returns it."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size_bytes}
        self._position = max(0, origin[whence] + offset)
        return self._position

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]  # noqa: ANN001
        """Fills a buffer; returns how many bytes there were."""
        wanted, n_read, start = memoryview(buffer).cast("B"), 0, 0
        for piece in self._pieces:
            skip = self._position - start
            start += len(piece)
            if skip < len(piece) and n_read < len(wanted):
                content = self._content(piece[skip : skip + len(wanted) - n_read])
                wanted[n_read : n_read + len(content)] = content
                n_read += len(content)
                self._position += len(content)
        return n_read

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
        super().close()

    def _content(self, piece: Piece) -> bytes:
        if isinstance(piece, bytes):
            return piece
        self._file.seek(piece.start)
        return self._file.read(len(piece))


class ForwardFile(sf.SoundFile):  # type: ignore[misc]
    """A sound file whose reads go on where the last one ended.

    soundfile seeks after every read of a seekable file, to where it is already. In MP3 and OGG
    that spoils the first samples of the next read.
    """

    def seekable(self) -> bool:
        """Returns False so that `read` leaves the position alone; `seek` works all the same."""
        return False


def is_forward_only(sound: OpenSound) -> bool:
    """Returns whether to go back in a file means to decode it again from its beginning."""
    return (
        not isinstance(sound, ForwardFile)
        or sound.format in _FORWARD_FORMATS
        or sound.subtype.startswith(_FORWARD_SUBTYPES)
    )
