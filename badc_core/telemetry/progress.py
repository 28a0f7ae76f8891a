"""The progress of a run: shown as bars by the command line, logged by steps, ignored by default."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from badc_core.units import format_duration

_INTERVAL_S = 60.0


class Watcher(Protocol):
    """Receives the progress of a run."""

    def analysed(self, audio_s: float) -> None:
        """Adds seconds of sound that a detector has analysed."""

    def ended(self) -> None:
        """Adds a recording that has ended, successfully or not."""

    def said(self, sentence: str) -> None:
        """Shows what a person should know while it runs."""


class _Ignore:
    def analysed(self, audio_s: float) -> None:
        """Ignores it."""

    def ended(self) -> None:
        """Ignores it."""

    def said(self, sentence: str) -> None:
        """Ignores it."""


_watcher: ContextVar[Watcher] = ContextVar("badc_progress", default=_Ignore())  # noqa: B039


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Sends the progress of this block, in this thread, to `watcher`."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def watcher() -> Watcher:
    """Returns the current watcher."""
    return _watcher.get()


class Pace:
    """Reports once a minute how much is analysed, how fast, and how long the rest may take.

    Args:
        total_audio_s: seconds of sound to analyse.
        report: called with a sentence, at most once a minute.
        clock_s: a monotonic clock.
    """

    def __init__(
        self,
        total_audio_s: float,
        report: Callable[[str], None],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total_s = total_audio_s
        self._done_s = 0.0
        self._report = report
        self._clock_s = clock_s
        self._start_s = clock_s()
        self._reported_s = self._start_s

    def analysed(self, audio_s: float) -> None:
        """Adds seconds of sound that a detector has analysed."""
        self._done_s += audio_s
        now_s = self._clock_s()
        if now_s - self._reported_s >= _INTERVAL_S:
            self._reported_s = now_s
            self._report(self._sentence(now_s - self._start_s))

    def _sentence(self, elapsed_s: float) -> str:
        speed = self._done_s / elapsed_s
        left_s = max(0.0, self._total_s - self._done_s) / speed
        return (
            f"{format_duration(self._done_s)} of {format_duration(self._total_s)} analysed, "
            f"{speed:.3g} x real time, about {format_duration(left_s)} to go"
        )
