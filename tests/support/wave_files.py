"""WAV files written byte by byte, with headers as recorders and tools really leave them."""

import io
import struct
from typing import Any

import numpy as np
import soundfile as sf

RATE_HZ = 8000
LENGTH_S = 9


def sound(n_samples: int = RATE_HZ * LENGTH_S, seed: int = 1) -> np.ndarray:
    """Returns noise with a tone."""
    noise = np.random.default_rng(seed).normal(0, 0.002, n_samples)
    return noise + 0.3 * np.sin(np.arange(n_samples) / 3)


PCM = (sound() * 32767).astype("<i2").tobytes()


def fmt(*, bits: int = 16, n_channels: int = 1, rate_hz: int = RATE_HZ, **other: int) -> bytes:
    """Returns a chunk `fmt ` of PCM; byte_rate and block_bytes may be given."""
    block = other.get("block_bytes", n_channels * bits // 8)
    byte_rate = other.get("byte_rate", rate_hz * n_channels * bits // 8)
    content = struct.pack("<HHIIHH", 1, n_channels, rate_hz, byte_rate, block, bits)
    return chunk(b"fmt ", content)


def chunk(name: bytes, content: bytes, size: int | None = None, *, padded: bool = True) -> bytes:
    """Returns a chunk that claims a size."""
    n_bytes = len(content) if size is None else size
    padding = b"\0" if padded and len(content) % 2 else b""
    return name + struct.pack("<I", n_bytes) + content + padding


def wave(*chunks: bytes, form: bytes = b"RIFF", size: int | None = None) -> bytes:
    """Returns a file that claims a size."""
    body = b"WAVE" + b"".join(chunks)
    return form + struct.pack("<I", len(body) if size is None else size) + body


def encode(samples: np.ndarray, form: str, subtype: str | None = None, **options: Any) -> bytes:
    """Returns a file as libsndfile writes it."""
    file = io.BytesIO()
    sf.write(file, samples, options.pop("rate_hz", RATE_HZ), subtype, format=form, **options)
    return file.getvalue()


def flac_with_total(content: bytes, total: int) -> bytes:
    """Returns a FLAC whose header promises another number of samples."""
    packed = int.from_bytes(content[18:26], "big")
    return content[:18] + (packed >> 36 << 36 | total).to_bytes(8, "big") + content[26:]


def wamd_chunk(texts: dict[int, str], version: int = 1) -> bytes:
    """Returns Wildlife Acoustics' chunk, with texts by their numbers."""
    parts = {
        0: version.to_bytes(2, "little"),
        **{kind: one.encode() for kind, one in texts.items()},
    }
    return chunk(
        b"wamd", b"".join(struct.pack("<HI", kind, len(one)) + one for kind, one in parts.items())
    )


def bext_chunk(day: bytes, time: bytes) -> bytes:
    """Returns the chunk of a Broadcast WAV that says when it was made."""
    content = bytearray(602)
    content[256:263], content[320:330], content[330:338] = b"Zoom F6", day, time
    return chunk(b"bext", bytes(content))
