"""Ending a process by Ctrl-C or SIGTERM: orderly, and with the exit code that says which it was.

Dagster gives both signals one handler of its own while it runs, so which of them came is read from
the bytes that Python writes for every signal.
"""

import os
import signal
from types import FrameType
from typing import Self

INTERRUPTED = 130
TERMINATED = 143


class Interruptible:
    """Makes SIGTERM end the block as Ctrl-C does; use as a context manager in the main thread.

    A command in the background of a script starts with Ctrl-C ignored. That stays so, but must not
    keep SIGTERM from ending it.
    """

    def __enter__(self) -> Self:
        self._readable, self._writable = os.pipe()
        for end in (self._readable, self._writable):
            os.set_blocking(end, False)
        self._old_wakeup = signal.set_wakeup_fd(self._writable, warn_on_full_buffer=False)
        self._old_handlers = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
        self._old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        if self._old_handlers[signal.SIGINT] is signal.SIG_IGN:
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
        for one in self._old_handlers:
            signal.signal(one, _interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._old_handlers.items():
            signal.signal(one, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._old_mask)
        signal.set_wakeup_fd(self._old_wakeup)
        for end in (self._readable, self._writable):
            os.close(end)

    @property
    def exit_code(self) -> int:
        """What to exit with after an interruption: 143 if SIGTERM came, else 130."""
        try:
            received = os.read(self._readable, 4096)
        except BlockingIOError:
            return INTERRUPTED
        return TERMINATED if signal.SIGTERM in received else INTERRUPTED


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)
