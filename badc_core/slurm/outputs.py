"""Whether this machine sees what a node has written: a network file system shows it late."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from badc_core.errors import BadcError, ContentMissing
from badc_core.hashing import sha256_file

PATIENCE_S = 150.0
"""NFS asks anew after a minute at the latest, for a folder and for a file."""


class Arrival:
    """Files that a node says it has written.

    Args:
        outputs: path -> size in bytes and sha256.
    """

    def __init__(self, outputs: Mapping[str, Sequence[Any]]) -> None:
        self._outputs = outputs
        self._until_s = time.monotonic() + PATIENCE_S

    @property
    def is_late(self) -> bool:
        """Whether they should be here by now."""
        return time.monotonic() > self._until_s

    def explain_absence(self) -> BadcError | None:
        """Returns what is not here as the node wrote it; None if all is."""
        for path, (size_bytes, sha256) in self._outputs.items():
            if not _is_same(Path(path), size_bytes, sha256):
                what = "is not here as a node wrote it"
                remedy = "Check that host and nodes see the same file system, then run again"
                return ContentMissing(what, path, remedy)
        return None


def _is_same(path: Path, size_bytes: int, sha256: str) -> bool:
    try:
        return path.stat().st_size == size_bytes and sha256_file(path) == sha256
    except OSError:
        return False
