"""Waiting for what other processes and threads do."""

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


def wait_until(
    is_so: Callable[[], Answer], timeout_s: float = 180.0, every_s: float = 0.05
) -> Answer:
    """Returns what a question finally answers.

    The usual limit is far beyond what anything takes, as machines that run tests are slow.
    """
    end_s = time.monotonic() + timeout_s
    while not (answer := is_so()):
        assert time.monotonic() < end_s, f"it took longer than {timeout_s:g} s"
        time.sleep(every_s)
    return answer
