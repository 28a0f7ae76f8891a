"""How far a run has come, as told to whoever watches.

The command line shows a bar; nobody watching is the default.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Watcher(Protocol):
    """Somebody who wants to know."""

    def advance(self, audio_s: float) -> None:
        """Takes note of seconds of audio done."""


class _Nobody:
    def advance(self, audio_s: float) -> None:
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


def advance(audio_s: float) -> None:
    """Tells the current watcher of seconds of audio done."""
    _watcher.get().advance(audio_s)
