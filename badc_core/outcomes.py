"""The same work for many recordings, where a failure costs only its own recording."""

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, TypeVar, cast

from badc_core.errors import BadcError

_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """The outcome of the work on one recording.

    Attributes:
        recording_id: the recording's.
        value: the result; None if it failed.
        error: why it failed; None if it did not.
        on_commit: called by `commit`.
    """

    recording_id: str
    value: T | None = None
    error: BadcError | None = None
    on_commit: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)

    def commit(self) -> None:
        """Records that the consumer knows the result; until then it counts as unfinished."""
        self.on_commit()

    def require(self) -> T:
        """Returns the result; raises the reason where there is none."""
        if self.error is not None:
            raise self.error
        return cast("T", self.value)


def attempt(recording_id: str, work: Callable[[str], T]) -> Outcome[T]:
    """Returns the outcome of `work(recording_id)`; never raises an Exception."""
    try:
        return Outcome(recording_id, value=work(recording_id))
    except BadcError as error:
        return Outcome(recording_id, error=error)
    except Exception as error:  # noqa: BLE001  (any defect must cost one recording, not all)
        _log.exception("%s failed unexpectedly", recording_id)
        return Outcome(recording_id, error=unexpected(recording_id, error))


def for_each(
    recording_ids: Iterable[str],
    work: Callable[[str], T],
    n_threads: int = 1,
    on_end: Callable[[], object] = lambda: None,
) -> Generator[Outcome[T], None, None]:
    """Yields the outcome of `work` for every recording, in order.

    Args:
        recording_ids: iterated a few at a time.
        work: called in threads where `n_threads` > 1.
        n_threads: how many at once.
        on_end: called before this waits for the threads to end, however that comes about.
    """
    if n_threads == 1:
        for recording_id in recording_ids:
            yield attempt(recording_id, work)
        return
    waiting = iter(recording_ids)
    with ThreadPoolExecutor(n_threads) as executor:
        running: deque[Future[Outcome[T]]] = deque(
            executor.submit(attempt, one, work) for one in islice(waiting, 2 * n_threads)
        )
        try:
            while running:
                outcome = running.popleft().result()
                running.extend(executor.submit(attempt, one, work) for one in islice(waiting, 1))
                yield outcome
        finally:
            on_end()
            for one in running:
                one.cancel()


def unexpected(recording_id: str, error: Exception) -> BadcError:
    """Returns an unexpected exception as an error to show."""
    return BadcError(
        f"unexpected {type(error).__name__}: {error}",
        recording_id,
        "This is a defect of BADC: please report it with the log",
    )
