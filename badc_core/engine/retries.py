"""When a failed chunk is tried again: how often, how soon, and in whose company."""

import heapq
import time
from collections import deque
from dataclasses import replace
from itertools import count

from badc_core.engine.pool import Assignment

_LONGEST_BACKOFF_S = 300.0
_MOST_WAITING = 100


class Retries:
    """Chunks that wait for another attempt.

    Args:
        max_retries: further attempts after the first.
        backoff_s: wait before the first of them; each further one waits twice as long.
    """

    def __init__(self, max_retries: int, backoff_s: float) -> None:
        self._max_retries = max_retries
        self._backoff_s = backoff_s
        self._ready: deque[Assignment] = deque()
        self._delayed: list[tuple[float, int, Assignment]] = []
        self._order = count()

    def __bool__(self) -> bool:
        return bool(self._ready or self._delayed)

    @property
    def is_full(self) -> bool:
        """Whether so many wait that no new chunk should be begun: what is open has a bound."""
        return len(self._ready) + len(self._delayed) >= _MOST_WAITING

    @property
    def next_due(self) -> float | None:
        """The monotonic moment when the next delayed chunk is due; None if there is none."""
        return self._delayed[0][0] if self._delayed else None

    @property
    def is_suspect_ready(self) -> bool:
        """Whether the next chunk in line must run alone, so that workers should run empty."""
        self._mature()
        return bool(self._ready) and self._ready[0].is_suspect

    def again(self, assignment: Assignment) -> None:
        """Puts a chunk in line of which nothing wrong is known: at once, and uncounted."""
        self._ready.append(assignment)

    def after_failure(self, failed: Assignment) -> float | None:
        """Puts a chunk in line that failed; returns how long it waits, None if it had its chances.

        Args:
            failed: as it was attempted.
        """
        if failed.n_failures >= self._max_retries:
            return None
        delay_s: float = min(self._backoff_s * 2.0**failed.n_failures, _LONGEST_BACKOFF_S)
        due = time.monotonic() + delay_s
        again = replace(failed, attempt=failed.attempt + 1, n_failures=failed.n_failures + 1)
        heapq.heappush(self._delayed, (due, next(self._order), again))
        return delay_s

    def take(self, *, allow_suspect: bool) -> Assignment | None:
        """Returns the next chunk whose time has come, if there is one.

        Args:
            allow_suspect: whether it may be one that must run alone.
        """
        self._mature()
        if not self._ready or (self._ready[0].is_suspect and not allow_suspect):
            return None
        return self._ready.popleft()

    def _mature(self) -> None:
        now = time.monotonic()
        while self._delayed and self._delayed[0][0] <= now:
            self._ready.append(heapq.heappop(self._delayed)[2])
