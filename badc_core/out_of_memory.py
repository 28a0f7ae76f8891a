"""Telling a lack of memory from other failures, however a library or a program words it."""

import re

from badc_core.errors import OutOfMemory

_WORDS = re.compile(
    r"out of memory|OutOfMemory|\bMemoryError\b|bad_alloc|(can't|cannot|failed to) allocate"
    r"|ALLOC_FAILED",
    re.IGNORECASE,
)


def mentions_memory(text: str) -> bool:
    """Returns whether a message or a program's output speaks of a lack of memory."""
    return _WORDS.search(text) is not None


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an error, whichever library raised it, is about a lack of memory."""
    return isinstance(error, OutOfMemory | MemoryError) or mentions_memory(
        f"{type(error).__name__} {error}"
    )
