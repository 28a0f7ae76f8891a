"""The samples of chunks, every channel, decoded from front to back.

One pass over a file serves chunks that do not touch each other's sound; overlapping ones are
dealt out over as many passes as lie on top of each other. So the work grows with the sound asked
for, MP3 and Ogg are only ever decoded forwards, and one block is in memory at a time.
"""

from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile as sf

from badc_core.audio.containers import examine
from badc_core.audio.reader import AudioFile
from badc_core.chunks.plan import Chunk

Block: TypeAlias = npt.NDArray[Any]
"""Successive samples, shape [n_samples, n_channels]."""

Blocks: TypeAlias = Generator[Block, None, None]

_BLOCK_SAMPLES = 1 << 18
_FINE_BLOCK_SAMPLES = 1 << 10
_FULL_SCALE = np.float32(1 << 31)

# What float32, which the reader gives, cannot hold.
_WIDE_TYPES = {"PCM_32": "int32", "ALAC_32": "int32", "DOUBLE": "float64"}

_WAV_SUBTYPES = {
    **{name: name for name in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")},
    **dict.fromkeys(("PCM_S8", "ULAW", "ALAW", "DWVW_12", "DWVW_16", "ALAC_16"), "PCM_16"),
    **dict.fromkeys(("DWVW_24", "ALAC_20", "ALAC_24"), "PCM_24"),
    "ALAC_32": "PCM_32",
}


def choose_wav_subtype(subtype: str) -> str:
    """Returns the smallest sample format of a WAV that holds everything a file's format holds.

    A signed byte becomes 16 bits, since a WAV's bytes are unsigned; what has no number of bits
    (MP3, Vorbis, Opus, ADPCM) becomes 32-bit float.
    """
    return _WAV_SUBTYPES.get(subtype, "FLOAT")


def decode_to_float(file: Path) -> Blocks:
    """Yields a file as float32, range [-1, 1].

    Raises:
        ContentMissing: the file or its annexed content is not here.
        UnreadableRecording: it cannot be decoded to its end, or goes on after it.
    """
    with AudioFile(file, accept_truncated=True) as audio:
        yield from audio.blocks()


def decode_exactly(file: Path, subtype: str) -> Blocks:
    """Yields a file as the numbers that are in it.

    Yields:
        int32 with the highest bit first where `choose_wav_subtype` returns PCM, else float32 or
        float64.

    Raises:
        ContentMissing: the file or its annexed content is not here.
        UnreadableRecording: it cannot be decoded to its end, or goes on after it.
    """
    if subtype in _WIDE_TYPES:
        yield from _decode_wide(file, _WIDE_TYPES[subtype])
    elif choose_wav_subtype(subtype) == "FLOAT":
        yield from decode_to_float(file)
    else:
        with closing(decode_to_float(file)) as blocks:
            for block in blocks:
                yield (block * _FULL_SCALE).astype(np.int32)


def count_decodable(file: Path) -> int:
    """Returns how many samples can be decoded before it breaks, up to 1023 too few.

    A read that fails does not say how far it came, so the last block is read again in small ones.
    """
    n_coarse = _read_until_broken(file, 0)
    return _read_until_broken(file, n_coarse)


def _read_until_broken(file: Path, n_coarse: int) -> int:
    """Reads that many samples in large blocks and what follows in small ones; 0: all in large."""
    n_read = 0
    with suppress(sf.LibsndfileError, RuntimeError), examine(file).open(file) as opened:
        while True:
            is_fine = 0 < n_coarse <= n_read
            block = opened.read(_FINE_BLOCK_SAMPLES if is_fine else _BLOCK_SAMPLES, always_2d=True)
            if not len(block):
                break
            n_read += len(block)
    return n_read


def read_chunks(
    decode: Callable[[], Blocks], chunks: Sequence[Chunk]
) -> Iterator[tuple[Chunk, Iterator[Block]]]:
    """Yields chunks with their sound, in an order that needs few passes over the file.

    Args:
        decode: starts a pass.
        chunks: in order, of one file; some of its chunks will do.

    Yields:
        A chunk and its blocks, which must be read before the next chunk.
    """
    n_passes = count_passes(chunks)
    for number in range(n_passes):
        with closing(decode()) as blocks:
            sound = _Forwards(blocks)
            for chunk in chunks[number::n_passes]:
                yield chunk, sound.take(chunk.start_sample, chunk.end_sample)
            # Only reading past the end shows that the file goes on or breaks.
            next(blocks, None)


def count_passes(chunks: Sequence[Chunk]) -> int:
    """Returns the smallest number n for which no chunk reaches into the n-th after it."""
    starts = [chunk.start_sample for chunk in chunks]
    reach = (bisect_left(starts, chunk.end_sample) - i for i, chunk in enumerate(chunks))
    return max(reach, default=0)


class _Forwards:
    """Ranges out of blocks that come in order."""

    def __init__(self, blocks: Iterator[Block]) -> None:
        self._blocks = blocks
        self._rest: Block = np.empty((0, 1))
        self._position = 0

    def take(self, start_sample: int, end_sample: int) -> Iterator[Block]:
        """Yields the samples of a range in pieces; what is before it is skipped."""
        while self._position < end_sample:
            if not len(self._rest):
                self._rest = next(self._blocks)
            is_inside = self._position >= start_sample
            wanted = (end_sample if is_inside else start_sample) - self._position
            piece, self._rest = self._rest[:wanted], self._rest[wanted:]
            self._position += len(piece)
            if is_inside:
                yield piece


def _decode_wide(file: Path, dtype: str) -> Blocks:
    with AudioFile(file, accept_truncated=True) as audio:
        yield from audio.blocks(dtype)
