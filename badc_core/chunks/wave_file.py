"""WAV files of a known length, as bytes in order.

Written here and not by libsndfile for three reasons: equal sound gives equal bytes (libsndfile
puts the time of day into float files), the hash is computed on the way, and a full disk is an error
of the system that says so. Reading is `audio/reader.py`'s business.

Source: IBM and Microsoft, Multimedia Programming Interface 1.0 (RIFF, WAVE); EBU Tech 3306 (RF64).
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from badc_core.chunks.sound import Block

_PCM, _IEEE_FLOAT = 1, 3
_BITS = {"PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 64}
_FLOATS = {"FLOAT": "<f4", "DOUBLE": "<f8"}
_LARGEST = 0xFFFFFFFF


@dataclass(frozen=True)
class WaveForm:
    """What every sample of a file looks like, and how many there are.

    Attributes:
        sample_rate_hz: rate.
        n_channels: channels, interleaved.
        n_samples: length per channel.
        subtype: PCM_U8, PCM_16, PCM_24, PCM_32, FLOAT or DOUBLE.
    """

    sample_rate_hz: int
    n_channels: int
    n_samples: int
    subtype: str

    @property
    def data_bytes(self) -> int:
        """Size of the sound."""
        return self.n_samples * self._frame_bytes

    @property
    def file_bytes(self) -> int:
        """Size of the file."""
        return len(self.header()) + self.data_bytes + self.data_bytes % 2

    @property
    def _frame_bytes(self) -> int:
        return self.n_channels * _BITS[self.subtype] // 8

    def header(self) -> bytes:
        """Returns the header; RF64 where a WAV's sizes do not suffice."""
        kind = _IEEE_FLOAT if self.subtype in _FLOATS else _PCM
        rate, frame = self.sample_rate_hz, self._frame_bytes
        fmt = struct.pack(
            "<HHIIHH", kind, self.n_channels, rate, rate * frame, frame, _BITS[self.subtype]
        )
        if kind == _IEEE_FLOAT:
            n_samples = struct.pack("<I", min(self.n_samples, _LARGEST))
            described = _riff_chunk(b"fmt ", fmt + bytes(2)) + _riff_chunk(b"fact", n_samples)
        else:
            described = _riff_chunk(b"fmt ", fmt)
        padded = self.data_bytes + self.data_bytes % 2
        riff_bytes = 4 + len(described) + 8 + padded
        if riff_bytes <= _LARGEST:
            head = struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE")
            return head + described + struct.pack("<4sI", b"data", self.data_bytes)
        sizes = struct.pack("<QQQI", riff_bytes + 36, self.data_bytes, self.n_samples, 0)
        head = struct.pack("<4sI4s", b"RF64", _LARGEST, b"WAVE") + _riff_chunk(b"ds64", sizes)
        return head + described + struct.pack("<4sI", b"data", _LARGEST)

    def encode(self, blocks: Iterable[Block]) -> Iterator[bytes]:
        """Yields the file, piece by piece.

        Args:
            blocks: `n_samples` in all, as `sound.decode_exactly` gives them.
        """
        yield self.header()
        for block in blocks:
            yield _pack(block, self.subtype)
        yield bytes(self.data_bytes % 2)


def _riff_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack("<4sI", name, len(content)) + content


def _pack(block: Block, subtype: str) -> bytes:
    """Returns samples as a WAV holds them; integers come with the highest bit first."""
    if subtype in _FLOATS:
        return block.astype(_FLOATS[subtype], copy=False).tobytes()
    if subtype == "PCM_U8":
        return ((block >> 24) + 128).astype(np.uint8).tobytes()
    if subtype == "PCM_16":
        return (block >> 16).astype("<i2").tobytes()
    whole = np.ascontiguousarray(block, "<i4")
    if subtype == "PCM_32":
        return whole.tobytes()
    return whole.view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()
