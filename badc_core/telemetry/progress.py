"""How far a run has come, as told to whoever watches.

The command line shows bars; nobody watching is the default. A step's log gets a line now and then.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from badc_core.units import format_duration

_INTERVAL_S = 60.0


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


class Pace:
    """Tells now and then how much is done, how fast, and how long the rest may take.

    Args:
        total_audio_s: seconds of sound to analyse.
        tell: is given a sentence, at most once a minute.
        clock_s: a monotonic clock.
    """

    def __init__(
        self,
        total_audio_s: float,
        tell: Callable[[str], None],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total_s = total_audio_s
        self._done_s = 0.0
        self._tell = tell
        self._clock_s = clock_s
        self._start_s = clock_s()
        self._told_s = self._start_s

    def analysed(self, audio_s: float) -> None:
        """Takes note of seconds of sound a detector is done with."""
        self._done_s += audio_s
        now_s = self._clock_s()
        if now_s - self._told_s >= _INTERVAL_S:
            self._told_s = now_s
            self._tell(self._sentence(now_s - self._start_s))

    def _sentence(self, elapsed_s: float) -> str:
        speed = self._done_s / elapsed_s
        left_s = max(0.0, self._total_s - self._done_s) / speed
        return (
            f"{format_duration(self._done_s)} of {format_duration(self._total_s)} analysed, "
            f"{speed:.3g} x real time, about {format_duration(left_s)} to go"
        )
