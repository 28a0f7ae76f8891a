"""The chunks of a RIFF file (WAV): where each is and how long it claims to be.

Only headers are read, by seeking; sound is never loaded. What the chunks mean is in
`wave_texts.py`; whether the sound is complete is judged in `audio/containers.py`.

Source: IBM and Microsoft, Multimedia Programming Interface 1.0 (RIFF, LIST INFO); EBU Tech 3306
(RF64, whose true sizes are in a `ds64` chunk).
"""

import itertools
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MAX_METADATA_BYTES = 16 << 20
_UNKNOWN_SIZE = 0xFFFFFFFF


@dataclass(frozen=True)
class RiffChunk:
    """A chunk.

    Attributes:
        name: its four letters.
        start_bytes: where its content begins in the file.
        size_bytes: how long it claims to be; may reach past the file's end only for `data`.
    """

    name: str
    start_bytes: int
    size_bytes: int

    @property
    def end_bytes(self) -> int:
        """One past its last byte, without padding."""
        return self.start_bytes + self.size_bytes


@dataclass(frozen=True)
class RiffLayout:
    """The chunks of a file in order, and where they stop making sense.

    Attributes:
        end_bytes: one past the last chunk and its padding; what follows is no chunk.
        file_bytes: the file's size.
        form: RIFF, RF64 or BW64.
        size_bytes: how long the file claims to be, without its first eight bytes.
        start_bytes: where it begins, behind other bytes.
    """

    chunks: tuple[RiffChunk, ...]
    end_bytes: int
    file_bytes: int
    form: str = "RIFF"
    size_bytes: int = 0
    start_bytes: int = 0

    @property
    def claimed_end_bytes(self) -> int:
        """One past the last byte that it claims to have."""
        return self.start_bytes + 8 + self.size_bytes

    @property
    def lacks_padding(self) -> bool:
        """Whether an odd chunk before the sound is followed by the next without padding."""
        return any(
            one.size_bytes % 2 and following.start_bytes - 8 == one.end_bytes
            for one, following in itertools.pairwise(self.chunks)
            if one.name != "data"
        )

    def find(self, name: str) -> RiffChunk | None:
        """Returns the first chunk of a name."""
        return next((chunk for chunk in self.chunks if chunk.name == name), None)


def read_riff_layout(path: Path, start_bytes: int = 0) -> RiffLayout | None:
    """Returns the chunks of a RIFF, RF64 or BW64 WAVE file; None if it is none of them.

    Args:
        path: the file.
        start_bytes: where it begins to be such a file.
    """
    with path.open("rb") as file:
        file_bytes = file.seek(0, os.SEEK_END)
        file.seek(start_bytes)
        head = file.read(12)
        if head[:4] not in {b"RIFF", b"RF64", b"BW64"} or head[8:12] != b"WAVE":
            return None
        chunks: list[RiffChunk] = []
        position = start_bytes + 12
        long_data_bytes: int | None = None
        while (chunk := _chunk_at(file, position, file_bytes, long_data_bytes)) is not None:
            if chunk.name == "ds64":
                long_data_bytes = _read_long_data_size(file, chunk)
            chunks.append(chunk)
            position = _next_position(file, chunk, file_bytes)
        (size_bytes,) = struct.unpack("<I", head[4:8])
        form = head[:4].decode()
        return RiffLayout(tuple(chunks), position, file_bytes, form, size_bytes, start_bytes)


def read_chunk_bytes(path: Path, chunk: RiffChunk) -> bytes:
    """Returns the content of a metadata chunk, at most 16 MiB of it."""
    with path.open("rb") as file:
        file.seek(chunk.start_bytes)
        return file.read(min(chunk.size_bytes, _MAX_METADATA_BYTES))


def parse_info(content: bytes) -> dict[str, str]:
    """Returns the texts in the content of a LIST INFO chunk, after its name."""
    tags: dict[str, str] = {}
    position = 0
    while position + 8 <= len(content):
        name, size_bytes = struct.unpack_from("<4sI", content, position)
        text = content[position + 8 : position + 8 + size_bytes]
        tags[name.decode("latin-1")] = text.decode("utf-8", "replace").strip("\0 \r\n")
        position += 8 + size_bytes + size_bytes % 2
    return {name: text for name, text in tags.items() if text}


def _chunk_at(
    file: BinaryIO, position: int, file_bytes: int, long_data_bytes: int | None
) -> RiffChunk | None:
    """Returns the chunk that begins at a position; None where there is nothing like one."""
    if position > file_bytes:
        return None
    file.seek(position)
    header = file.read(8)
    if len(header) < 8 or not all(0x20 <= letter < 0x7F for letter in header[:4]):  # noqa: PLR2004
        return None
    name = header[:4].decode("ascii")
    (size_bytes,) = struct.unpack("<I", header[4:])
    if name == "data":
        is_long = size_bytes == _UNKNOWN_SIZE and long_data_bytes is not None
        return RiffChunk(name, position + 8, long_data_bytes if is_long else size_bytes)  # type: ignore[arg-type]
    chunk = RiffChunk(name, position + 8, size_bytes)
    return chunk if chunk.end_bytes <= file_bytes else None


def _next_position(file: BinaryIO, chunk: RiffChunk, file_bytes: int) -> int:
    """Steps over the padding byte of an odd chunk, which some writers forget."""
    padded = chunk.end_bytes + chunk.size_bytes % 2
    if padded != chunk.end_bytes and _chunk_at(file, padded, file_bytes, None) is None:
        forgotten = _chunk_at(file, chunk.end_bytes, file_bytes, None)
        return chunk.end_bytes if forgotten is not None else min(padded, file_bytes)
    return padded


def _read_long_data_size(file: BinaryIO, chunk: RiffChunk) -> int | None:
    file.seek(chunk.start_bytes)
    content = file.read(16)
    return int(struct.unpack("<Q", content[8:16])[0]) if len(content) == 16 else None  # noqa: PLR2004
