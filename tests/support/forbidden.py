"""Files and folders without permissions, for root too."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

_OVERRIDING = (1 << 1) | (1 << 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, by which root passes over permissions."""
_VERSION_3 = 0x20080522


@contextmanager
def forbidden(path: Path) -> Iterator[None]:
    """Takes all permissions from a path until the block ends, in which this thread obeys them."""
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        with _without_overriding() if os.geteuid() == 0 else nullcontext():
            yield
    finally:
        path.chmod(mode)


@contextmanager
def _without_overriding() -> Iterator[None]:
    """Has this thread of root give up the capabilities until the block ends; Linux only."""
    header, held = (ctypes.c_uint32 * 2)(_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None)
    assert libc.capget(header, held) == 0
    assert libc.capset(header, (ctypes.c_uint32 * 6)(held[0] & ~_OVERRIDING, *held[1:])) == 0
    try:
        yield
    finally:
        assert libc.capset(header, held) == 0
