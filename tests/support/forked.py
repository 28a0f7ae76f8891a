"""Many processes at once, forked: a fresh interpreter for each would take seconds."""

import os
import pickle
import traceback
import warnings
from collections.abc import Callable
from typing import Any


def fork(work: Callable[[], Any]) -> int:
    """Does some work in a process of its own, and returns its id."""
    with warnings.catch_warnings():
        # Of threads that pytest-xdist has; what is forked here uses none of their locks.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def run_forked(work: Callable[[int], Any], n_processes: int) -> list[Any]:
    """Returns what some work gives in each of some processes, which begin at the same moment.

    Args:
        work: is called with the number of the process.
        n_processes: how many.
    """
    gate, opener = os.pipe()
    answers = []

    def answer(number: int, writable: int) -> None:
        os.close(opener)
        os.read(gate, 1)  # ends when the parent closes its end
        try:
            content = (True, work(number))
        except BaseException:  # noqa: BLE001  (reported to the parent, whatever it is)
            content = (False, traceback.format_exc())
        with os.fdopen(writable, "wb") as file:
            pickle.dump(content, file)

    for number in range(n_processes):
        readable, writable = os.pipe()
        pid = fork(lambda number=number, writable=writable: answer(number, writable))
        os.close(writable)
        answers.append((pid, readable))
    os.close(gate)
    os.close(opener)
    return [_collect(*one) for one in answers]


def _collect(pid: int, readable: int) -> Any:
    """Returns what a process answers; raises AssertionError with its traceback if it failed."""
    with os.fdopen(readable, "rb") as file:
        content = file.read()
    os.waitpid(pid, 0)
    is_good, result = pickle.loads(content)  # noqa: S301  (from our own process)
    assert is_good, result
    return result
