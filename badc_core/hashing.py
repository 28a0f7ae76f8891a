"""Hashes of file contents.

A fingerprint shows whether a file changed; a SHA-256 names its content for ever. What follows
from a changed fingerprint is decided where outputs are compared, not here.
"""

import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

_SAMPLE_BYTES = 1 << 20
_FILES_KNOWN = 256


def fingerprint_file(path: Path, kind: Literal["sampled", "full"]) -> str:
    """Returns a hex digest that changes when the file does.

    Args:
        path: the file; links are followed.
        kind: `sampled` hashes size, first and last MiB (a change in between that keeps the size
            goes unnoticed); `full` hashes every byte. The two kinds never give equal digests.

    Raises:
        OSError: the file cannot be read.
    """
    if kind == "full":
        return sha256_bytes(b"badc full " + bytes.fromhex(sha256_file(path)))
    with path.open("rb", buffering=0) as file:
        size_bytes = file.seek(0, os.SEEK_END)
        file.seek(0)
        digest = hashlib.sha256(f"badc sampled {size_bytes} ".encode())
        digest.update(file.read(_SAMPLE_BYTES))
        file.seek(max(0, size_bytes - _SAMPLE_BYTES))
        digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def sha256_file(path: Path) -> str:
    """Returns the SHA-256 of every byte of a file, hex.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_unchanged(path: Path) -> str:
    """Returns the SHA-256 of a file, hex, and reads it again only after it changed.

    Raises:
        OSError: the file cannot be read.
    """
    status = path.stat()
    return _sha256_version(path, status.st_size, status.st_mtime_ns)


def sha256_text(text: str) -> str:
    """Returns the SHA-256 of a text in UTF-8, hex."""
    return sha256_bytes(text.encode())


def sha256_bytes(content: bytes) -> str:
    """Returns the SHA-256 of bytes, hex."""
    return hashlib.sha256(content).hexdigest()


def digest_json(content: Any) -> str:
    """Returns 32 hex digits that change when JSON values do; the order of keys does not count."""
    return sha256_text(json.dumps(content, sort_keys=True))[:32]


@lru_cache(_FILES_KNOWN)
def _sha256_version(path: Path, _size_bytes: int, _mtime_ns: int) -> str:
    return sha256_file(path)
