"""How far a run has come, as told to whoever watches.

The command line shows bars; nobody watching is the default.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Watcher(Protocol):
    """Somebody who wants to know."""

    def analysed(self, audio_s: float) -> None:
        """Takes note of seconds of audio a detector is done with."""

    def ended(self) -> None:
        """Takes note of a recording that is done with, well or not."""


class _Nobody:
    def analysed(self, audio_s: float) -> None:
        """Ignores it."""

    def ended(self) -> None:
        """Ignores it."""


_watcher: ContextVar[Watcher] = ContextVar("badc_progress", default=_Nobody())  # noqa: B039


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Tells `watcher` of the progress made in this block, in this thread."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def watcher() -> Watcher:
    """Returns who watches now."""
    return _watcher.get()
